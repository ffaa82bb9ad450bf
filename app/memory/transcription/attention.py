"""Softmax attention, line by line: transformers 5.23 ``models/llama/modeling_llama.py`` and its relatives."""

from dataclasses import replace

from app.memory.architecture import Attention, FusedLayout, KeyValueForm
from app.memory.policy import AttentionPath
from app.memory.tape import Tensor
from app.memory.transcription.elements import Code, tokens
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
    if attention.query_norm is not None:
        query = apply_norm(code, attention.query_norm, query, attention.query_width)
    if attention.key_norm is not None:
        key = apply_norm(code, attention.key_norm, key, attention.key_value_width)
    if attention.value_norm is not None:
        value = apply_norm(code, attention.value_norm, value, attention.key_value_width)
    if attention.rotary_dim:
        query = rotate(code, attention, query, attention.num_heads)
        repeated = attention.key_value_form is KeyValueForm.REPEATED
        key = rotate(code, attention, key, attention.num_heads if repeated else attention.num_key_value_heads)
    if attention.scales_queries:
        query = code.tape.scale(query)
    if attention.key_value_form is KeyValueForm.REPEATED:
        attention = replace(attention, num_key_value_heads=attention.num_heads)
    mixed = KERNELS[code.path](code, attention, query, key, value)
    if (attention.rotary_concatenates or code.policy.head_major) and code.path is AttentionPath.FLASH:
        # the kernel's output takes the layout of its query, which concatenation made head-major
        mixed = code.tape.copy(mixed)
    if gate is not None:
        mixed = code.tape.multiply(mixed, code.tape.unary(gate, saves_output=True))
    if attention.output_norm is not None:
        mixed = apply_norm(code, attention.output_norm, mixed, attention.value_width)
    output = project(code, attention.output, mixed)
    return code.tape.dropout(output) if attention.residual_dropout else output


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
