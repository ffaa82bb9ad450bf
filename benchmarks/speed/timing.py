"""What speed, time and cost add to an estimate, in microseconds: one run on one card.

Every run is new to both: it differs from those before in micro-batch and sequence length. What neither makes for each
run is there for both: the architecture, what is derived from it and a method, and the price of a server as the market
quotes it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from time import perf_counter
from typing import Final

from app.catalogue.facts import Offer, Period
from app.memory.architecture import Architecture
from app.memory.estimate import estimate_memory
from app.memory.inputs import Batch, Checkpointing, Cluster, MethodKind, Precision
from app.memory.result import MemoryEstimate
from app.services.calibration import bundled_calibration
from app.speed.cost import JobSeconds, tariff_of
from app.speed.estimate import SpeedEstimate, estimate_speed
from app.speed.job import job_time
from benchmarks.speed.models import architecture_of
from benchmarks.speed.rows import devices
from benchmarks.speed.sweeps import METHODS, MODEL

RUNS: Final = 400


@dataclass(frozen=True, kw_only=True)
class Examples:
    """A job of the default size."""

    num_examples: int = 1000
    tokens_per_example: int = 512
    epochs: float = 3
    max_steps: int | None = None


PRECISION: Final = Precision()
CLUSTER: Final = Cluster()
JOB: Final = Examples()
TARIFF: Final = tariff_of(
    Offer(
        id="1",
        provider="P",
        provider_slug="p",
        gpu="rtx-3090",
        gpus_per_server=1,
        amount=Decimal("0.22"),
        currency="USD",
        period=Period.HOUR,
    ),
    num_gpus=1,
)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Microseconds of one estimate's parts."""

    memory: float
    """The peak alone."""
    described: float
    """The peak with every phase's components, as an answer has them."""
    new_run: float
    """Speed, time and cost of a run not seen before."""
    further_card: float
    """The same on another card."""


def microseconds(kind: MethodKind) -> Timing:
    """What each part of an estimate takes, all in one run."""
    architecture = architecture_of(MODEL)
    if architecture is None:
        raise KeyError(MODEL)
    batches = [
        Batch(
            micro_batch_size=1 + index % 7,
            sequence_length=256 + 8 * index,
            gradient_checkpointing=Checkpointing.FULL,
        )
        for index in range(RUNS + 1)
    ]
    return Timing(
        memory=_median(lambda batch: _memory(architecture, kind, batch), batches),
        described=_median(lambda batch: _described(architecture, kind, batch), batches),
        new_run=_median(lambda batch: _speed(architecture, kind, batch, "rtx-3090"), batches),
        further_card=_median(lambda batch: _speed(architecture, kind, batch, "rtx-4090"), batches),
    )


def _memory(architecture: Architecture, kind: MethodKind, batch: Batch) -> MemoryEstimate:
    return estimate_memory(architecture, METHODS[kind], PRECISION, batch, CLUSTER)


def _described(architecture: Architecture, kind: MethodKind, batch: Batch) -> None:
    estimate = _memory(architecture, kind, batch)
    _ = estimate.phases, estimate.components


def _speed(architecture: Architecture, kind: MethodKind, batch: Batch, gpu: str) -> None:
    speed = estimate_speed(
        architecture, METHODS[kind], PRECISION, batch, CLUSTER, devices()[gpu], calibration=bundled_calibration()
    )
    if isinstance(speed, SpeedEstimate):
        time = job_time(speed, JOB, batch, CLUSTER)
        TARIFF.cost(JobSeconds(expected=time.total_seconds, low=time.total_seconds_low, high=time.total_seconds_high))


def _median(call: Callable[[Batch], object], batches: list[Batch]) -> float:
    call(batches[0])
    spans = []
    for batch in batches[1:]:
        start = perf_counter()
        call(batch)
        spans.append(perf_counter() - start)
    return 1e6 * median(spans)


def print_timing() -> None:
    """One line a method."""
    print("\n# Microseconds: memory, and described; speed, time and cost of a new run, and on a further card")
    for kind in METHODS:
        timing = microseconds(kind)
        print(
            f"{kind.value:6} memory {timing.memory:5.0f}   described {timing.described:5.0f}   "
            f"new run {timing.new_run:5.0f} ({timing.new_run / timing.memory:.2f} of memory, "
            f"{timing.new_run / timing.described:.2f} of described)   further card {timing.further_card:5.0f}"
        )
