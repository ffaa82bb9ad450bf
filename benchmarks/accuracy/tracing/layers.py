"""What one more decoder layer keeps for backward: the difference between a model and one with twice the layers."""

from dataclasses import dataclass, replace
from typing import Any

from benchmarks.accuracy.tracing import results, step
from benchmarks.accuracy.tracing.case import TraceCase
from benchmarks.accuracy.tracing.suites.shapes import deepened
from benchmarks.accuracy.tracing.tracker import Category

_KEPT = frozenset({Category.SAVED, Category.TEMPORARY})
# Below this are scalars and rounding.
_NEGLIGIBLE_BYTES_PER_TOKEN = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptTensor:
    """Tensors alike that a layer keeps until its backward; counts are a mean over the pattern of layers."""

    bytes_per_token: float
    count: float
    operator: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        shape = "×".join(map(str, self.shape))
        return f"{self.bytes_per_token:g}: {self.count:g}× {self.operator} [{shape}] {self.dtype}"


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerReport:
    """What one layer keeps: tensors that grow with the tokens, and casts of its weights, which do not."""

    case: TraceCase
    layers: int
    kept: tuple[KeptTensor, ...]
    weight_cast_bytes: int

    @property
    def bytes_per_token(self) -> float:
        """Everything that one layer keeps, per token of the micro-batch."""
        return sum(tensor.bytes_per_token for tensor in self.kept)


def report(case: TraceCase) -> LayerReport:
    """Trace the case and its deeper twin; the case's own layers must be a whole pattern (one of each kind of layer)."""
    config, layers = deepened(case.config)
    shallow, deep = step.trace(case), step.trace(replace(case, config=config))
    before, after = _kept(shallow), _kept(deep)
    tokens = case.request["micro_batch_size"] * case.request["sequence_length"]
    kept = []
    for key, (size, count) in after.items():
        known_size, known_count = before.get(key, (0, 0))
        per_token = (size - known_size) / layers / tokens
        if per_token > _NEGLIGIBLE_BYTES_PER_TOKEN:
            operator, shape, dtype = key
            mean_count = (count - known_count) / layers
            kept.append(
                KeptTensor(bytes_per_token=per_token, count=mean_count, operator=operator, shape=shape, dtype=dtype)
            )
    kept.sort(key=lambda tensor: -tensor.bytes_per_token)
    casts = _weight_cast_bytes(deep) - _weight_cast_bytes(shallow)
    return LayerReport(case=case, layers=layers, kept=tuple(kept), weight_cast_bytes=casts // layers)


def row(found: LayerReport) -> dict[str, Any]:
    """One line of reference data."""
    return {
        "case_id": found.case.case_id,
        "name": found.case.name,
        "request": found.case.request,
        "config": dict(found.case.config),
        "layers": found.layers,
        "bytes_per_token_per_layer": found.bytes_per_token,
        "weight_cast_bytes_per_layer": found.weight_cast_bytes,
        "kept": [str(tensor) for tensor in found.kept],
        "versions": results.versions(),
    }


def _weight_cast_bytes(trace: step.Trace) -> int:
    return trace.tracker.bytes_by_category(trace.end_of_forward_moment).get(Category.WEIGHT_CASTS, 0)


def _kept(trace: step.Trace) -> dict[tuple[str, tuple[int, ...], str], tuple[int, int]]:
    totals: dict[tuple[str, tuple[int, ...], str], tuple[int, int]] = {}
    for group in results.groups_at(trace, trace.end_of_forward_moment):
        if group.category in _KEPT:
            key = (group.operator, group.shape, group.dtype)
            size, count = totals.get(key, (0, 0))
            totals[key] = (size + group.size_bytes, count + group.count)
    return totals
