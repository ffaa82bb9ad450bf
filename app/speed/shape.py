"""What a run's step computes and moves on any card: FLOPs and bytes from architecture, method and batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

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
from app.speed.model_parallel import Passing, token_passing
from app.speed.optimizer_traffic import optimizer_bytes
from app.speed.work import (
    AdapterWork,
    ArchitectureWork,
    AttentionWork,
    KernelStack,
    adapter_work,
    architecture_work,
    kept_share,
)

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


class AttentionShape(NamedTuple):
    """Attention's products in one micro-step, forward, repeated forward and backward."""

    flops: float
    whole_flops: float
    """Where no kernel skips what the causal mask hides."""
    model_flops: float
    """What the method needs: forward and backward of scores that no mask hides."""
    score_bytes: float
    """Of scores that are stored, or of the mask that is read."""
    whole_score_bytes: float
    in_float32: bool


class AttentionTerms(NamedTuple):
    """The attention of alike layers in one micro-step, for each score: each pair of a token and one of its sequence."""

    window: int | None
    skips_masked: bool
    """The kernel does not compute what the causal mask or the window hides."""
    flops: float
    model_flops: float
    """As in :class:`AttentionShape`, of a score that is not hidden."""
    score_bytes: float
    whole_score_bytes: float


class RunShape(NamedTuple):
    """A micro-step's FLOPs and bytes, and the optimizer step's bytes, on one GPU.

    A named tuple, as is what follows from it on each card: those are made by the hundred for a list of cards.
    """

    matmul_flops: float
    model_matmul_flops: float
    """Without the repeated forward."""
    matmul_bytes: float
    attention: AttentionShape
    elementwise_bytes: float
    head_flops: float
    model_head_flops: float
    head_bytes: float
    dequantised_bytes: float
    cast_bytes: float
    optimizer_bytes: float
    launches: int
    exchange: Exchange
    passing: Passing


@dataclass(frozen=True, kw_only=True, slots=True)
class ShapeTerms:
    """A run's shape before its batch is put in: amounts of one token, and amounts that a micro-step has anyway."""

    matmul_flops: float
    matmul_fixed_flops: float
    model_matmul_flops: float
    elementwise_bytes: float
    elementwise_fixed_bytes: float
    head_flops: float
    model_head_flops: float
    head_bytes: float

    matmul_bytes: float
    dequantised_bytes: float
    cast_bytes: float
    optimizer_bytes: float
    launches: int
    exchange: Exchange
    passing: Passing

    attention: tuple[tuple[AttentionTerms, AttentionTerms], ...]
    """Of each kind of layers, for sequences shorter than its window and for others."""
    attention_in_float32: bool

    def at(self, tokens: int, sequence_length: int) -> RunShape:
        """The shape of a micro-step over so many tokens."""
        return RunShape(
            self.matmul_flops * tokens + self.matmul_fixed_flops,
            self.model_matmul_flops * tokens,
            self.matmul_bytes,
            _attention(self, tokens, sequence_length),
            self.elementwise_bytes * tokens + self.elementwise_fixed_bytes,
            self.head_flops * tokens,
            self.model_head_flops * tokens,
            self.head_bytes * tokens,
            self.dequantised_bytes,
            self.cast_bytes,
            self.optimizer_bytes,
            self.launches,
            self.exchange,
            Passing(*(amount * tokens for amount in self.passing)),
        )


@lru_cache(maxsize=256)
def run_shape(
    architecture: Architecture,
    method: Method,
    precision: PrecisionPolicy,
    batch: Batch,
    stack: KernelStack,
    strategy: Strategy = Strategy.SINGLE,
) -> RunShape:
    """The shape of a run's step; see :class:`RunShape`. ``strategy`` decides where trained weights are cast."""
    policy = make_policy(method, precision, batch)
    terms = shape_terms(architecture, method, policy, batch.gradient_checkpointing, batch.loss_kernel, stack, strategy)
    return terms.at(batch.micro_batch_size * batch.sequence_length, batch.sequence_length)


@lru_cache(maxsize=2048)
def shape_terms(
    architecture: Architecture,
    method: Method,
    policy: Policy,
    checkpointing: Checkpointing,
    loss_kernel: LossKernel,
    stack: KernelStack,
    strategy: Strategy,
) -> ShapeTerms:
    """What is the same for all batches of a run; see :class:`ShapeTerms`."""
    work = architecture_work(architecture, stack)
    states = model_states(architecture, method, policy)
    adapters = adapter_work(architecture, policy, method.adapter.rank, stack) if method.adapter else AdapterWork()
    repeated = RECOMPUTED_SHARE[checkpointing]
    passes = 3 if policy.trains_base else 2
    gradient_bytes = _gradient_bytes(states, policy)
    weight_bytes = policy.autocast or policy.base_width

    base, added, head = 2.0 * work.active_elements, 2.0 * adapters.elements, 2.0 * work.head_elements
    head_passes = 3 if states.trains_head or policy.trains_base else 2
    loss_repeat = 1 if loss_kernel is LossKernel.CHUNKED else 0
    return ShapeTerms(
        matmul_flops=base * (passes + repeated) + added * (3 + repeated),
        matmul_fixed_flops=2.0 * adapters.dora_elements * adapters.rank * (1 + repeated),
        model_matmul_flops=base * passes + added * 3,
        elementwise_bytes=_elementwise_bytes(work, adapters, policy, repeated),
        elementwise_fixed_bytes=adapters.dora_bytes * (1 + repeated),
        head_flops=head * (head_passes + loss_repeat),
        model_head_flops=head * head_passes,
        head_bytes=float(LOGIT_BYTES[loss_kernel] * work.vocab_size),
        matmul_bytes=work.stored_elements * weight_bytes * (passes + repeated),
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
        passing=token_passing(
            architecture.hidden_size,
            len(architecture.layers),
            2 * sum(part.attention.key_value_width * part.layers for part in work.attention),
            repeated=repeated,
            trains_base=policy.trains_base,
        ),
        attention=tuple(_both_sides_of_the_window(part, policy, repeated) for part in work.attention),
        attention_in_float32=policy.attention_width > HALF_BYTES,
    )


def _attention_terms(part: AttentionWork, policy: Policy, repeated: float, length: int) -> AttentionTerms:
    path = policy.attention_path(part.attention, length)
    flash, stored = path is AttentionPath.FLASH, path in (AttentionPath.MATH, AttentionPath.EAGER)
    passes = 1 + repeated + (STORED_BACKWARD_RATIO if stored else FLASH_BACKWARD_RATIO)
    heads = part.layers * part.attention.num_heads
    moved = float(heads * MASK_BYTES * (2 + repeated))
    if stored:
        width = policy.attention_width / HALF_BYTES
        moved = heads * STORED_SCORE_BYTES * width * (1 + repeated + STORED_SCORE_BACKWARD_RATIO)
    return AttentionTerms(
        window=part.attention.window,
        skips_masked=flash,
        flops=part.score_flops * passes,
        model_flops=part.score_flops * 3,
        score_bytes=0.0 if flash else moved,
        whole_score_bytes=moved,
    )


def _both_sides_of_the_window(
    part: AttentionWork, policy: Policy, repeated: float
) -> tuple[AttentionTerms, AttentionTerms]:
    """The kernel depends on whether the sequence reaches the window, and on no other length."""
    window = part.attention.window or 1
    shorter, others = (_attention_terms(part, policy, repeated, length) for length in (window - 1, window))
    return shorter, others


def _attention(terms: ShapeTerms, tokens: int, length: int) -> AttentionShape:
    scores = tokens * length
    flops = whole_flops = model_flops = score_bytes = whole_score_bytes = 0.0
    for shorter, others in terms.attention:
        part = shorter if shorter.window and length < shorter.window else others
        kept = kept_share(part.window, length)
        flops += part.flops * scores * (kept if part.skips_masked else 1.0)
        whole_flops += part.flops * scores
        model_flops += part.model_flops * scores * kept
        score_bytes += part.score_bytes * scores
        whole_score_bytes += part.whole_score_bytes * scores
    return AttentionShape(flops, whole_flops, model_flops, score_bytes, whole_score_bytes, terms.attention_in_float32)


def _elementwise_bytes(work: ArchitectureWork, adapters: AdapterWork, policy: Policy, repeated: float) -> float:
    """A token's traffic of everything that is no product, and of what adapters add around theirs."""
    stream = policy.stream_width / HALF_BYTES if policy.quantization or not policy.autocast else 1.0
    forward = work.forward_bytes * stream + adapters.forward_bytes
    backward = work.backward_bytes * stream + adapters.backward_bytes
    return forward * (1 + repeated) + backward


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
