"""Softmax attention, line by line: transformers 5.23 ``models/llama/modeling_llama.py`` and its relatives."""

from app.memory.architecture import Attention
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
    gate = None
    if attention.output_gate:
        width = tokens(attention.query_width)
        query, gate = code.tape.split(query, width, width)
        gate = code.tape.copy(gate)
    if attention.query_norm is not None:
        query = apply_norm(code, attention.query_norm, query, attention.query_width)
    if attention.key_norm is not None:
        key = apply_norm(code, attention.key_norm, key, attention.key_value_width)
    if attention.rotary_dim:
        query = rotate(code, attention, query, attention.num_heads)
        key = rotate(code, attention, key, attention.num_key_value_heads)
    mixed = KERNELS[code.path](code, attention, query, key, value)
    if attention.rotary_concatenates and code.path is AttentionPath.FLASH:
        # the kernel's output takes the layout of its query, which concatenation made head-major
        mixed = code.tape.copy(mixed)
    if gate is not None:
        mixed = code.tape.multiply(mixed, code.tape.unary(gate, saves_output=True))
    output = project(code, attention.output, mixed)
    return code.tape.dropout(output) if attention.residual_dropout else output


def _query_key_value(code: Code, attention: Attention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if attention.fused is not None:
        fused = project(code, attention.fused, x)
        return (
            code.tape.narrow(fused, tokens(attention.query_width)),
            code.tape.narrow(fused, tokens(attention.key_value_width)),
            code.tape.narrow(fused, tokens(attention.key_value_width)),
        )
    assert attention.query is not None
    assert attention.key is not None
    assert attention.value is not None
    return project(code, attention.query, x), project(code, attention.key, x), project(code, attention.value, x)
