"""Compare the memory model with traced and measured training steps: ``python -m benchmarks.accuracy [--write]``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.comparison import compare_all, is_supported
from benchmarks.accuracy.measured import compare_all_measured, load_measured
from benchmarks.accuracy.measured_report import measured_report
from benchmarks.accuracy.reference import load
from benchmarks.accuracy.report import put_into, report
from benchmarks.accuracy.strategies import strategies_report
from benchmarks.accuracy.unclear import compare_unclear, load_unclear, unclear_report

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; the exit status says whether every parameter count agrees."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put the tables into docs/{PAGE.name}")
    options = parser.parse_args(arguments)
    cases, inexpressible = load()
    comparisons = compare_all(cases)
    text = report(comparisons, [*inexpressible, *(case for case in cases if not is_supported(case))])
    runs = load_measured()
    text += f"\n\n## Measured runs\n\n{measured_report(runs, compare_all_measured(runs))}"
    unclear = load_unclear()
    text += f"\n\n### Runs whose statistic is not clear\n\n{unclear_report(unclear, compare_unclear(unclear))}"
    text += f"\n\n## Several GPUs\n\n{strategies_report()}"
    print(text)
    if options.write:
        PAGE.write_text(put_into(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    wrong = [item.case for item in comparisons if not item.counts_agree]
    print(f"\nParameter counts: {len(comparisons) - len(wrong)} of {len(comparisons)} equal.")
    for case in wrong:
        print(f"  {case}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
