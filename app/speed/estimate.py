"""How fast a run steps on a card: the step's parts at the roofline, over the share of it such cards reach."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from app.memory.architecture import Architecture
from app.memory.device import Device
from app.memory.inputs import (
    AttentionImplementation,
    Batch,
    Cluster,
    LossKernel,
    Method,
    Offload,
    Precision,
    PrecisionPolicy,
    Strategy,
)
from app.messages import mark, message
from app.speed.calibration import COVERAGE, Calibration
from app.speed.communication import data_parallel_degree, exchange_seconds, exposed_seconds, resolved
from app.speed.model_parallel import WHOLE, part_of, passing_seconds
from app.speed.notes import CalibrationNote, calibration_note, cluster_assumptions, run_assumptions
from app.speed.offload import SPREAD as OFFLOAD_SPREAD
from app.speed.offload import copy_seconds, optimizer_seconds
from app.speed.shape import run_shape
from app.speed.step import PartName, StepWork, step_work, work_of
from app.speed.work import KernelStack


class Bound(StrEnum):
    """What a step mostly waits for."""

    ARITHMETIC = "arithmetic"
    MEMORY_BANDWIDTH = "memory_bandwidth"
    KERNEL_LAUNCHES = "kernel_launches"
    COMMUNICATION = "communication"


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedEstimate:
    """Speed of the whole run (all its GPUs). Token counts are positions, padding among them."""

    tokens_per_second: float
    tokens_per_second_low: float
    tokens_per_second_high: float
    coverage: float
    step_seconds: float
    """Of one optimizer step with all its micro-steps."""
    mfu: float
    """What the method needs ÷ what the card could compute. A repeated forward does not count, nor do weight gradients
    of frozen weights."""
    hfu: float
    """The same with the repeated forward."""
    bound_by: Bound
    breakdown: tuple[tuple[str, float], ...]
    """Named seconds that sum to ``step_seconds``."""
    assumptions: tuple[str, ...]
    calibration: CalibrationNote


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsupported:
    """Why there is no speed, and the change that would run, with that run's speed."""

    reason: str
    changes: Mapping[str, str] | None = None
    suggested: SpeedEstimate | None = None


def kernel_stack(batch: Batch) -> KernelStack:
    """Liger's switch replaces norms, rotary embedding and activation with the loss (transformers
    integrations/liger.py); otherwise the layers run as Transformers writes them."""
    return KernelStack.FUSED if batch.loss_kernel is LossKernel.LIGER else KernelStack.EAGER


def estimate_speed(
    architecture: Architecture,
    method: Method,
    precision: Precision,
    batch: Batch,
    cluster: Cluster,
    device: Device,
    *,
    calibration: Calibration,
    stack: KernelStack | None = None,
) -> SpeedEstimate | Unsupported:
    """The speed of a run, or why the card (or the model of it) has none.

    ``batch`` is one GPU's; the result's tokens per second are those of all ``cluster.num_gpus``. Seconds are of the
    whole optimizer step. The interval holds a new measurement with the stated ``coverage``.
    """
    kernels = stack or kernel_stack(batch)
    cluster = resolved(cluster, method)
    obstacle = _obstacle(method, precision, batch, cluster, device)
    if obstacle is not None:
        return _with_suggestion(obstacle, architecture, method, precision, batch, cluster, device, calibration)
    work = step_work(
        architecture,
        method,
        precision.policy,
        batch,
        kernels,
        device,
        calibration.dequantisation_bandwidth_fraction,
        cluster,
    )
    if work is None:
        return Unsupported(
            reason=message("No dense rate with float32 accumulation is published for {card}.", card=device.name)
        )
    return _speed(work, precision, batch, cluster, device, calibration)


# --- what cannot run


@dataclass(frozen=True, slots=True)
class _Obstacle:
    reason: str
    changes: Mapping[str, str] | None = None


def _obstacle(method: Method, precision: Precision, batch: Batch, cluster: Cluster, device: Device) -> _Obstacle | None:
    half = precision.policy in (PrecisionPolicy.BF16, PrecisionPolicy.BF16_MIXED)
    obstacle = None
    if half and not device.supports_bf16:
        obstacle = _no_bfloat16(device)
    elif batch.attention is AttentionImplementation.FLASH_ATTENTION_2 and not device.supports_flash_attention_2:
        obstacle = _Obstacle(message("{card} does not run FlashAttention-2.", card=device.name), {"attention": "sdpa"})
    elif method.quantization is not None and not device.supports_bitsandbytes:
        obstacle = _Obstacle(message("bitsandbytes does not run on {card}.", card=device.name))
    elif cluster.offload is not Offload.NONE and cluster.offload_target != "cpu":
        obstacle = _Obstacle(mark("Speed with offloading to a disk is not modelled: it depends on the disk."))
    elif cluster.expert_parallel > 1:
        obstacle = _Obstacle(
            mark("Speed with expert parallelism is not modelled: it depends on how evenly tokens choose experts.")
        )
    return obstacle


def _no_bfloat16(device: Device) -> _Obstacle:
    if device.rates.fp16_fp32_accumulate is None:
        reason = message("{card} has neither bfloat16 nor fast float16.", card=device.name)
        return _Obstacle(reason, {"precision": "fp32"})
    return _Obstacle(message("{card} has no bfloat16.", card=device.name), {"precision": "fp16-mixed"})


def _with_suggestion(
    obstacle: _Obstacle,
    architecture: Architecture,
    method: Method,
    precision: Precision,
    batch: Batch,
    cluster: Cluster,
    device: Device,
    calibration: Calibration,
) -> Unsupported:
    changes = obstacle.changes
    if changes is None:
        return Unsupported(reason=obstacle.reason)
    if "precision" in changes:
        precision = replace(precision, policy=PrecisionPolicy(changes["precision"]))
    if "attention" in changes:
        batch = replace(batch, attention=AttentionImplementation(changes["attention"]))
    other = estimate_speed(architecture, method, precision, batch, cluster, device, calibration=calibration)
    if isinstance(other, SpeedEstimate):
        return Unsupported(reason=obstacle.reason, changes=changes, suggested=other)
    return Unsupported(
        reason=obstacle.reason,
        changes={**changes, **other.changes} if other.changes else None,
        suggested=other.suggested,
    )


# --- what runs


class _Timing(NamedTuple):
    """What a step waits for, in seconds, and how far that may be off."""

    computing: float
    """Arithmetic and memory traffic, and what the launches of kernels add."""
    waiting: float
    """The part of ``computing`` that is for launches."""
    exchange: float
    """Between the GPUs, hidden or not."""
    exposed: float
    updating: float
    """The optimizer on the host."""
    fraction: float
    spread: float

    @property
    def seconds(self) -> float:
        """Of the step."""
        return self.computing + self.exposed + self.updating


def _timing(work: StepWork, batch: Batch, cluster: Cluster, device: Device, calibration: Calibration) -> _Timing:
    efficiency = calibration.efficiency_of(device)
    spread = efficiency.spread
    arithmetic = work.roofline_seconds / efficiency.fraction
    waiting = max(0.0, work.launches * calibration.seconds_per_launch - arithmetic)
    computing = arithmetic + waiting
    exchange = exchange_seconds(cluster, device, work.exchange, batch.gradient_accumulation_steps)
    passing = 0.0
    if part_of(cluster) is not WHOLE:
        waiting_for = passing_seconds(cluster, device, work.passing, work.micro_steps)
        exchange, passing = exchange + waiting_for.hidden, waiting_for.exposed
        # Another schedule would let a pipeline wait less (arXiv:2104.04473, section 2.2.2), at the least not at all.
        spread *= work.micro_steps / batch.gradient_accumulation_steps
    exposed, updating = exposed_seconds(exchange, computing) + passing, 0.0
    if cluster.offload is not Offload.NONE:
        exposed += copy_seconds(cluster, device, work.exchange, batch.gradient_accumulation_steps)
        updating = optimizer_seconds(cluster, work.exchange)
        spread *= OFFLOAD_SPREAD
    return _Timing(computing, waiting, exchange, exposed, updating, efficiency.fraction, spread)


class StepClock:
    """``step_seconds`` of :func:`estimate_speed` alone, for a run on one card after the other."""

    def __init__(
        self,
        architecture: Architecture,
        method: Method,
        precision: Precision,
        batch: Batch,
        cluster: Cluster,
        *,
        calibration: Calibration,
    ) -> None:
        self._method, self._precision, self._batch = method, precision, batch
        self._cluster, self._calibration = resolved(cluster, method), calibration
        kernels = kernel_stack(batch)
        self._shape = run_shape(architecture, method, precision.policy, batch, kernels, self._cluster.strategy)

    def seconds_on(self, device: Device) -> float | None:
        """Seconds of one optimizer step; None where :func:`estimate_speed` has none."""
        batch, cluster, calibration = self._batch, self._cluster, self._calibration
        if _obstacle(self._method, self._precision, batch, cluster, device) is not None:
            return None
        fraction = calibration.dequantisation_bandwidth_fraction
        work = work_of(self._shape, self._precision.policy, batch, device, fraction, cluster)
        return None if work is None else _timing(work, batch, cluster, device, calibration).seconds


def _speed(
    work: StepWork,
    precision: Precision,
    batch: Batch,
    cluster: Cluster,
    device: Device,
    calibration: Calibration,
) -> SpeedEstimate:
    timing = _timing(work, batch, cluster, device, calibration)
    note = calibration_note(device.architecture, device.segment, calibration.efficiency_of(device))
    fraction, spread, seconds = timing.fraction, timing.spread, timing.seconds
    tokens = batch.micro_batch_size * batch.sequence_length * batch.gradient_accumulation_steps
    tokens_per_second = tokens * data_parallel_degree(cluster) / seconds
    breakdown: list[tuple[str, float]] = [(name, part / fraction) for name, part in work.parts]
    if timing.waiting:
        breakdown.append((PartName.KERNEL_LAUNCHES, timing.waiting))
    if timing.exposed:
        breakdown.append((PartName.COMMUNICATION, timing.exposed))
    if timing.updating:
        breakdown.append((PartName.OPTIMIZER, timing.updating))
    share = 1 / (work.rate * seconds)
    if cluster.strategy is Strategy.DEVICE_MAP:
        share /= cluster.num_gpus
    assumptions = run_assumptions(
        note.sentence,
        waits_for_host=timing.waiting > 0,
        in_float32=precision.policy is PrecisionPolicy.FP32,
        skips_masked=work.skips_masked,
    )
    if cluster.num_gpus > 1 or cluster.offload is not Offload.NONE:
        assumptions += cluster_assumptions(cluster)
    communication = max(timing.exchange, timing.exposed) > timing.computing
    return SpeedEstimate(
        tokens_per_second=tokens_per_second,
        tokens_per_second_low=tokens_per_second / spread,
        tokens_per_second_high=tokens_per_second * spread,
        coverage=COVERAGE,
        step_seconds=seconds,
        mfu=work.model_flops * share,
        hfu=work.hardware_flops * share,
        bound_by=_bound(work, launches=timing.waiting > 0, communication=communication),
        breakdown=tuple(breakdown),
        assumptions=assumptions,
        calibration=note,
    )


def _bound(work: StepWork, *, launches: bool, communication: bool) -> Bound:
    if communication:
        return Bound.COMMUNICATION
    if launches:
        return Bound.KERNEL_LAUNCHES
    moving = work.roofline_seconds - work.arithmetic_seconds
    return Bound.ARITHMETIC if work.arithmetic_seconds >= moving else Bound.MEMORY_BANDWIDTH
