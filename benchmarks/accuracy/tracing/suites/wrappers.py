"""Models with a tower for images or sound around a text model: published shapes, and small made-up ones."""

import json
from pathlib import Path

from benchmarks.accuracy.tracing.case import TraceCase

SHAPES = Path(__file__).parent / "wrappers.json"


def wrapper_cases() -> list[TraceCase]:
    """One case a configuration; only parameters are counted."""
    return [TraceCase(config=config, name=name) for name, config in json.loads(SHAPES.read_text()).items()]
