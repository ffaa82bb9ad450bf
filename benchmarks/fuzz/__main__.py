"""Send everything, and write down what came of it: ``python -m benchmarks.fuzz``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.fuzz.run import run

EARLIER: Final = "## What earlier runs found"
"""From this heading on, a record is written by hand and kept."""


def _earlier(record: Path) -> str:
    text = record.read_text(encoding="utf-8") if record.exists() else ""
    _, heading, found = text.partition(f"\n{EARLIER}\n")
    return f"{heading}{found}"


def main(words: Sequence[str] | None = None) -> int:
    """Exit status 0 where nothing failed, nothing was late and memory did not grow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=505_000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--record", type=Path, help="write the record here")
    asked = parser.parse_args(words)
    record = run(asked.inputs, asked.seed, asked.processes)
    text = record.text()
    print(text)
    if asked.record:
        asked.record.write_text(text + _earlier(asked.record), encoding="utf-8")
    return 0 if record.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
