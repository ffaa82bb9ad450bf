"""How fast a run steps on a card: the step's parts at the roofline, over the share of it such cards reach."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

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
from app.messages import counted, mark, message
from app.speed.calibration import COVERAGE, Calibration, Efficiency, Level
from app.speed.communication import (
    DEFAULT_NETWORK_GBIT_PER_SECOND,
    data_parallel_degree,
    exchange_seconds,
    exposed_seconds,
    resolved,
)
from app.speed.step import Part, PartName, StepWork, step_work
from app.speed.work import KernelStack


class Bound(StrEnum):
    """What a step mostly waits for."""

    ARITHMETIC = "arithmetic"
    MEMORY_BANDWIDTH = "memory_bandwidth"
    KERNEL_LAUNCHES = "kernel_launches"
    COMMUNICATION = "communication"


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationNote:
    """What stands behind the achieved share of the roofline."""

    gpu_class: str
    fraction: float
    runs: int
    sources: tuple[str, ...]
    measured: bool
    """False where nobody's runs on this class are known and the value is its segment's."""


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
    parallel = (cluster.tensor_parallel, cluster.pipeline_parallel, cluster.context_parallel, cluster.expert_parallel)
    obstacle = None
    if half and not device.supports_bf16:
        obstacle = _no_bfloat16(device)
    elif batch.attention is AttentionImplementation.FLASH_ATTENTION_2 and not device.supports_flash_attention_2:
        obstacle = _Obstacle(message("{card} does not run FlashAttention-2.", card=device.name), {"attention": "sdpa"})
    elif method.quantization is not None and not device.supports_bitsandbytes:
        obstacle = _Obstacle(message("bitsandbytes does not run on {card}.", card=device.name))
    elif cluster.offload is not Offload.NONE:
        obstacle = _Obstacle(
            mark("Speed with offloading is not modelled: it depends on the host's memory and processor.")
        )
    elif max(parallel) > 1:
        obstacle = _Obstacle(mark("Speed with tensor, pipeline, context or expert parallelism is not modelled."))
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


def _speed(
    work: StepWork,
    precision: Precision,
    batch: Batch,
    cluster: Cluster,
    device: Device,
    calibration: Calibration,
) -> SpeedEstimate:
    efficiency = calibration.efficiency_of(device)
    arithmetic = work.roofline_seconds / efficiency.fraction
    waiting = max(0.0, work.launches * calibration.seconds_per_launch - arithmetic)
    computing = arithmetic + waiting
    exchange = exchange_seconds(cluster, device, work.exchange, batch.gradient_accumulation_steps)
    exposed = exposed_seconds(exchange, computing)
    seconds = computing + exposed
    tokens = batch.micro_batch_size * batch.sequence_length * batch.gradient_accumulation_steps
    tokens_per_second = tokens * data_parallel_degree(cluster) / seconds
    spread = efficiency.spread
    breakdown = [(part.name.value, part.seconds / efficiency.fraction) for part in work.parts]
    if waiting:
        breakdown.append((PartName.KERNEL_LAUNCHES.value, waiting))
    if exposed:
        breakdown.append((PartName.COMMUNICATION.value, exposed))
    share = 1 / (work.rate * seconds)
    if cluster.strategy is Strategy.DEVICE_MAP:
        share /= cluster.num_gpus
    return SpeedEstimate(
        tokens_per_second=tokens_per_second,
        tokens_per_second_low=tokens_per_second / spread,
        tokens_per_second_high=tokens_per_second * spread,
        coverage=COVERAGE,
        step_seconds=seconds,
        mfu=work.model_flops * share,
        hfu=work.hardware_flops * share,
        bound_by=_bound(work.parts, launches=waiting > 0, communication=exchange > computing),
        breakdown=tuple(breakdown),
        assumptions=_assumptions(work, precision, cluster, device, efficiency, launches=waiting > 0),
        calibration=CalibrationNote(
            gpu_class=f"{device.architecture}, {device.segment}",
            fraction=efficiency.fraction,
            runs=efficiency.runs,
            sources=efficiency.sources,
            measured=efficiency.measured,
        ),
    )


def _bound(parts: tuple[Part, ...], *, launches: bool, communication: bool) -> Bound:
    if communication:
        return Bound.COMMUNICATION
    if launches:
        return Bound.KERNEL_LAUNCHES
    computing = sum(part.seconds for part in parts if part.arithmetic)
    moving = sum(part.seconds for part in parts if not part.arithmetic)
    return Bound.ARITHMETIC if computing >= moving else Bound.MEMORY_BANDWIDTH


def _assumptions(
    work: StepWork,
    precision: Precision,
    cluster: Cluster,
    device: Device,
    efficiency: Efficiency,
    *,
    launches: bool,
) -> tuple[str, ...]:
    lines = [_basis(device, efficiency)]
    if launches:
        lines.append(
            mark(
                "The host launches kernels more slowly than the card runs them, at the pace of the one host that was "
                "measured: a faster one, or a larger micro-batch, gives more."
            )
        )
    if precision.policy is PrecisionPolicy.FP32:
        lines.append(
            mark("float32 matrix products run without TF32, which PyTorch leaves off unless a script sets it.")
        )
    if not work.skips_masked:
        lines.append(
            mark(
                "No flash attention: padded batches, float32 attention or an older card, so masked scores are "
                "computed too."
            )
        )
    if data_parallel_degree(cluster) > 1:
        lines.append(mark("The exchange between GPUs hides behind up to 90 % of the arithmetic."))
        if cluster.num_gpus > cluster.gpus_per_node and cluster.network_gbit_per_second is None:
            lines.append(
                message(
                    "The network between servers is taken for {rate} Gbit/s.",
                    rate=round(DEFAULT_NETWORK_GBIT_PER_SECOND),
                )
            )
    if cluster.strategy is Strategy.DEVICE_MAP and cluster.num_gpus > 1:
        lines.append(mark("device_map runs one GPU after another: more cards add memory, not speed."))
    return tuple(lines)


def _basis(device: Device, efficiency: Efficiency) -> str:
    gpu_class = message("{architecture} {segment} cards", architecture=device.architecture, segment=device.segment)
    if not efficiency.measured and efficiency.level is Level.CLASS:
        return message(
            "The only published runs on {cards} are from a source that is slow on every card; what it loses there is "
            "taken off, and the interval is wider.",
            cards=gpu_class,
        )
    if not efficiency.measured:
        return message(
            "Nobody's runs on {cards} are known: the value is other cards', with a wider interval.", cards=gpu_class
        )
    sources = counted("one source", "{count} sources", len(efficiency.sources))
    runs = counted("{count} published run", "{count} published runs", efficiency.runs)
    return message("Calibrated on {runs} from {sources} on {cards}.", runs=runs, sources=sources, cards=gpu_class)
