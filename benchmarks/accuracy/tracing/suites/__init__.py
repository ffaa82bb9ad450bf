"""Designed sets of cases."""

from collections.abc import Callable, Mapping, Sequence

from benchmarks.accuracy.tracing.case import TraceCase
from benchmarks.accuracy.tracing.suites.architectures import architecture_cases, layer_cases
from benchmarks.accuracy.tracing.suites.dense import dense_cases
from benchmarks.accuracy.tracing.suites.perturbed import perturbed_cases
from benchmarks.accuracy.tracing.suites.stacks import (
    liger_cases,
    transformers_4_45_cases,
    transformers_4_48_cases,
    transformers_4_cases,
    trl_cases,
)
from benchmarks.accuracy.tracing.suites.wrappers import wrapper_cases

SUITES: Mapping[str, Callable[[], Sequence[TraceCase]]] = {
    "architectures": architecture_cases,
    "dense": dense_cases,
    "layers": layer_cases,
    "parameters": perturbed_cases,
    "wrappers": wrapper_cases,
    "liger": liger_cases,
    "trl": trl_cases,
    "transformers_4": transformers_4_cases,
    "transformers_4_45": transformers_4_45_cases,
    "transformers_4_48": transformers_4_48_cases,
}
