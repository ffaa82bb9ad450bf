"""Softmax attention, line by line: transformers 5.23 ``models/llama/modeling_llama.py`` and its relatives."""

from dataclasses import replace

from app.memory.architecture import Attention, FusedLayout, KeyValueForm, Norm, NormKind, Projection
from app.memory.policy import AttentionPath
from app.memory.tape import FLOAT32, Tensor
from app.memory.transcription.elements import Code, elements_of, pairs, tokens
from app.memory.transcription.kernels import KERNELS
from app.memory.transcription.norms import apply_norm
from app.memory.transcription.projections import project
from app.memory.transcription.rotary import rotate


def attend(code: Code, attention: Attention, x: Tensor) -> Tensor:
    """``LlamaAttention.forward`` and its relatives."""
    query, key, value = _query_key_value(code, attention, x)
    code.tape.hand_on(key, value)
    gate = None
    if attention.output_gate:
        width = tokens(attention.query_width)
        query, gate = code.tape.split(query, width, width)
        gate = code.tape.copy(gate)
    elif attention.gate is not None:
        gate = project(code, attention.gate, x)
    if attention.scales_values:
        value = code.tape.scale(value)
    query = _normed(code, attention.query_norm, query, attention.query_width)
    key = _normed(code, attention.key_norm, key, attention.key_value_width)
    value = _normed(code, attention.value_norm, value, attention.key_value_width)
    if attention.rotary_dim:
        query = rotate(code, attention, query, attention.num_heads)
        repeated = attention.key_value_form is KeyValueForm.REPEATED
        key = rotate(code, attention, key, attention.num_heads if repeated else attention.num_key_value_heads)
    if attention.scales_queries:
        query = code.tape.scale(query)
    if attention.key_value_form is KeyValueForm.REPEATED:
        attention = replace(attention, num_key_value_heads=attention.num_heads)
    mask = None if attention.mask is None else _own_mask(code, attention, attention.mask, value)
    if attention.differential:
        mixed = _difference(code, attention, query, key, value)
    else:
        mixed = KERNELS[code.path](code, attention, query, key, value)
    if mask is not None:
        # the kernel keeps it and makes its gradient
        mixed = code.tape.record((mixed, mask), mixed.elements, mixed.width, saves=(mask,), view=True)
    if (attention.rotary_concatenates or code.policy.head_major) and code.path is AttentionPath.FLASH:
        # the kernel's output takes the layout of its query, which concatenation made head-major
        mixed = code.tape.copy(mixed)
    if gate is not None:
        mixed = code.tape.multiply(mixed, _gated_by(code, attention, gate))
    mixed = _normed(code, attention.output_norm, mixed, attention.value_width)
    output = project(code, attention.output, mixed)
    return code.tape.dropout(output) if attention.residual_dropout else output


def _normed(code: Code, norm: Norm | None, x: Tensor, width: int) -> Tensor:
    return x if norm is None else apply_norm(code, norm, x, width)


def _gated_by(code: Code, attention: Attention, gate: Tensor) -> Tensor:
    if not attention.gate_softplus:
        return code.tape.unary(gate, saves_output=True)
    return code.tape.cast(code.tape.unary(code.tape.cast(gate, FLOAT32), saves_input=True), gate.width)


def _own_mask(code: Code, attention: Attention, projection: Projection, value: Tensor) -> Tensor:
    """``DogeAttention.forward``: exp(A · softplus(projected values)), written out for each pair and query head."""
    tape, heads = code.tape, attention.num_key_value_heads
    rates = tape.parameter(elements_of(heads), code.policy.plain_width, trainable=code.policy.trains_base)
    soft = tape.unary(project(code, projection, value), saves_input=True)
    column = tape.unary(tape.multiply(soft, rates), saves_output=True)
    mask = tape.record((column,), pairs(heads), column.width)
    return mask if heads == attention.num_heads else tape.record((mask,), pairs(attention.num_heads), mask.width)


def _difference(code: Code, attention: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``DiffLlamaAttention.forward``: each half of the values is repeated for all heads and attended to."""
    tape = code.tape
    whole, half = tokens(attention.key_value_width), tokens(attention.key_value_width // 2)
    repeated = [tape.record((part,), whole, part.width) for part in tape.split(value, half, half)]
    one, other = (KERNELS[code.path](code, attention, query, key, part) for part in repeated)
    wide = tokens(attention.query_width)
    kept, taken = tape.split(tape.concatenate(one, other, tokens(2 * attention.query_width)), wide, wide)
    share = tape.parameter(elements_of(1), kept.width, trainable=code.policy.trains_base)
    difference = tape.add(kept, tape.multiply(taken, share))
    if tape.autocast is not None:
        # `rms_norm` is on autocast's float32 list, and written out where no kernel has all its arguments
        difference = tape.cast(difference, FLOAT32)
    norm = Norm(NormKind.L2, 2 * attention.head_dim, 0)
    return tape.scale(apply_norm(code, norm, difference, attention.query_width))


def _query_key_value(code: Code, attention: Attention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if attention.fused is not None:
        return _from_fused(code, attention, project(code, attention.fused, x))
    assert attention.query is not None
    query = project(code, attention.query, x)
    if attention.key is None:
        # an earlier layer's, counted there
        elements = tokens(attention.key_value_width)
        key, value = (code.tape.input(elements, query.width, requires_grad=query.requires_grad) for _ in range(2))
        return query, key, value
    key = project(code, attention.key, x)
    return query, key, key if attention.value is None else project(code, attention.value, x)


def _from_fused(code: Code, attention: Attention, fused: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    tape = code.tape
    wide, narrow = tokens(attention.query_width), tokens(attention.key_value_width)
    if attention.fused_layout is FusedLayout.SPLIT:
        query, key, value = tape.split(fused, wide, narrow, narrow)
        return query, key, value
    query, key, value = tape.narrow(fused, wide), tape.narrow(fused, narrow), tape.narrow(fused, narrow)
    if attention.key_value_form is KeyValueForm.GROUPED:
        return query, key, value
    # indexed with a list, which copies; then written out for each query head
    key, value = tape.copy(key), tape.copy(value)
    if attention.key_value_form is KeyValueForm.REPEATED:
        query = tape.copy(query)
        key, value = (tape.record((part,), wide, part.width) for part in (key, value))
    return query, key, value
