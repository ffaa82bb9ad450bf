"""Calibrate the speed model: ``python -m benchmarks.speed.calibrate`` writes ``app/speed/data/efficiency.json``."""

import json
from pathlib import Path
from typing import Final

from benchmarks.speed.evaluation import calibrate
from benchmarks.speed.rows import read_rows

OUTPUT: Final = Path(__file__).parents[2] / "app" / "speed" / "data" / "efficiency.json"


def main() -> None:
    """Write the data file and print what is in it."""
    runs, _ = read_rows()
    result = calibrate(runs)
    OUTPUT.write_text(json.dumps(result.content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, entry in result.content["classes"].items():
        print(
            f"{name:28} {entry['fraction']:.3f} ± {entry['log_deviation']:.3f}  "
            f"{entry['runs']:3} runs, {len(entry['sources'])} sources ({entry['votes_low']}-{entry['votes_high']})"
        )
    print("interval:", result.content["deviations_for_coverage"])
    print("outlying sources:", ", ".join(result.outliers) or "none")


if __name__ == "__main__":
    main()
