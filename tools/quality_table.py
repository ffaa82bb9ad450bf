"""Writes the table of cited results into ``docs/quality.md``: ``python -m tools.quality_table``."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.memory.inputs import MethodKind
from app.planning.quality import TASKS, QualityResult, by_task
from app.services.quality import bundled_quality, bundled_results, findings, not_read, sources

PAGE: Final = Path(__file__).resolve().parents[1] / "docs/quality.md"
START: Final = "<!-- from here on written by python -m tools.quality_table -->"
_HEADS: Final = (
    *("source", "place", "model", "task", "data", "metric", "rank", "", "score", "", "score", "share", "untuned"),
    "of what was learnt",
)
_NAMES: Final = {MethodKind.FULL: "full", MethodKind.LORA: "LoRA", MethodKind.QLORA: "QLoRA"}


def generated() -> str:
    """What follows the mark."""
    return "\n".join(_lines()) + "\n"


def page() -> str:
    """The whole page, its written part as it stands."""
    return PAGE.read_text(encoding="utf-8").partition(START)[0] + START + "\n\n" + generated()


def _lines() -> Iterator[str]:
    yield "## Brought together"
    yield ""
    yield "| method | tasks | low | middle | high | of what was learnt | results | sources |"
    yield "|---|---|---|---|---|---|---|---|"
    for kind in (MethodKind.LORA, MethodKind.QLORA):
        for task, quality in ((None, bundled_quality(kind)), *by_task(kind, bundled_results()).items()):
            gain = "" if quality.share_of_gain is None else f"{quality.share_of_gain:.0%}"
            yield (
                f"| {_NAMES[kind]} | {'supervised, all' if task is None else TASKS[task]} | "
                f"{quality.share_of_full_low:.1%} | {quality.share_of_full:.1%} | {quality.share_of_full_high:.1%} | "
                f"{gain} | {quality.results} | {', '.join(quality.sources)} |"
            )
    yield ""
    yield "## Every result"
    yield ""
    yield f"| {' | '.join(_HEADS)} |"
    yield f"|{'---|' * len(_HEADS)}"
    for result in bundled_results():
        yield _row(result)
    yield ""
    yield "## Findings without two scores to set side by side"
    yield ""
    for finding in findings():
        yield f"* {finding.text} ({finding.source.cited}, {finding.place})"
    yield ""
    yield "## Sources"
    yield ""
    for source in sources():
        yield f"* {source.authors}, [{source.title}]({source.url}), {source.year}. Read in {source.read}."
    yield ""
    yield "## Not read"
    yield ""
    for entry in not_read():
        yield f"* {entry.what}. {entry.why}"


def _row(result: QualityResult) -> str:
    gain = "" if result.share_of_gain is None else f"{result.share_of_gain:.0%}"
    cells = (
        result.source.cited,
        result.place,
        result.model,
        TASKS[result.task],
        result.data,
        result.metric,
        result.rank or "",
        _NAMES[result.method],
        f"{result.score:g}",
        _NAMES[result.against],
        f"{result.reference:g}",
        f"{result.share:.1%}",
        "" if result.untuned is None else f"{result.untuned:g}",
        gain,
    )
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
