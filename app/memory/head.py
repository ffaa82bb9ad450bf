"""The end of the forward pass: final norm, output projection and loss, as a tape.

Source: transformers 5.23 ``loss/loss_utils.py`` (logits are upcast to float32, then ``cross_entropy``);
Liger 0.6.4 ``ops/fused_linear_cross_entropy.py``; TRL 1.16 ``kernels/chunked_logprob.py``. Older ones:
transformers 4.45.2 ``models/mistral/modeling_mistral.py`` (``logits.float()``, then ``shift_logits.contiguous()``),
4.48.1 ``loss/loss_utils.py`` (the same inside ``ForCausalLMLoss``); fms-acceleration 24bdadb ``kernels/unsloth/
cross_entropy_loss.py`` (backward stores the gradient into the logits and returns them).
"""

from dataclasses import dataclass

from app.memory.architecture import Architecture
from app.memory.inputs import Batch, LossKernel
from app.memory.policy import Policy
from app.memory.size import ZERO, Size, constant, per_token
from app.memory.tape import FLOAT32, HALF, Category, GradientRule, Tape, Tensor
from app.memory.transcription.elements import Code, elements_of, tokens
from app.memory.transcription.norms import apply_norm

ALL_LOGITS = frozenset(
    {
        LossKernel.STANDARD,
        LossKernel.UPCAST,
        LossKernel.SHIFTED,
        LossKernel.UPCAST_IN_PLACE,
        LossKernel.SHIFTED_IN_PLACE,
    }
)
"""Losses that hold the logits of all tokens."""
SHIFTING = frozenset(kernel for kernel in LossKernel if kernel.shifts)
UPCASTING_NOTHING = frozenset({"gpt_bigcode"})
"""Families whose own loss, where it shifts, copies the logits as they are (transformers 4.45.2 and 4.48.1
``models/gpt_bigcode/modeling_gpt_bigcode.py``)."""
KEEPING_A_CACHE = frozenset({"gpt_bigcode"})
"""Families whose own forward, in those versions, fills a key-value cache under checkpointing too: it lives until the
model's output is let go. Others switch ``use_cache`` off (the same sources; transformers 5 does it for all,
``modeling_layers.py`` ``GradientCheckpointingLayer``)."""
IN_PLACE = frozenset({LossKernel.UPCAST_IN_PLACE, LossKernel.SHIFTED_IN_PLACE})

CHUNK_TOKENS = 4096
CHUNK_WORDS = 32768
"""TRL's tile of logits (``trl/kernels/chunked_logprob.py``)."""


def copies_shifted_logits(batch: Batch) -> bool:
    """Whether ``contiguous()`` copies: several sequences without their last tokens are not contiguous any more."""
    return batch.micro_batch_size > 1 and batch.loss_kernel in SHIFTING


@dataclass(frozen=True, slots=True)
class LossTile:
    """The logits that a fused loss holds at once, for a given number of tokens: bytes in all, or bytes a token."""

    fixed_elements: int = 0
    elements_per_token: int = 0


def loss_tile(kernel: LossKernel, architecture: Architecture, token_count: int) -> LossTile:
    """The tile of ``token_count`` tokens; empty for the standard loss."""
    vocab_size = architecture.vocab_size
    match kernel:
        case LossKernel.CHUNKED:
            words = min(CHUNK_WORDS, vocab_size)
            if token_count >= CHUNK_TOKENS:
                return LossTile(fixed_elements=CHUNK_TOKENS * words)
            return LossTile(elements_per_token=words)
        case LossKernel.LIGER:
            rows = -(-token_count // liger_parts(architecture))
            return LossTile(fixed_elements=min(1 << (rows - 1).bit_length(), token_count) * vocab_size)
        case _:
            return LossTile()


def liger_parts(architecture: Architecture) -> int:
    """Into how many parts Liger cuts the tokens: so that a tile is about as large as the hidden states."""
    return -(-architecture.vocab_size // architecture.hidden_size)


def bounding_tiles(kernel: LossKernel, architecture: Architecture) -> tuple[LossTile, ...]:
    """Tiles that are linear in the tokens, each at least the kernel's at any number of them.

    Of TRL's two one is exact: a tile grows with the tokens up to 4,096 and no further. Liger's power of two of
    rows is less than 2 × tokens ÷ parts + 1, and vocabulary ÷ parts is at most the hidden size.
    """
    match kernel:
        case LossKernel.CHUNKED:
            return loss_tile(kernel, architecture, 1), loss_tile(kernel, architecture, CHUNK_TOKENS)
        case LossKernel.LIGER:
            return (LossTile(fixed_elements=architecture.vocab_size, elements_per_token=2 * architecture.hidden_size),)
        case _:
            return (LossTile(),)


@dataclass(frozen=True, slots=True)
class LossPolicy:
    """How the loss is computed."""

    kernel: LossKernel
    tile: LossTile
    keep_logits: bool
    trains_head: bool
    shift_copies: bool = False


def fills_cache(architecture: Architecture, kernel: LossKernel) -> bool:
    """Whether the layers' keys and values live until the loss is computed."""
    return architecture.model_type in KEEPING_A_CACHE and kernel in SHIFTING


def handed_over(architecture: Architecture, policy: Policy, loss: LossPolicy) -> Size:
    """16-bit logits as forward returns under autocast, and the float32 copy that accelerate hands to the trainer.

    Source: accelerate 1.0.1 and 1.15 ``utils/operations.py`` ``convert_outputs_to_fp32``, around the whole forward.
    """
    upcast_by_model = loss.kernel in (LossKernel.UPCAST, LossKernel.UPCAST_IN_PLACE)
    if policy.autocast is None or loss.kernel not in ALL_LOGITS:
        return ZERO
    if upcast_by_model and architecture.model_type not in UPCASTING_NOTHING:
        return ZERO
    # kept logits are that copy, and counted
    copy = 0 if loss.keep_logits else FLOAT32
    return per_token((policy.autocast + copy) * architecture.vocab_size)


def head_tape(
    architecture: Architecture, policy: Policy, loss: LossPolicy, input_width: int
) -> tuple[Tape, Tensor, Tensor]:
    """The tape from the last layer's output (of ``input_width``) to the loss, its result and its source."""
    tape = Tape(autocast=policy.autocast)
    code = Code(tape, policy)
    hidden_size = architecture.hidden_size
    source = tape.input(tokens(hidden_size), input_width, requires_grad=True)
    hidden = source
    if architecture.final_norm is not None:
        hidden = apply_norm(code, architecture.final_norm, source, hidden_size)
        hidden.storage.held = True
    width = architecture.embedding_size or hidden_size
    if width != hidden_size:
        projection = tape.parameter(elements_of(width * hidden_size), policy.plain_width, trainable=policy.trains_base)
        hidden = tape.linear(hidden, projection, tokens(width))
    weight = tape.parameter(
        elements_of(architecture.vocab_size * width), policy.plain_width, trainable=loss.trains_head
    )
    if loss.kernel in ALL_LOGITS:
        return tape, _all_logits(architecture, tape, hidden, weight, loss), source
    return tape, _fused(tape, hidden, weight, loss), source


def _all_logits(architecture: Architecture, tape: Tape, hidden: Tensor, weight: Tensor, policy: LossPolicy) -> Tensor:
    logits = tape.linear(hidden, weight, tokens(architecture.vocab_size), category=Category.LOGITS)
    if architecture.logits_multiplier:
        logits = tape.scale(logits)
    if architecture.logits_softcap:
        logits = tape.scale(tape.unary(tape.scale(logits), saves_output=True))
    shifts = policy.kernel in SHIFTING
    upcasts = not (shifts and architecture.model_type in UPCASTING_NOTHING)
    if upcasts and policy.kernel in (LossKernel.UPCAST, LossKernel.UPCAST_IN_PLACE):
        logits = tape.cast(logits, FLOAT32)
    # the model's output object holds the logits until forward returns
    logits.storage.held = True
    upcast = tape.cast(logits, FLOAT32) if upcasts else logits
    if shifts:
        upcast = _shifted(tape, upcast, copies=policy.shift_copies)
    if policy.kernel in IN_PLACE:
        # the logits become their own gradient: what waits is let go as the gradient arrives
        loss = tape.record(
            (upcast,), constant, FLOAT32, saves=(upcast,), extra_saved=per_token(FLOAT32), releases_first=True
        )
    else:
        if tape.autocast is not None:
            # `log_softmax` is on autocast's float32 list
            upcast = tape.cast(upcast, FLOAT32)
        log_probabilities = tape.unary(upcast, saves_output=True)
        loss = tape.record((log_probabilities,), constant, FLOAT32)
    if policy.keep_logits:
        kept = logits
        if tape.autocast is not None and logits.width != FLOAT32:
            # accelerate's convert_outputs_to_fp32 hands the trainer a float32 copy
            kept = tape.fresh(logits.elements, FLOAT32, Category.LOGITS)
        tape.keep(kept)
    return loss


def _shifted(tape: Tape, upcast: Tensor, *, copies: bool) -> Tensor:
    """``logits[..., :-1, :].contiguous()``: a view of a batch of one, else a copy; local names hold both."""
    upcast.storage.held = True
    shifted = tape.narrow(upcast, upcast.elements)
    if not copies:
        return shifted
    shifted = tape.copy(shifted)
    shifted.storage.category = Category.LOGITS
    shifted.storage.held = True
    return shifted


def _fused(tape: Tape, hidden: Tensor, weight: Tensor, loss: LossPolicy) -> Tensor:
    """A loss that holds a tile of logits at a time; the tile is at the compute width."""
    width = tape.autocast or hidden.width
    tile = constant(loss.tile.fixed_elements * width) + per_token(loss.tile.elements_per_token * width)
    if loss.kernel is LossKernel.LIGER:
        # gradients are computed during forward, in the types of what they are for, and wait for backward
        waiting = hidden.size + (weight.size if weight.requires_grad else ZERO)
        if weight.requires_grad:
            # each tile's part of the head's gradient: a product, and its float32 copy
            tile = tile + weight.elements(width) + (weight.elements(FLOAT32) if width != FLOAT32 else ZERO)
        if tape.autocast is not None:
            hidden, weight = tape.cast(hidden, tape.autocast), tape.cast_weight(weight, tape.autocast)
        return tape.record(
            (hidden, weight),
            constant,
            FLOAT32,
            extra_saved=waiting,
            forward_temporary=tile,
            temporary_category=Category.LOGITS,
            releases_first=True,
        )
    # recomputes each tile in backward; accumulates in float32, then converts
    accumulators = hidden.elements(FLOAT32) if hidden.width == HALF else ZERO
    if weight.requires_grad and weight.width == HALF:
        accumulators = accumulators + weight.elements(FLOAT32)
    rules = (GradientRule.NEW, GradientRule.NEW)
    return tape.record(
        (hidden, weight),
        constant,
        FLOAT32,
        saves=(hidden, weight),
        rules=rules,
        forward_temporary=tile,
        backward_temporary=tile + accumulators,
        temporary_category=Category.LOGITS,
    )
