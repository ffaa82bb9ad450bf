"""How the speed model does: ``python -m benchmarks.speed.validate [--pairs]``.

Prints the leave-one-source-out evaluation, the pairs that differ in one thing, the published figures of the article,
and what a prediction costs in time.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from statistics import median

from app.speed.calibration import COVERAGE
from benchmarks.speed.article import print_article
from benchmarks.speed.evaluation import (
    CellResult,
    cell_error,
    cells,
    leave_one_source_out,
)
from benchmarks.speed.fitting import fit
from benchmarks.speed.model_parallel import print_model_parallel
from benchmarks.speed.offload import print_offload
from benchmarks.speed.pairs import Pair, pairs
from benchmarks.speed.report import FACTOR, coverage, grouped, reasons, summary
from benchmarks.speed.rows import ExcludedRun, read_rows
from benchmarks.speed.sweeps import print_sweeps
from benchmarks.speed.timing import print_timing

WANTED_ERROR = 0.15
WANTED_WITHIN = 0.9


def main() -> None:
    """Run every part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", action="store_true", help="list every pair, not only their summary")
    arguments = parser.parse_args()
    runs, excluded = read_rows()
    predictions = leave_one_source_out(runs)
    results = cells(predictions, frozenset(fit(runs).outliers))
    print_rows(len(runs), excluded)
    print_cells(results)
    print_summary(results)
    print_pairs(list(pairs(predictions)), every=arguments.pairs)
    print_sweeps()
    print_article()
    print_offload()
    print_model_parallel()
    print_timing()


def print_rows(kept: int, excluded: Sequence[ExcludedRun]) -> None:
    """How many rows each rule left out."""
    print(f"# Rows\n{kept} runs kept, {len(excluded)} left out by rule:")
    for rule, count in Counter(run.rule for run in excluded).most_common():
        print(f"  {count:3}  {rule}")


def print_cells(results: Sequence[CellResult]) -> None:
    """Every cell with its sources' votes, each predicted by a calibration without that source."""
    print("\n# Leave one source out: predicted ÷ measured tokens per second, one vote a source")
    for result in results:
        sources = "1 source" if len(result.votes) == 1 else f"{len(result.votes)} sources"
        print(f"{' / '.join(result.cell):40} {sources}, absolute error {cell_error(result.votes):6.1%}")
        for vote in result.votes:
            mark = "  outlying" if vote.outlying else ""
            print(
                f"    {vote.source:46} {vote.runs:3} runs  ratio {vote.ratio:4.2f}  error {vote.absolute_error:6.1%}"
                f"  in the interval {vote.covered:4.0%}{mark}"
            )


def print_summary(results: Sequence[CellResult]) -> None:
    """The figures that the model is held to."""
    print("\n# Cells that two or more sources cover")
    for title, votes in (
        ("all sources", [result.votes for result in results]),
        ("without outlying sources", [result.typical() for result in results]),
    ):
        value = summary(votes)
        met = value.median_error <= WANTED_ERROR and value.cells_within_factor >= WANTED_WITHIN
        print(
            f"{title}: {value.cells} cells, median error {value.median_error:.1%} (wanted ≤ {WANTED_ERROR:.0%}), "
            f"within a factor {FACTOR}: {value.cells_within_factor:.0%} of cells (wanted {WANTED_WITHIN:.0%}), "
            f"{value.votes_within_factor:.0%} of {value.votes} votes: {'met' if met else 'not met'}"
        )
    every = [vote for result in results for vote in result.votes]
    typical = [vote for result in results for vote in result.typical()]
    print(f"\n# Coverage of the {COVERAGE:.0%} interval, every source counting the same")
    print(f"all sources {coverage(every):.0%}, without outlying sources {coverage(typical):.0%}")
    print("\n# Outlying")
    for name, reason in reasons(results).items():
        print(f"{name}: {reason}.")


def print_pairs(found: Sequence[Pair], *, every: bool) -> None:
    """Predicted against measured ratio, summed up by source and change, and one by one if asked."""
    print("\n# Pairs that differ in one thing: second ÷ first tokens per second")
    for (differs, change, source, gpu), own in grouped(found).items():
        measured, predicted = median(pair.measured for pair in own), median(pair.predicted for pair in own)
        error = median(abs(pair.error) for pair in own)
        print(
            f"{differs:14} {change:15} {source[:40]:40} {gpu[:16]:16} {len(own):3} pairs  "
            f"measured {measured:4.2f}  predicted {predicted:4.2f}  median error {error:5.1%}"
        )
    if every:
        for pair in found:
            print(
                f"  {pair.first.id} {pair.second.id} {pair.differs:13} {pair.change:16} {pair.first.model[:28]:28} "
                f"measured {pair.measured:5.3f}  predicted {pair.predicted:5.3f}  {pair.error:+6.1%}"
            )


if __name__ == "__main__":
    main()
