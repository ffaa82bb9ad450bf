"""The evaluation as a page (``docs/speed-accuracy.md``) and as data (``app/speed/data/evaluation.json``).

Both are written by ``python -m benchmarks.speed.calibrate``.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from statistics import median
from typing import Any, Final

from benchmarks.speed.article import comparisons
from benchmarks.speed.evaluation import OUTLYING_REASONS, CellResult, SourceVote, cell_error, cell_ratio
from benchmarks.speed.pairs import Pair
from benchmarks.speed.rows import ExcludedRun

FACTOR: Final = 1.5
ARTICLE_MODEL: Final = "mistralai/Mistral-7B-v0.1"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How the model does over the cells that two or more sources cover."""

    cells: int
    median_error: float
    cells_within_factor: float
    votes: int
    votes_within_factor: float


def summary(votes_of_cells: Sequence[tuple[SourceVote, ...]]) -> Summary:
    """Over cells, each the median of its sources' votes."""
    shared = [votes for votes in votes_of_cells if len(votes) >= 2]
    votes = [vote for cell in shared for vote in cell]
    return Summary(
        cells=len(shared),
        median_error=median(cell_error(cell) for cell in shared),
        cells_within_factor=sum(abs(log(cell_ratio(cell))) <= log(FACTOR) for cell in shared) / len(shared),
        votes=len(votes),
        votes_within_factor=sum(vote.within_half for vote in votes) / len(votes),
    )


def coverage(votes: Sequence[SourceVote]) -> float:
    """Share of runs inside their interval, every source counting the same."""
    by_source: dict[str, list[SourceVote]] = defaultdict(list)
    for vote in votes:
        by_source[vote.source].append(vote)
    shares = [sum(v.covered * v.runs for v in own) / sum(v.runs for v in own) for own in by_source.values()]
    return sum(shares) / len(shares)


def reasons(results: Sequence[CellResult]) -> dict[str, str]:
    """Outlying sources, and single votes beyond the factor, with why."""
    found = {}
    for result in results:
        for vote in result.votes:
            single = f"{vote.source} {result.cell[2]}"
            if vote.outlying:
                found[vote.source] = OUTLYING_REASONS.get(vote.source, "no reason known")
            elif not vote.within_half:
                found[single] = OUTLYING_REASONS.get(single, "no reason known")
    return found


def as_data(results: Sequence[CellResult]) -> dict[str, Any]:
    """What pages show: cells with their votes, summaries and coverage."""
    every = [vote for result in results for vote in result.votes]
    typical = [vote for result in results for vote in result.typical()]
    return {
        "written_by": "python -m benchmarks.speed.calibrate",
        "method": "each source predicted by a calibration without it; one vote a source in each cell",
        "all_sources": _summary_data(summary([result.votes for result in results])),
        "without_outlying": _summary_data(summary([result.typical() for result in results])),
        "coverage": {"all_sources": round(coverage(every), 3), "without_outlying": round(coverage(typical), 3)},
        "outlying": reasons(results),
        "cells": [
            {
                "architecture": result.cell[0],
                "segment": result.cell[1],
                "method": result.cell[2],
                "absolute_error": round(cell_error(result.votes), 3),
                "votes": [
                    {
                        "source": vote.source,
                        "runs": vote.runs,
                        "predicted_over_measured": round(vote.ratio, 3),
                        "absolute_error": round(vote.absolute_error, 3),
                        "in_interval": round(vote.covered, 3),
                        "outlying": vote.outlying,
                    }
                    for vote in result.votes
                ],
            }
            for result in results
        ],
    }


def _summary_data(value: Summary) -> dict[str, float | int]:
    return {
        "cells": value.cells,
        "median_absolute_error": round(value.median_error, 3),
        "cells_within_factor_1_5": round(value.cells_within_factor, 3),
        "votes": value.votes,
        "votes_within_factor_1_5": round(value.votes_within_factor, 3),
    }


def as_page(
    results: Sequence[CellResult],
    kept: int,
    excluded: Sequence[ExcludedRun],
    found: Sequence[Pair],
    classes: Mapping[str, Mapping[str, Any]],
) -> str:
    """The page, in Markdown."""
    sections = (
        _introduction(results),
        _class_table(classes),
        _cell_table(results),
        _outlying(results),
        _pair_table(found),
        _article(),
        _rows(kept, excluded),
    )
    return "\n".join(sections)


def _introduction(results: Sequence[CellResult]) -> str:
    lines = [
        "# How good the speed model is",
        "",
        "Written by `python -m benchmarks.speed.calibrate`; do not edit. The model is described in",
        "[speed-model.md](speed-model.md). Every source is predicted by a calibration that has not seen it, and has",
        "one vote in each cell (GPU architecture and segment × method; pretraining and SFT count as full fine-tuning).",
        "",
        "| cells that two or more sources cover | cells | median absolute error | within a factor 1.5 | of votes |",
        "|---|---|---|---|---|",
    ]
    for title, votes in (
        ("all sources", [result.votes for result in results]),
        ("without outlying sources", [result.typical() for result in results]),
    ):
        value = summary(votes)
        lines.append(
            f"| {title} | {value.cells} | {value.median_error:.1%} | {value.cells_within_factor:.0%} | "
            f"{value.votes_within_factor:.0%} of {value.votes} |"
        )
    every = [vote for result in results for vote in result.votes]
    typical = [vote for result in results for vote in result.typical()]
    lines += [
        "",
        f"The 80 % interval holds {coverage(every):.0%} of the runs of sources not seen, every source counting the",
        f"same ({coverage(typical):.0%} without outlying sources).",
        "",
    ]
    return "\n".join(lines)


def _class_table(classes: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        "## What stands behind each class of cards",
        "",
        "| class | achieved share of the roofline | deviation (log) | runs | sources | votes |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {entry['fraction']:.2f} | {entry['log_deviation']:.2f} | {entry['runs']} "
        f"| {len(entry['sources'])} | {entry['votes_low']:.2f}–{entry['votes_high']:.2f} |"
        for name, entry in classes.items()
    ]
    return "\n".join([*lines, ""])


def _cell_table(results: Sequence[CellResult]) -> str:
    lines = [
        "## Every cell",
        "",
        "| cell | source | runs | predicted ÷ measured | absolute error | in the interval |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        name = f"{' / '.join(result.cell)}: {cell_error(result.votes):.0%}"
        for vote in result.votes:
            source = f"{vote.source} (outlying)" if vote.outlying else vote.source
            lines.append(
                f"| {name} | {source} | {vote.runs} | {vote.ratio:.2f} | {vote.absolute_error:.0%} "
                f"| {vote.covered:.0%} |"
            )
            name = ""
    return "\n".join([*lines, ""])


def _outlying(results: Sequence[CellResult]) -> str:
    lines = ["## Outlying sources, and why", ""]
    lines += [f"* **{name}**: {reason}." for name, reason in reasons(results).items()]
    return "\n".join([*lines, ""])


def _pair_table(found: Sequence[Pair]) -> str:
    lines = [
        "## Pairs that differ in one thing",
        "",
        "Second ÷ first tokens per second; `python -m benchmarks.speed.validate --pairs` lists every pair. Runs with",
        "and without checkpointing also differ in how the same tokens are cut into micro-batches.",
        "",
        "| differs in | change | source | pairs | measured | predicted | median error |",
        "|---|---|---|---|---|---|---|",
    ]
    for (differs, change, source, gpu), own in grouped(found).items():
        measured, predicted = median(pair.measured for pair in own), median(pair.predicted for pair in own)
        error = median(abs(pair.error) for pair in own)
        lines.append(
            f"| {differs} | {change} | {source}, {gpu} | {len(own)} | {measured:.2f} | {predicted:.2f} | {error:.0%} |"
        )
    return "\n".join([*lines, ""])


def grouped(found: Sequence[Pair]) -> dict[tuple[str, str, str, str], list[Pair]]:
    """Pairs by what differs, how, and whose they are."""
    groups: dict[tuple[str, str, str, str], list[Pair]] = defaultdict(list)
    for pair in found:
        change = pair.change if pair.differs in {"method", "checkpointing"} else "larger"
        groups[pair.differs, change, pair.first.source, pair.first.gpu].append(pair)
    return groups


def _article() -> str:
    lines = [
        "## The article's speeds",
        "",
        "RTX 3090, Mistral 7B, 4 × 512 tokens, full checkpointing. No constant comes from these figures.",
        "",
        "| method | published, tokens/s | ours | 80 % interval | |",
        "|---|---|---|---|---|",
    ]
    for entry in comparisons(ARTICLE_MODEL):
        ours = entry.ours
        where = "inside" if entry.inside else "outside: nothing known explains it"
        lines.append(
            f"| {entry.method.value} | {entry.published} | {ours.tokens_per_second:.0f} "
            f"| {ours.tokens_per_second_low:.0f}–{ours.tokens_per_second_high:.0f} | {where} |"
        )
    return "\n".join([*lines, ""])


def _rows(kept: int, excluded: Sequence[ExcludedRun]) -> str:
    lines = [
        "## Rows left out, by rule",
        "",
        f"{kept} rows are used, {len(excluded)} left out:",
        "",
    ]
    lines += [f"* {count}: {rule}" for rule, count in Counter(run.rule for run in excluded).most_common()]
    return "\n".join([*lines, ""])
