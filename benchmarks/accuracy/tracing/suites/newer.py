"""Families that were read later: each case written out, as ``--cases FILE`` takes it."""

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.tracing.case import TraceCase

HERE = Path(__file__).parent


def newer_traced_cases() -> Sequence[TraceCase]:
    """Four runs for every family: all weights, adapters on attention, on all linear layers, and on 4 bits."""
    return [*_cases("newer_traced.jsonl"), *_cases("recurrent_traced.jsonl")]


def newer_counted_cases() -> Sequence[TraceCase]:
    """Made-up shapes of the same families, whose parameters are counted."""
    return [*_cases("newer_counted.jsonl"), *_cases("recurrent_counted.jsonl")]


def _cases(name: str) -> Sequence[TraceCase]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [TraceCase.from_flat(json.loads(line)) for line in lines]
