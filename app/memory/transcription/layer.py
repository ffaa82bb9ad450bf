"""A decoder layer: the arrangement of norms, branches and residual additions (``*DecoderLayer.forward``)."""

from collections.abc import Callable, Mapping

from app.memory.architecture import (
    Attention,
    BlockKind,
    DeltaNet,
    GatedMlp,
    LatentAttention,
    Layer,
    Mamba2,
    Mlp,
    PlainMlp,
    ShortConvolution,
    SparseMlp,
    TokenMixer,
)
from app.memory.tape import Tensor
from app.memory.transcription.attention import attend
from app.memory.transcription.elements import Code
from app.memory.transcription.experts import experts
from app.memory.transcription.latent import attend_latent
from app.memory.transcription.mlp import feed_forward
from app.memory.transcription.norms import apply_norm
from app.memory.transcription.recurrent import delta_net, mamba, short_convolution

PARTS: Mapping[type, Callable[..., Tensor]] = {
    Attention: attend,
    LatentAttention: attend_latent,
    DeltaNet: delta_net,
    Mamba2: mamba,
    ShortConvolution: short_convolution,
    SparseMlp: experts,
    GatedMlp: feed_forward,
    PlainMlp: feed_forward,
}
"""The transcription of each kind of part."""


def run_part(code: Code, part: TokenMixer | Mlp, x: Tensor) -> Tensor:
    """One branch of a layer."""
    return PARTS[type(part)](code, part, x)


def decoder_layer(code: Code, layer: Layer, x: Tensor, hidden_size: int) -> Tensor:
    """The arrangement of norms, branches and residual additions."""
    match layer.block:
        case BlockKind.PARALLEL:
            return _parallel(code, layer, x, hidden_size)
        case _:
            return _sequential(code, layer, x, hidden_size)


def _sequential(code: Code, layer: Layer, x: Tensor, hidden_size: int) -> Tensor:
    norms = iter(layer.norms)
    before = layer.block in (BlockKind.PRE_NORM, BlockKind.SANDWICH)
    after = layer.block in (BlockKind.POST_NORM, BlockKind.SANDWICH)
    for part in (layer.mixer, layer.mlp):
        if part is None:
            continue
        branch = apply_norm(code, next(norms), x, hidden_size) if before else x
        entry = branch
        branch = run_part(code, part, branch)
        code.tape.until_here(entry)
        if after:
            branch = apply_norm(code, next(norms), branch, hidden_size)
        if layer.residual_multiplier:
            branch = code.tape.scale(branch)
        x = code.tape.add(x, branch)
        if layer.block is BlockKind.AFTER_SUM:
            x = apply_norm(code, next(norms), x, hidden_size)
    return x


def _parallel(code: Code, layer: Layer, x: Tensor, hidden_size: int) -> Tensor:
    normed = [apply_norm(code, norm, x, hidden_size) for norm in layer.norms]
    assert layer.mixer is not None
    assert layer.mlp is not None
    attended = run_part(code, layer.mixer, normed[0])
    return code.tape.add(code.tape.add(attended, run_part(code, layer.mlp, normed[-1])), x)
