"""Designed sets of cases."""

from collections.abc import Callable, Mapping, Sequence

from benchmarks.accuracy.tracing.case import TraceCase
from benchmarks.accuracy.tracing.suites.architectures import architecture_cases, layer_cases
from benchmarks.accuracy.tracing.suites.dense import dense_cases
from benchmarks.accuracy.tracing.suites.perturbed import perturbed_cases

SUITES: Mapping[str, Callable[[], Sequence[TraceCase]]] = {
    "architectures": architecture_cases,
    "dense": dense_cases,
    "layers": layer_cases,
    "parameters": perturbed_cases,
}
