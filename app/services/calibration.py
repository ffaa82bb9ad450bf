"""The speed model's calibration, read once: the pure packages take it as a value."""

import json
from functools import cache
from pathlib import Path
from typing import Final

import app.speed
from app.speed.calibration import Calibration, calibration_from

_DATA: Final = Path(app.speed.__path__[0]) / "data" / "efficiency.json"


@cache
def bundled_calibration() -> Calibration:
    """The calibration that comes with the program."""
    return calibration_from(json.loads(_DATA.read_text(encoding="utf-8")))
