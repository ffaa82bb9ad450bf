"""One training step on one card, part by part, in seconds at the roofline.

A part's time at the roofline is its arithmetic at the card's dense rate plus its traffic at the card's memory bandwidth
(matrix products: the larger of the two, for a kernel overlaps them). What a card really reaches of it is the
calibration's business (:mod:`app.speed.calibration`).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from app.memory.architecture import Architecture
from app.memory.device import Device
from app.memory.inputs import AttentionImplementation, Batch, Cluster, Method, PrecisionPolicy, Strategy
from app.speed.communication import Exchange, optimizer_shards
from app.speed.model_parallel import WHOLE, Passing, part_of
from app.speed.offload import OPTIMIZER
from app.speed.shape import AttentionShape, RunShape, run_shape
from app.speed.work import KernelStack

TERA: Final = 1e12
SDPA: Final = AttentionImplementation.SDPA
ONE_GPU: Final = Cluster(strategy=Strategy.SINGLE)

ATTENTION_RELATIVE_RATE: Final[Mapping[str, float]] = {
    # FlashAttention-2 (arXiv:2307.08691): up to 230 TFLOP/s forward and 196 backward of an A100's 312, where a large
    # bfloat16 matrix product reaches about 250: 0.85 of it.
    "default": 0.85,
    # The same paper, section 4.1: 335 TFLOP/s on an H100, where a large matrix product reaches about 650: half.
    "Hopper": 0.5,
}


class PartName(StrEnum):
    """The parts of a step, in the order charts show them."""

    MATMUL = "matmul"
    ATTENTION = "attention"
    ELEMENTWISE = "elementwise"
    HEAD_AND_LOSS = "head_and_loss"
    DEQUANTISATION = "dequantisation"
    WEIGHT_CASTS = "weight_casts"
    OPTIMIZER = "optimizer"
    KERNEL_LAUNCHES = "kernel_launches"
    COMMUNICATION = "communication"


class StepWork(NamedTuple):
    """One optimizer step on one GPU, with all its micro-steps."""

    parts: list[tuple[PartName, float]]
    """Seconds of each part at the roofline."""
    arithmetic_seconds: float
    """Of the parts that arithmetic bounds; memory bandwidth bounds the others."""
    roofline_seconds: float
    """Of all parts together, without kernel launches and communication."""
    launches: int
    """Kernels that the step launches."""
    model_flops: float
    """What the method needs: no repeated forward."""
    hardware_flops: float
    """With the repeated forward and what an attention kernel does not skip."""
    rate: float
    """The dense rate that the matrix products run at, FLOP/s."""
    skips_masked: bool
    """False where no flash kernel runs, so that scores which the causal mask hides are computed too."""
    exchange: Exchange
    """What the GPUs that hold the same weights exchange in a micro-step, if there are several."""
    passing: Passing
    """What those that share a model pass to each other in a micro-step, before it is shared out."""
    micro_steps: int
    """With those that a pipeline idles."""


def step_work(
    architecture: Architecture,
    method: Method,
    precision: PrecisionPolicy,
    batch: Batch,
    stack: KernelStack,
    device: Device,
    dequantisation_bandwidth_fraction: float,
    cluster: Cluster = ONE_GPU,
) -> StepWork | None:
    """The parts of one optimizer step on ``device``; None where the card has no published rate for the precision.
    The cluster's strategy is not ``auto``."""
    shape = run_shape(architecture, method, precision, batch, stack, cluster.strategy)
    return work_of(shape, precision, batch, device, dequantisation_bandwidth_fraction, cluster)


def work_of(
    shape: RunShape,
    precision: PrecisionPolicy,
    batch: Batch,
    device: Device,
    dequantisation_bandwidth_fraction: float,
    cluster: Cluster = ONE_GPU,
) -> StepWork | None:
    """The same of a run whose shape is known, for one card after the other."""
    rate = dense_rate(device, precision)
    if rate is None:
        return None
    bandwidth = device.memory_bandwidth_bytes_per_second
    part, useful = part_of(cluster), batch.gradient_accumulation_steps
    micro_steps = useful + part.bubbles
    times, weighing, heading = micro_steps * part.layers, micro_steps * part.weights, micro_steps * part.head
    attention, flash = shape.attention, device.supports_flash_attention_2 or batch.attention is not SDPA
    attention_flops = attention.flops if flash else attention.whole_flops
    matmul, weights = times * shape.matmul_flops / rate, weighing * shape.matmul_bytes / bandwidth
    attending = times * _attention_seconds(attention, device, rate, flash=flash)
    head, logits = heading * shape.head_flops / rate, heading * shape.head_bytes / bandwidth
    parts = [
        (PartName.MATMUL, max(matmul, weights)),
        (PartName.ATTENTION, attending),
        (PartName.ELEMENTWISE, times * shape.elementwise_bytes / bandwidth),
        (PartName.HEAD_AND_LOSS, head + logits),
    ]
    if shape.dequantised_bytes:
        seconds = shape.dequantised_bytes / (bandwidth * dequantisation_bandwidth_fraction)
        parts.append((PartName.DEQUANTISATION, weighing * seconds))
    if shape.cast_bytes:
        parts.append((PartName.WEIGHT_CASTS, weighing * shape.cast_bytes / bandwidth))
    if cluster.offload not in OPTIMIZER:
        updated = part.weights * shape.optimizer_bytes / optimizer_shards(cluster)
        parts.append((PartName.OPTIMIZER, updated / bandwidth))
    arithmetic = attending + (matmul if matmul >= weights else 0.0) + (head + logits if head >= logits else 0.0)
    return StepWork(
        parts=parts,
        arithmetic_seconds=arithmetic,
        roofline_seconds=sum([seconds for _, seconds in parts]),
        launches=round(micro_steps * part.launches * shape.launches),
        model_flops=useful * part.useful * (shape.model_matmul_flops + attention.model_flops + shape.model_head_flops),
        hardware_flops=useful * part.useful * (shape.matmul_flops + attention_flops + shape.head_flops),
        rate=rate,
        skips_masked=attention_flops < attention.whole_flops,
        exchange=shape.exchange if part is WHOLE else shape.exchange.share(part.weights),
        passing=shape.passing,
        micro_steps=micro_steps,
    )


def _attention_seconds(attention: AttentionShape, device: Device, rate: float, *, flash: bool) -> float:
    if attention.in_float32 and device.rates.fp32 is not None:
        rate = device.rates.fp32 * TERA
    rate *= ATTENTION_RELATIVE_RATE.get(device.architecture, ATTENTION_RELATIVE_RATE["default"])
    flops = attention.flops if flash else attention.whole_flops
    scores = attention.score_bytes if flash else attention.whole_score_bytes
    return flops / rate + scores / device.memory_bandwidth_bytes_per_second


def dense_rate(device: Device, precision: PrecisionPolicy) -> float | None:
    """The card's dense rate with float32 accumulation for a policy's matrix products, FLOP/s; None where unknown.

    float32 runs on the ordinary units: ``torch.backends.cuda.matmul.allow_tf32`` is off unless a script sets it.
    """
    rates = device.rates
    match precision:
        case PrecisionPolicy.BF16 | PrecisionPolicy.BF16_MIXED:
            tera = rates.bf16_fp32_accumulate
        case PrecisionPolicy.FP16_MIXED:
            tera = rates.fp16_fp32_accumulate
        case PrecisionPolicy.FP32:
            tera = rates.fp32
    return None if tera is None else tera * TERA
