"""Latent attention, line by line: transformers 5.23 ``models/deepseek_v3/modeling_deepseek_v3.py``."""

from app.memory.architecture import Indexer, LatentAttention
from app.memory.policy import AttentionPath
from app.memory.size import per_token
from app.memory.tape import FLOAT32, Tensor
from app.memory.transcription.elements import Code, pairs, tokens
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
    if attention.indexer is not None:
        _score(code, attention.indexer)
    mixed = KERNELS[code.path](code, attention, query, key, value)
    if code.path is AttentionPath.FLASH:
        # its output takes the layout of the query, which concatenation made head-major
        mixed = tape.copy(mixed)
    if attention.gate is not None:
        mixed = tape.multiply(mixed, tape.unary(project(code, attention.gate, x), saves_output=True))
    tape.until_here(compressed, query, key, value)
    return project(code, attention.output, mixed)


def _score(code: Code, indexer: Indexer) -> None:
    """``*Indexer.forward``, without gradients.

    A batched product writes the keys out for every query; then the scores of each head stand beside scaled ones.
    """
    tape, heads, features = code.tape, indexer.weights.out_features, indexer.key.out_features
    stream, width = code.policy.stream_width, tape.autocast or FLOAT32
    # queries as they are projected, turned and upcast stand by meanwhile
    queries = per_token(heads * features * (2 * stream + FLOAT32 + (tape.autocast or 0)))
    products = pairs(heads + max(features, heads))(width)
    tape.fresh(tokens(heads * features), width, forward_temporary=products + queries)


def _query(code: Code, attention: LatentAttention, x: Tensor) -> Tensor:
    if attention.query is not None:
        return project(code, attention.query, x)
    assert attention.query_down is not None
    assert attention.query_latent_norm is not None
    assert attention.query_up is not None
    latent = project(code, attention.query_down, x)
    latent = apply_norm(code, attention.query_latent_norm, latent, attention.query_latent_norm.width)
    return project(code, attention.query_up, latent)
