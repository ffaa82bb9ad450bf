"""What a run's step computes and moves on any card: FLOPs and bytes from architecture, method and batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from app.memory.architecture import Architecture
from app.memory.inputs import (
    Batch,
    Checkpointing,
    LossKernel,
    Method,
    PrecisionPolicy,
    QuantizationFormat,
    Strategy,
)
from app.memory.policy import AttentionPath, Policy, make_policy
from app.memory.states import States, model_states
from app.speed.communication import SHARDED_OPTIMIZER, Exchange
from app.speed.optimizer_traffic import optimizer_bytes
from app.speed.work import AdapterWork, ArchitectureWork, KernelStack, adapter_work, architecture_work

RECOMPUTED_SHARE: Final[Mapping[Checkpointing, float]] = {
    Checkpointing.NONE: 0.0,
    # Every second layer, as the memory model has it (app/memory/step.py, SELECTIVE_EVERY).
    Checkpointing.SELECTIVE: 0.5,
    Checkpointing.FULL: 1.0,
    Checkpointing.REENTRANT: 1.0,
}

FLASH_BACKWARD_RATIO: Final = 2.5
"""Five products in backward against two in forward, the scores being made again (arXiv:2307.08691, section 4.1)."""
STORED_BACKWARD_RATIO: Final = 2.0
"""Four products, where the scores were kept."""

STORED_SCORE_BYTES: Final = 26
"""A kept 16-bit score's forward, read + written: product 2, mask 2+2, softmax with its upcast 2+4 and 4+4, downcast
4+2, read for the second product 2 (transformers modeling_llama.py, eager_attention_forward)."""
STORED_SCORE_BACKWARD_RATIO: Final = 1.5
MASK_BYTES: Final = 2
"""Read for each score by the kernel that takes a mask and keeps no scores."""

LOGIT_BYTES: Final[Mapping[LossKernel, int]] = {
    # Read + written per token and vocabulary entry. Standard: logits 2, upcast 2+4, log-softmax 4+4, its gradient
    # 4+4+4, the loss's gradient 4, downcast 4+2 (torch.nn.functional.cross_entropy over float32 logits).
    LossKernel.STANDARD: 38,
    # Older Transformers also copy the shifted logits, 4+4, and pad their gradient, 4+4 and 4.
    LossKernel.UPCAST: 58,
    LossKernel.SHIFTED: 58,
    # Logits 2, upcast 2+4, copy 4+4, read for the loss 4, gradient in place 4+4, padded 4+4 and 4, downcast 4+2.
    LossKernel.UPCAST_IN_PLACE: 46,
    LossKernel.SHIFTED_IN_PLACE: 46,
    # Liger's FusedLinearCrossEntropy: logits 2, read for the maximum and sum 2, gradient in place 2+2, read 2.
    LossKernel.LIGER: 10,
    # Tiles of logits, made again in backward: 2+2+4 forward, 2+4+4+2 backward (trl/kernels/chunked_logprob.py).
    LossKernel.CHUNKED: 20,
}

HALF_BYTES: Final = 2
FLOAT32_BYTES: Final = 4
CAST_BYTES: Final = 6
"""float32 read, bfloat16 written: autocast's copy of a trained weight."""
ACCUMULATE_ACCESSES: Final = 3
"""Reads the gradient and the sum, writes the sum."""
QUANTISED_KERNELS: Final = 3
"""Scale lookup, offset, dequantisation (bitsandbytes functional.py, dequantize_4bit with double quantisation)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionShape:
    """Attention's products in one micro-step, forward, repeated forward and backward."""

    flops: float
    whole_flops: float
    """Where no kernel skips what the causal mask hides."""
    score_bytes: float
    """Of scores that are stored, or of the mask that is read."""
    whole_score_bytes: float
    in_float32: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RunShape:
    """A micro-step's FLOPs and bytes, and the optimizer step's bytes, on one GPU."""

    tokens: int
    matmul_flops: float
    model_matmul_flops: float
    """Without the repeated forward."""
    matmul_bytes: float
    attention: AttentionShape
    model_attention_flops: float
    elementwise_bytes: float
    head_flops: float
    model_head_flops: float
    head_bytes: float
    dequantised_bytes: float
    cast_bytes: float
    optimizer_bytes: float
    launches: int
    exchange: Exchange


@lru_cache(maxsize=8192)
def run_shape(
    architecture: Architecture,
    method: Method,
    precision: PrecisionPolicy,
    batch: Batch,
    stack: KernelStack,
    strategy: Strategy = Strategy.SINGLE,
) -> RunShape:
    """The shape of a run's step; see :class:`RunShape`. ``strategy`` decides where trained weights are cast, and is not
    ``auto``."""
    policy = make_policy(method, precision, batch)
    work = architecture_work(architecture, stack)
    states = model_states(architecture, method, policy)
    adapters = adapter_work(architecture, policy, method.adapter.rank, stack) if method.adapter else AdapterWork()
    tokens = batch.micro_batch_size * batch.sequence_length
    repeated = RECOMPUTED_SHARE[batch.gradient_checkpointing]
    whole = 1 if policy.trains_base else 0
    passes = 2 + whole
    gradient_bytes = _gradient_bytes(states, policy)
    weight_bytes = FLOAT32_BYTES if precision is PrecisionPolicy.FP32 else HALF_BYTES

    base = 2.0 * work.active_elements * tokens
    added = 2.0 * adapters.elements * tokens
    dora = 2.0 * adapters.dora_elements * adapters.rank * (1 + repeated)
    head = 2.0 * work.head_elements * tokens
    head_passes = 2 + (1 if states.trains_head or policy.trains_base else 0)
    loss_repeat = 1 if batch.loss_kernel is LossKernel.CHUNKED else 0
    return RunShape(
        tokens=tokens,
        matmul_flops=base * (passes + repeated) + added * (3 + repeated) + dora,
        model_matmul_flops=base * passes + added * 3,
        matmul_bytes=work.stored_elements * weight_bytes * (passes + repeated),
        attention=_attention(work, policy, batch, repeated),
        model_attention_flops=3.0 * sum(part.kept_flops(batch.sequence_length) for part in work.attention) * tokens,
        elementwise_bytes=_elementwise_bytes(work, adapters, policy, tokens, repeated),
        head_flops=head * (head_passes + loss_repeat),
        model_head_flops=head * head_passes,
        head_bytes=float(LOGIT_BYTES[batch.loss_kernel]) * work.vocab_size * tokens,
        dequantised_bytes=_dequantised_bytes(work, method) * (2 + repeated),
        cast_bytes=_cast_bytes(states, policy, strategy, repeated)
        + (ACCUMULATE_ACCESSES * gradient_bytes if policy.accumulating else 0),
        optimizer_bytes=optimizer_bytes(
            method.optimizer, states.counts.trainable, gradient_bytes, method.max_grad_norm
        ),
        launches=_launches(work, adapters, method, repeated),
        exchange=Exchange(
            parameter_bytes=float(
                states.weights + states.quantisation_state
                if method.quantization
                else architecture.total_parameters * weight_bytes
            ),
            gradient_bytes=float(gradient_bytes),
        ),
    )


def _attention(work: ArchitectureWork, policy: Policy, batch: Batch, repeated: float) -> AttentionShape:
    length, tokens = batch.sequence_length, batch.micro_batch_size * batch.sequence_length
    flops = whole_flops = score_bytes = whole_score_bytes = 0.0
    width = policy.attention_width / HALF_BYTES
    for part in work.attention:
        path = policy.attention_path(part.attention, length)
        stored = path in (AttentionPath.MATH, AttentionPath.EAGER)
        passes = 1 + repeated + (STORED_BACKWARD_RATIO if stored else FLASH_BACKWARD_RATIO)
        every = part.all_flops(length) * tokens * passes
        scores = float(part.layers * part.attention.num_heads * length * tokens)
        mask = scores * MASK_BYTES * (2 + repeated)
        whole_flops += every
        if path is AttentionPath.FLASH:
            flops += part.kept_flops(length) * tokens * passes
            whole_score_bytes += mask
            continue
        own = scores * STORED_SCORE_BYTES * width * (1 + repeated + STORED_SCORE_BACKWARD_RATIO) if stored else mask
        flops += every
        score_bytes += own
        whole_score_bytes += own
    return AttentionShape(
        flops=flops,
        whole_flops=whole_flops,
        score_bytes=score_bytes,
        whole_score_bytes=whole_score_bytes,
        in_float32=policy.attention_width > HALF_BYTES,
    )


def _elementwise_bytes(
    work: ArchitectureWork, adapters: AdapterWork, policy: Policy, tokens: int, repeated: float
) -> float:
    """Traffic of everything that is no product, and of what adapters add around theirs."""
    stream = policy.stream_width / HALF_BYTES if policy.quantization or not policy.autocast else 1.0
    forward = work.forward_bytes * stream + adapters.forward_bytes
    backward = work.backward_bytes * stream + adapters.backward_bytes
    return tokens * (forward * (1 + repeated) + backward) + adapters.dora_bytes * (1 + repeated)


def _dequantised_bytes(work: ArchitectureWork, method: Method) -> float:
    """Reads the quantised weight, writes it at 16 bits, once a pass."""
    if method.quantization is None:
        return 0.0
    stored = 1.0 if method.quantization.format is QuantizationFormat.INT8 else 0.5
    return work.quantised_elements * (stored + HALF_BYTES)


def _gradient_bytes(states: States, policy: Policy) -> int:
    """Of all gradients, as wide as what the optimizer updates."""
    return states.counts.trainable * (policy.adapter_width if policy.has_adapter else policy.base_width)


def _cast_bytes(states: States, policy: Policy, strategy: Strategy, repeated: float) -> float:
    """Autocast's copies of trained weights and their gradients' way back.

    Where weights or their float32 masters are sharded, each rank casts its shard, which is next to nothing.
    """
    if policy.trains_base and policy.autocast and strategy not in SHARDED_OPTIMIZER:
        return CAST_BYTES * states.counts.trainable * (2 + repeated)
    return 0.0


def _launches(work: ArchitectureWork, adapters: AdapterWork, method: Method, repeated: float) -> int:
    """Kernels of a micro-step: backward launches two for each of forward's."""
    quantised = work.projections * QUANTISED_KERNELS * (2 + repeated) if method.quantization else 0.0
    return round((work.kernels + adapters.kernels) * (3 + repeated) + quantised)
