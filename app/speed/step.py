"""One training step, part by part: what it computes and moves on one GPU, and how long that takes at the roofline.

A part's time at the roofline is its arithmetic at the card's dense rate plus its traffic at the card's memory bandwidth
(matrix products: the larger of the two, for a kernel overlaps them). What a card really reaches of it is the
calibration's business (:mod:`app.speed.calibration`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from app.memory.architecture import Architecture
from app.memory.device import Device
from app.memory.inputs import (
    AdapterDtype,
    AttentionImplementation,
    Batch,
    Checkpointing,
    LossKernel,
    Method,
    MethodKind,
    PrecisionPolicy,
    QuantizationFormat,
)
from app.speed.communication import Exchange
from app.speed.optimizer_traffic import optimizer_bytes_per_parameter
from app.speed.work import AttentionWork, KernelStack, adapter_work, architecture_work

TERA: Final = 1e12

RECOMPUTED_SHARE: Final[Mapping[Checkpointing, float]] = {
    Checkpointing.NONE: 0.0,
    # Every other matrix product is recomputed, attention's output is kept: torchtitan's selective (op) policy,
    # torchtitan/distributed/activation_checkpoint.py.
    Checkpointing.SELECTIVE: 0.5,
    Checkpointing.FULL: 1.0,
}

ATTENTION_RELATIVE_RATE: Final[Mapping[str, float]] = {
    # FlashAttention-2 (arXiv:2307.08691): up to 230 TFLOP/s forward and 196 backward of an A100's 312, where a large
    # bfloat16 matrix product reaches about 250: 0.85 of it.
    "default": 0.85,
    # The same paper, section 4.1: 335 TFLOP/s on an H100, where a large matrix product reaches about 650: half.
    "Hopper": 0.5,
}
FLASH_BACKWARD_RATIO: Final = 2.5
"""Five products in backward against two in forward (arXiv:2307.08691, section 4.1)."""
PLAIN_BACKWARD_RATIO: Final = 2.0

EAGER_SCORE_BYTES: Final = 26
"""A score's forward, read + written: product 2, mask 2+2, softmax with its upcast 2+4 and 4+4, downcast 4+2, read by the
second product 2 (transformers modeling_llama.py eager_attention_forward). Backward moves as much again, and half."""
EAGER_SCORE_BACKWARD_RATIO: Final = 1.5

ELEMENTWISE_BACKWARD_RATIO: Final = 2.0
"""Backward reads the gradient and what was kept and writes a gradient: twice a forward's traffic."""

LOGIT_BYTES: Final[Mapping[LossKernel, int]] = {
    # Read + written per token and vocabulary entry. Standard: logits 2, upcast 2+4, log-softmax 4+4, its gradient 4+4+4,
    # the loss's gradient 4, downcast 4+2 (torch.nn.functional.cross_entropy over float32 logits).
    LossKernel.STANDARD: 38,
    # Liger's FusedLinearCrossEntropy: logits 2, read for the maximum and sum 2, gradient in place 2+2, read 2.
    LossKernel.LIGER: 10,
    # Tiles of logits, made again in backward: 2+2+4 forward, 2+4+4+2 backward (trl/kernels/chunked_logprob.py).
    LossKernel.CHUNKED: 20,
}

WEIGHT_BYTES: Final = 2
LORA_OUTPUT_BYTES: Final = 12
"""Per output feature: product written 2, scaling 2+2, addition 4+2 (peft tuners/lora/layer.py Linear.forward)."""
LORA_INPUT_BYTES: Final = 2
LORA_FLOAT32_INPUT_BYTES: Final = 12
"""A float32 adapter under autocast: upcast 2+4, autocast's downcast 4+2."""
LORA_DROPOUT_BYTES: Final = 5
"""Reads 2, writes 2 and a mask of 1."""
LORA_KERNELS: Final = 5
QUANTISED_KERNELS: Final = 3
"""Scale lookup, offset, dequantisation (bitsandbytes functional.py dequantize_4bit with double quantisation)."""
CAST_BYTES: Final = 6
"""float32 read, bfloat16 written: autocast's copy of a trained weight."""


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


@dataclass(frozen=True, slots=True)
class Part:
    """Seconds of one part at the roofline, and what bounds it."""

    name: PartName
    seconds: float
    bound_by_arithmetic: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StepWork:
    """One optimizer step on one GPU."""

    parts: tuple[Part, ...]
    """At the roofline, for the whole step (all its micro-steps), without kernel launches and communication."""
    roofline_seconds: float
    launches: int
    """Kernels that the step launches."""
    model_flops: float
    """What the method needs: no repeated forward."""
    hardware_flops: float
    """With the repeated forward."""
    rate: float
    """The dense rate that the matrix products run at, FLOP/s."""
    exchange: Exchange
    """What the GPUs exchange in a micro-step, if there are several."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shape:
    """What a step takes, for one run on any card: FLOPs and bytes of a micro-step, bytes of the optimizer's step."""

    tokens: int
    matmul_flops: float
    model_matmul_flops: float
    matmul_bytes: float
    attention_flops: float
    masked_attention_flops: float
    """Where no flash kernel can skip what is masked."""
    model_attention_flops: float
    score_bytes: float
    elementwise_bytes: float
    head_flops: float
    model_head_flops: float
    head_bytes: float
    dequantised_bytes: float
    cast_bytes: float
    optimizer_bytes: float
    launches: int
    exchange: Exchange


def step_work(
    architecture: Architecture,
    method: Method,
    policy: PrecisionPolicy,
    batch: Batch,
    stack: KernelStack,
    device: Device,
    dequantisation_bandwidth_fraction: float,
    optimizer_shards: int = 1,
) -> StepWork | None:
    """The parts of one optimizer step on ``device``; None where the card has no published rate for the precision."""
    rate = dense_rate(device, policy)
    if rate is None:
        return None
    shape = _shape(architecture, method, policy, batch, stack)
    bandwidth = device.memory_bandwidth_bytes_per_second
    flash = uses_flash(method, policy, batch, device) and all(
        part.sdpa for part in architecture_work(architecture, stack).attention
    )
    attention_flops = shape.attention_flops if flash else shape.masked_attention_flops
    relative = ATTENTION_RELATIVE_RATE.get(device.architecture, ATTENTION_RELATIVE_RATE["default"])
    attention_rate = (attention_rate_base(device, method, policy) or rate) * relative
    accumulation = batch.gradient_accumulation_steps
    matmul, matmul_traffic = shape.matmul_flops / rate, shape.matmul_bytes / bandwidth
    parts = [
        Part(PartName.MATMUL, accumulation * max(matmul, matmul_traffic), matmul >= matmul_traffic),
        Part(
            PartName.ATTENTION,
            accumulation * (attention_flops / attention_rate + (0.0 if flash else shape.score_bytes / bandwidth)),
            bound_by_arithmetic=True,
        ),
        Part(PartName.ELEMENTWISE, accumulation * shape.elementwise_bytes / bandwidth, bound_by_arithmetic=False),
        Part(
            PartName.HEAD_AND_LOSS,
            accumulation * (shape.head_flops / rate + shape.head_bytes / bandwidth),
            shape.head_flops / rate >= shape.head_bytes / bandwidth,
        ),
    ]
    if shape.dequantised_bytes:
        seconds = shape.dequantised_bytes / (bandwidth * dequantisation_bandwidth_fraction)
        parts.append(Part(PartName.DEQUANTISATION, accumulation * seconds, bound_by_arithmetic=False))
    if shape.cast_bytes:
        parts.append(
            Part(PartName.WEIGHT_CASTS, accumulation * shape.cast_bytes / bandwidth, bound_by_arithmetic=False)
        )
    parts.append(
        Part(PartName.OPTIMIZER, shape.optimizer_bytes / optimizer_shards / bandwidth, bound_by_arithmetic=False)
    )
    model_flops = shape.model_matmul_flops + shape.model_attention_flops + shape.model_head_flops
    return StepWork(
        parts=tuple(parts),
        roofline_seconds=sum(part.seconds for part in parts),
        launches=accumulation * shape.launches,
        model_flops=accumulation * model_flops,
        hardware_flops=accumulation * (shape.matmul_flops + attention_flops + shape.head_flops),
        rate=rate,
        exchange=shape.exchange,
    )


def dense_rate(device: Device, policy: PrecisionPolicy) -> float | None:
    """The card's dense rate with float32 accumulation for a policy's matrix products, FLOP/s; None where unknown.

    float32 runs on the ordinary units: ``torch.backends.cuda.matmul.allow_tf32`` is off unless a script sets it.
    """
    rates = device.rates
    tera = {
        PrecisionPolicy.BF16: rates.bf16_fp32_accumulate,
        PrecisionPolicy.BF16_MIXED: rates.bf16_fp32_accumulate,
        PrecisionPolicy.FP16_MIXED: rates.fp16_fp32_accumulate,
        PrecisionPolicy.FP32: rates.fp32,
    }[policy]
    return None if tera is None else tera * TERA


def attends_in_float32(method: Method, policy: PrecisionPolicy) -> bool:
    """Whether queries, keys and values are float32: the policy says so, or a k-bit preparation without autocast does."""
    prepared = method.quantization is not None and method.quantization.upcast_non_quantized
    return policy is PrecisionPolicy.FP32 or (prepared and policy is PrecisionPolicy.BF16)


def attention_rate_base(device: Device, method: Method, policy: PrecisionPolicy) -> float | None:
    """The rate of attention's own products, FLOP/s."""
    if attends_in_float32(method, policy):
        return None if device.rates.fp32 is None else device.rates.fp32 * TERA
    return dense_rate(device, policy)


def uses_flash(method: Method, policy: PrecisionPolicy, batch: Batch, device: Device) -> bool:
    """Whether a flash kernel runs, which neither stores the scores nor computes those the causal mask hides."""
    if attends_in_float32(method, policy) or batch.attention is AttentionImplementation.EAGER:
        return False
    if batch.attention is AttentionImplementation.FLASH_ATTENTION_2:
        return True
    return batch.packing and device.supports_flash_attention_2


@lru_cache(maxsize=8192)
def _shape(
    architecture: Architecture, method: Method, policy: PrecisionPolicy, batch: Batch, stack: KernelStack
) -> _Shape:
    work = architecture_work(architecture, stack)
    tokens = batch.micro_batch_size * batch.sequence_length
    repeated = RECOMPUTED_SHARE[batch.gradient_checkpointing]
    trains_all = method.kind is MethodKind.FULL
    element_bytes = 4 if policy is PrecisionPolicy.FP32 else 2
    stream = _stream_factor(method, policy)

    passes = 1 + 1 + (1 if trains_all else 0)
    matmul = 2.0 * work.active_elements * tokens
    matmul_bytes = work.stored_elements * element_bytes * (2 + repeated + (1 if trains_all else 0))
    elementwise = float(work.elementwise_bytes) * stream
    launches = work.kernels * (3 + repeated)
    trained = float(architecture.total_parameters)
    adapter_flops = 0.0
    if method.adapter is not None:
        adapters = adapter_work(architecture, method.adapter)
        trained = float(adapters.elements)
        adapter_flops = 2.0 * adapters.elements * tokens
        float32 = _adapters_in_float32(method.adapter.dtype, policy)
        per_input = LORA_FLOAT32_INPUT_BYTES if float32 else LORA_INPUT_BYTES
        if method.adapter.dropout > 0:
            per_input += LORA_DROPOUT_BYTES
        elementwise += stream * (adapters.input_features * per_input + adapters.output_features * LORA_OUTPUT_BYTES)
        launches += adapters.modules * LORA_KERNELS * (3 + repeated)

    dequantised = 0.0
    if method.quantization is not None:
        stored = 1.0 if method.quantization.format is QuantizationFormat.INT8 else 0.5
        dequantised = work.quantised_elements * (stored + WEIGHT_BYTES) * (2 + repeated)
        launches += work.projections * QUANTISED_KERNELS * (2 + repeated)
    casts = 0.0
    gradient_bytes = _trained_bytes(method, policy)
    mixed = policy in (PrecisionPolicy.BF16_MIXED, PrecisionPolicy.FP16_MIXED)
    if trains_all and mixed:
        casts = CAST_BYTES * trained * (1 + repeated) + CAST_BYTES * trained
    if batch.gradient_accumulation_steps > 1:
        casts += 3 * gradient_bytes * trained

    loss_repeat = 1 if batch.loss_kernel is LossKernel.CHUNKED else 0
    head = 2.0 * work.head_elements * tokens
    forward_attention = [_attention_flops(part, tokens, batch.sequence_length) for part in work.attention]
    kept = sum(flash for flash, _, _ in forward_attention)
    whole = sum(full for _, full, _ in forward_attention)
    scores = sum(count for _, _, count in forward_attention)
    attention_repeat = 1.0 if batch.gradient_checkpointing is Checkpointing.FULL else 0.0
    score_bytes = EAGER_SCORE_BYTES * (2 if attends_in_float32(method, policy) else 1)
    masked_kernel = batch.attention is not AttentionImplementation.EAGER and not attends_in_float32(method, policy)
    masked_backward = FLASH_BACKWARD_RATIO if masked_kernel else PLAIN_BACKWARD_RATIO
    return _Shape(
        tokens=tokens,
        matmul_flops=matmul * (passes + repeated) + adapter_flops * (3 + repeated),
        model_matmul_flops=matmul * passes + adapter_flops * 3,
        matmul_bytes=matmul_bytes,
        attention_flops=kept * (1 + attention_repeat + FLASH_BACKWARD_RATIO),
        masked_attention_flops=whole * (1 + attention_repeat + masked_backward),
        model_attention_flops=kept * 3.0,
        # SDPA's memory-efficient kernel reads the mask and stores no scores.
        score_bytes=scores * (2 * (2 + attention_repeat))
        if masked_kernel and all(p.sdpa for p in work.attention)
        else scores * score_bytes * (1 + attention_repeat + EAGER_SCORE_BACKWARD_RATIO),
        elementwise_bytes=elementwise * tokens * (1 + float(repeated > 0) + ELEMENTWISE_BACKWARD_RATIO),
        head_flops=head * (passes + loss_repeat),
        model_head_flops=head * passes,
        head_bytes=float(LOGIT_BYTES[batch.loss_kernel]) * work.vocab_size * tokens,
        dequantised_bytes=dequantised,
        cast_bytes=casts,
        optimizer_bytes=trained * optimizer_bytes_per_parameter(method.optimizer, gradient_bytes, method.max_grad_norm),
        launches=round(launches),
        exchange=Exchange(
            parameter_bytes=_stored_bytes(architecture, method, policy, work.quantised_elements),
            gradient_bytes=gradient_bytes * trained,
        ),
    )


def _attention_flops(part: AttentionWork, tokens: int, sequence_length: int) -> tuple[float, float, float]:
    """Forward FLOPs of causal attention with what is masked skipped, without skipping, and the number of scores."""
    window = min(part.window or sequence_length, sequence_length)
    seen = window - window * window / (2 * sequence_length)
    per_key = 4.0 * part.query_width * tokens * part.layers
    return per_key * seen, per_key * sequence_length, float(tokens * sequence_length * part.heads * part.layers)


def _stream_factor(method: Method, policy: PrecisionPolicy) -> float:
    """How many times 16-bit traffic the layers' activations move: float32, or a residual stream that k-bit preparation
    left in float32."""
    if policy is PrecisionPolicy.FP32 or (method.quantization is not None and method.quantization.upcast_non_quantized):
        return 2.0
    return 1.0


def _adapters_in_float32(dtype: AdapterDtype, policy: PrecisionPolicy) -> bool:
    if dtype is AdapterDtype.AUTO:
        return policy is not PrecisionPolicy.BF16
    return dtype is AdapterDtype.FLOAT32


def _stored_bytes(
    architecture: Architecture, method: Method, policy: PrecisionPolicy, quantised_elements: int
) -> float:
    """Bytes of all weights as a shard gathers them."""
    element_bytes = 4 if policy is PrecisionPolicy.FP32 else WEIGHT_BYTES
    if method.quantization is None:
        return float(architecture.total_parameters * element_bytes)
    stored = 1.0 if method.quantization.format is QuantizationFormat.INT8 else 0.5
    return quantised_elements * stored + (architecture.total_parameters - quantised_elements) * WEIGHT_BYTES


def _trained_bytes(method: Method, policy: PrecisionPolicy) -> int:
    """Bytes of a trained parameter, its gradient and each of its states."""
    if method.adapter is not None:
        return 4 if _adapters_in_float32(method.adapter.dtype, policy) else 2
    return 2 if policy is PrecisionPolicy.BF16 else 4
