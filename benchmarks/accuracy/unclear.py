"""Runs whose statistic or unit their source leaves open, beside what we say a card holds: reported, held to nothing."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from app.memory.build import parse_config, supported_model_types
from app.memory.estimate import estimate_memory
from app.memory.result import MemoryEstimate
from app.request import parse_json, resolve, to_groups

DATA = Path(__file__).parent / "data" / "measured_unclear.jsonl"


ABOUT = """\
Neither the statistic nor, mostly, the unit is stated (tier B), so that a figure is a range and no error can be given.
*In our intervals*: between the low end of allocated and the high end of reserved memory with the context."""

DIFFERENCES = """\
universal-llm-trainer has a loop of its own that computes the loss from 16-bit logits without upcasting them
(`src/models/llama3.py`): about 6 bytes a token and word where Transformers' loss holds 12. For Llama-3-8B with
2 × 8,192 tokens that is 11.7 of our 42.9 GiB, and for Gemma's 256,000 words 23.4 of 65.8. No request can say so, and no
figure was moved. Full fine-tuning there peaks in the optimizer's step, where we agree."""


@dataclass(frozen=True, kw_only=True)
class UnclearRun:
    """One published run. The figure lies between ``low_bytes`` and ``high_bytes`` by what its unit may mean."""

    id: str
    source: str
    model: str
    config: Mapping[str, Any] | None
    stack: str
    request: Mapping[str, Any]
    gpu: str
    reported: str
    unit: str
    low_bytes: int
    high_bytes: int
    excluded: str | None

    @property
    def omission(self) -> str | None:
        """Why no estimate is made, or None."""
        if self.excluded is not None:
            return self.excluded
        if self.config is None:
            return f"the architecture of {self.model} is not among the facts"
        if self.config["model_type"] not in supported_model_types():
            return f"family {self.config['model_type']} has no row"
        return None


@dataclass(frozen=True, kw_only=True)
class UnclearComparison:
    """A run and our estimate of it."""

    run: UnclearRun
    estimate: MemoryEstimate

    @property
    def ratio(self) -> float:
        """Our typical reserved peak over the middle of the figure."""
        return 2 * self.estimate.peak_reserved_bytes / (self.run.low_bytes + self.run.high_bytes)

    @property
    def agrees(self) -> bool:
        """Whether the figure can be any of allocated, reserved or device-level memory by our intervals."""
        highest = max(self.estimate.peak_reserved.high_bytes + self.estimate.context.high_bytes, self.required_high)
        return self.estimate.peak_allocated.low_bytes <= self.run.high_bytes and self.run.low_bytes <= highest

    @property
    def required_high(self) -> int:
        """The upper end of what a card must have."""
        return self.estimate.required.high_bytes


def load_unclear() -> tuple[UnclearRun, ...]:
    """Every run of the file."""
    return tuple(UnclearRun(**json.loads(line)) for line in DATA.read_text(encoding="utf-8").splitlines())


def compare_unclear(runs: Iterable[UnclearRun]) -> tuple[UnclearComparison, ...]:
    """Every run that has no reason to be left out."""
    return tuple(_compared(run) for run in runs if run.omission is None)


def _compared(run: UnclearRun) -> UnclearComparison:
    assert run.config is not None
    groups = to_groups(resolve(parse_json({**run.request, "stack": run.stack, "model": run.model})).run)
    estimate = estimate_memory(parse_config(run.config), groups.method, groups.precision, groups.batch, groups.cluster)
    return UnclearComparison(run=run, estimate=estimate)


def unclear_report(runs: Sequence[UnclearRun], items: Sequence[UnclearComparison]) -> str:
    """By source and method, and what was left out, as Markdown."""
    lines = [
        ABOUT,
        "",
        "| source | method | n | our reserved ÷ theirs: least, median, most | in our intervals |",
        "| --- | --- | --: | --: | --: |",
        *_rows(items),
        "",
        DIFFERENCES,
        "",
        *_left_out(runs),
    ]
    return "\n".join(lines)


def _rows(items: Sequence[UnclearComparison]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[UnclearComparison]] = {}
    for item in items:
        groups.setdefault((item.run.source.split(" ")[0], item.run.request["method"]), []).append(item)
    for (source, method), members in groups.items():
        ratios = sorted(item.ratio for item in members)
        figures = f"{ratios[0]:.2f}, {median(ratios):.2f}, {ratios[-1]:.2f}"
        yield f"| {source} | {method} | {len(members)} | {figures} | {sum(item.agrees for item in members)} |"


def _left_out(runs: Sequence[UnclearRun]) -> Iterator[str]:
    counts: dict[str, int] = {}
    for run in runs:
        if run.omission is not None:
            counts[run.omission] = counts.get(run.omission, 0) + 1
    for reason, count in counts.items():
        yield f"- left out: {count}, {reason}"
