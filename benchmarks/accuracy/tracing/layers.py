"""What one more decoder layer keeps for backward: the difference between a model and one with twice the layers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks.accuracy.tracing import results, step
from benchmarks.accuracy.tracing.case import TraceCase
from benchmarks.accuracy.tracing.suites.shapes import deepened
from benchmarks.accuracy.tracing.tracker import Category, Phase

_KEPT = (Category.SAVED, Category.TEMPORARY, Category.WEIGHT_CASTS)
# Bytes below this share of a byte per token are scalars and rounding.
_NEGLIGIBLE_BYTES_PER_TOKEN = 0.01


def report(case: TraceCase) -> Iterator[str]:
    """Lines: bytes per token and layer of each kind of tensor kept at the end of forward, and their sum.

    The case's own layers must be a whole pattern (one of each kind of layer, say), since the model is compared with one
    that has them twice; the figures are then the pattern's mean.
    """
    config, layers = deepened(case.config)
    shallow, deep = step.trace(case), step.trace(replace(case, config=config))
    tokens = case.request["micro_batch_size"] * case.request["sequence_length"]
    before, after = _kept(shallow), _kept(deep)
    total = 0.0
    for key in sorted(after, key=lambda key: -(after[key][0] - before.get(key, (0, 0))[0])):
        size, count = (new - old for new, old in zip(after[key], before.get(key, (0, 0)), strict=True))
        per_token = size / layers / tokens
        if per_token > _NEGLIGIBLE_BYTES_PER_TOKEN:
            total += per_token
            operator, shape, dtype, category = key
            yield f"{per_token:>12.2f}  {count / layers:g}× {operator} {list(shape)} {dtype} {category}"
    yield f"{total:>12.2f}  bytes per token and layer, {layers} layers, {tokens} tokens, sequence of {_sequence(case)}"
    in_backward = [_backward_peak(trace) for trace in (shallow, deep)]
    yield f"backward of the layers peaks {in_backward[0]:,} and {in_backward[1]:,} bytes above the resident tensors"


def _kept(trace: step.Trace) -> dict[tuple[Any, ...], tuple[int, int]]:
    groups = results.groups_at(trace, trace.end_of_forward_moment)
    return {
        (group.operator, group.shape, group.dtype, str(group.category)): (group.size_bytes, group.count)
        for group in groups
        if group.category in _KEPT
    }


def _backward_peak(trace: step.Trace) -> int:
    return trace.tracker.phase_peaks[step.MEASURED_STEP, Phase.BACKWARD].size_bytes - trace.resident_bytes


def _sequence(case: TraceCase) -> int:
    return int(case.request["sequence_length"])
