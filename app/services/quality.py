"""Published results that compare methods, read once: the pure packages take them as a value."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import app.planning
from app.memory.inputs import Adapter, MethodKind
from app.planning.quality import (
    Quality,
    QualityResult,
    Source,
    Task,
    by_task,
    expected_quality,
    results_from,
    sources_from,
)
from app.services.results import QualityReport

_DATA: Final = Path(app.planning.__path__[0]) / "data" / "quality.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a source says where no two scores could be set side by side."""

    source: Source
    place: str
    about: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NotRead:
    """A publication whose figures are not among the results, and why."""

    what: str
    why: str


@cache
def _content() -> Mapping[str, list[Mapping[str, str]]]:
    content: Mapping[str, list[Mapping[str, str]]] = json.loads(_DATA.read_text(encoding="utf-8"))
    return content


@cache
def bundled_results() -> tuple[QualityResult, ...]:
    """The results that come with the program."""
    return results_from(_content())


@cache
def bundled_quality(kind: MethodKind) -> Quality:
    """A method's result beside full fine-tuning's, over all supervised tasks."""
    return expected_quality(kind, bundled_results())


def quality_of(kind: MethodKind, adapter: Adapter | None, task: Task | None = None) -> Quality:
    """The same for one adapter and, where it is known, one task."""
    if task is not None and task not in by_task(kind, bundled_results()):
        task = None
    return expected_quality(kind, bundled_results(), adapter=adapter, task=task)


@cache
def sources() -> tuple[Source, ...]:
    """The sources that results or findings are taken from."""
    return tuple(sources_from(_content()).values())


@cache
def findings() -> tuple[Finding, ...]:
    """What sources say without a row of figures."""
    sources = sources_from(_content())
    return tuple(
        Finding(source=sources[row["source"]], place=row["place"], about=row["about"], text=row["text"])
        for row in _content()["findings"]
    )


@cache
def not_read() -> tuple[NotRead, ...]:
    """Publications whose figures could not be read."""
    return tuple(NotRead(what=row["what"], why=row["why"]) for row in _content()["not_read"])


def quality_report(quality: Quality) -> QualityReport:
    """An expected quality in the contract's shape."""
    return QualityReport(
        share_of_full=quality.share_of_full,
        share_of_full_low=quality.share_of_full_low,
        share_of_full_high=quality.share_of_full_high,
        share_of_gain=quality.share_of_gain,
        gain_sources=quality.gain_sources,
        coverage=quality.coverage,
        results=quality.results,
        sources=quality.sources,
        note=quality.note,
    )
