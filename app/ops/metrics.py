"""What Prometheus reads: counted where it happens, and the state of the process when asked."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import REGISTRY, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# Most answers take 0.2 ms to 20 ms; beyond a second something is wrong.
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

REQUEST_SECONDS: Final = Histogram(
    "vram_fit_request_seconds", "Time from a request's head to its answer's end.", ["method", "route"], buckets=_SECONDS
)
RESPONSES: Final = Counter("vram_fit_responses", "Answers.", ["method", "route", "status"])
ESTIMATES: Final = Counter("vram_fit_estimates", "Estimates that the API made.", ["method"])
RATE_LIMITED: Final = Counter("vram_fit_rate_limited", "Requests refused with 429.", ["policy"])
RATE_LIMIT_SKIPPED: Final = Counter(
    "vram_fit_rate_limit_skipped", "Requests let through uncounted because the store of rates was away."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """How this process stands now; None where there is nothing of the kind."""

    snapshot_age_seconds: float | None
    checked_seconds_ago: float | None
    is_database_up: bool | None
    models: int
    gpus: int
    offers: int
    is_rate_limit_store_up: bool | None


class StateCollector(Collector):
    """The state as gauges, read at each scrape."""

    def __init__(self, read: Callable[[], State]) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One gauge for each thing known."""
        state = self._read()
        values: tuple[tuple[str, str, float | None], ...] = (
            ("snapshot_age_seconds", "Since the catalogue was last swapped.", state.snapshot_age_seconds),
            ("catalogue_checked_seconds_ago", "Since the database last answered.", state.checked_seconds_ago),
            ("database_up", "Whether the last look at the database succeeded.", state.is_database_up),
            ("catalogue_models", "Models in the catalogue.", state.models),
            ("catalogue_gpus", "Cards in the catalogue.", state.gpus),
            ("catalogue_offers", "Offers in the catalogue.", state.offers),
            ("rate_limit_store_up", "Whether rates are counted.", state.is_rate_limit_store_up),
        )
        for name, help_text, value in values:
            if value is not None:
                yield GaugeMetricFamily(f"vram_fit_{name}", help_text, value=float(value))


class Exposition:
    """The text of ``/metrics``: counts of all worker processes, and the state of the one that answers."""

    def __init__(self, read: Callable[[], State]) -> None:
        self._state = CollectorRegistry()
        self._state.register(StateCollector(read))

    def text(self) -> bytes:
        """The exposition format."""
        counted: CollectorRegistry = REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            counted = CollectorRegistry()
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        return generate_latest(counted) + generate_latest(self._state)


def count_estimate(method: str) -> None:
    """Count an estimate that the API answered."""
    ESTIMATES.labels(method=method).inc()
