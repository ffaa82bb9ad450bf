"""Calibrate the speed model: ``python -m benchmarks.speed.calibrate``.

Writes the calibration (``app/speed/data/efficiency.json``) and how it does on runs it has not seen
(``app/speed/data/evaluation.json``, ``docs/speed-accuracy.md``).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from app.services.calibration import bundled_calibration
from benchmarks.speed.evaluation import cells, deviations_for_coverage, leave_one_source_out
from benchmarks.speed.fitting import fit
from benchmarks.speed.pairs import pairs
from benchmarks.speed.report import as_data, as_page
from benchmarks.speed.rows import read_rows

ROOT: Final = Path(__file__).parents[2]
OUTPUT: Final = ROOT / "app" / "speed" / "data" / "efficiency.json"
EVALUATION: Final = ROOT / "app" / "speed" / "data" / "evaluation.json"
PAGE: Final = ROOT / "docs" / "speed-accuracy.md"


def main() -> None:
    """Write the files and print what is in the calibration."""
    runs, excluded = read_rows()
    predictions = leave_one_source_out(runs)
    result = fit(runs, deviations_for_coverage(predictions))
    classes = result.content["classes"]
    _write(OUTPUT, result.content)
    bundled_calibration.cache_clear()
    results = cells(predictions, frozenset(result.outliers))
    _write(EVALUATION, as_data(results))
    page = as_page(results, len(runs), excluded, list(pairs(predictions)), classes)
    PAGE.write_text(page, encoding="utf-8")
    for name, entry in classes.items():
        print(
            f"{name:28} {entry['fraction']:.3f} ± {entry['log_deviation']:.3f}  "
            f"{entry['runs']:3} runs, {len(entry['sources'])} sources ({entry['votes_low']}-{entry['votes_high']})"
        )
    print("interval:", result.content["deviations_for_coverage"])
    print("outlying sources:", ", ".join(result.outliers) or "none")


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
