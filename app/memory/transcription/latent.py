"""Latent attention, line by line: transformers 5.23 ``models/deepseek_v3/modeling_deepseek_v3.py``."""

from app.memory.architecture import LatentAttention
from app.memory.policy import AttentionPath
from app.memory.tape import Tensor
from app.memory.transcription.elements import Code, tokens
from app.memory.transcription.kernels import KERNELS
from app.memory.transcription.norms import apply_norm
from app.memory.transcription.projections import project
from app.memory.transcription.rotary import turn_latent


def attend_latent(code: Code, attention: LatentAttention, x: Tensor) -> Tensor:
    """``DeepseekV3Attention.forward``."""
    tape, heads, rope = code.tape, attention.num_heads, attention.rope_head_dim
    query = _query(code, attention, x)
    passed, turning = tape.split(query, tokens(heads * attention.nope_head_dim), tokens(heads * rope))
    compressed = project(code, attention.key_value_down, x)
    latent, shared = tape.split(compressed, tokens(attention.latent_width), tokens(rope))
    latent = apply_norm(code, attention.latent_norm, latent, attention.latent_width)
    if attention.rotates:
        turning = turn_latent(code, attention, turning, heads)
        shared = turn_latent(code, attention, shared, 1)
    query = tape.concatenate(passed, turning, tokens(attention.query_width))
    if attention.scales_queries:
        query = tape.scale(query)
    expanded = project(code, attention.key_value_up, latent)
    own, value = tape.split(expanded, tokens(heads * attention.nope_head_dim), tokens(attention.value_width))
    # written into an empty tensor in two copies: backward copies the gradient for each
    key = tape.record((own, shared), tokens(attention.key_value_width), own.width, backward_temporary=own.size)
    mixed = KERNELS[code.path](code, attention, query, key, value)
    if code.path is AttentionPath.FLASH:
        # its output takes the layout of the query, which concatenation made head-major
        mixed = tape.copy(mixed)
    if attention.gate is not None:
        mixed = tape.multiply(mixed, tape.unary(project(code, attention.gate, x), saves_output=True))
    tape.until_here(compressed, query, key, value)
    return project(code, attention.output, mixed)


def _query(code: Code, attention: LatentAttention, x: Tensor) -> Tensor:
    if attention.query is not None:
        return project(code, attention.query, x)
    assert attention.query_down is not None
    assert attention.query_latent_norm is not None
    assert attention.query_up is not None
    latent = project(code, attention.query_down, x)
    latent = apply_norm(code, attention.query_latent_norm, latent, attention.query_latent_norm.width)
    return project(code, attention.query_up, latent)
