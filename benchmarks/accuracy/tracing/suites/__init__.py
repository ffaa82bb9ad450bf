"""Designed sets of cases."""

from collections.abc import Callable, Mapping, Sequence

from benchmarks.accuracy.tracing.case import TraceCase
from benchmarks.accuracy.tracing.suites.architectures import architecture_cases, layer_cases
from benchmarks.accuracy.tracing.suites.dense import dense_cases
from benchmarks.accuracy.tracing.suites.newer import newer_counted_cases, newer_traced_cases
from benchmarks.accuracy.tracing.suites.perturbed import perturbed_cases
from benchmarks.accuracy.tracing.suites.stacks import (
    liger_cases,
    transformers_4_45_cases,
    transformers_4_48_cases,
    transformers_4_cases,
    trl_cases,
)
from benchmarks.accuracy.tracing.suites.wrappers import wrapper_cases


def _architectures() -> Sequence[TraceCase]:
    return [*architecture_cases(), *newer_traced_cases()]


def _parameters() -> Sequence[TraceCase]:
    return [*perturbed_cases(), *newer_counted_cases()]


SUITES: Mapping[str, Callable[[], Sequence[TraceCase]]] = {
    "architectures": _architectures,
    "dense": dense_cases,
    "layers": layer_cases,
    "parameters": _parameters,
    "wrappers": wrapper_cases,
    "liger": liger_cases,
    "trl": trl_cases,
    "transformers_4": transformers_4_cases,
    "transformers_4_45": transformers_4_45_cases,
    "transformers_4_48": transformers_4_48_cases,
}
