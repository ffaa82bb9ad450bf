"""A decoder layer: the arrangement of norms, branches and residual additions (``*DecoderLayer.forward``)."""

from collections.abc import Callable, Iterator, Mapping

from app.memory.architecture import (
    Attention,
    BlockKind,
    DeltaNet,
    GatedMlp,
    KimiDelta,
    LatentAttention,
    Layer,
    Mamba2,
    Mlp,
    Norm,
    PerLayerInput,
    PlainMlp,
    Recurrence,
    Scan,
    ShortConvolution,
    SparseMlp,
    TokenMixer,
)
from app.memory.tape import Tensor
from app.memory.transcription.attention import attend
from app.memory.transcription.elements import Code, tokens
from app.memory.transcription.experts import experts
from app.memory.transcription.kimi_delta import kimi_delta
from app.memory.transcription.latent import attend_latent
from app.memory.transcription.mlp import feed_forward
from app.memory.transcription.norms import apply_norm
from app.memory.transcription.projections import project
from app.memory.transcription.recurrent import delta_net, mamba, short_convolution
from app.memory.transcription.scan import scan

PARTS: Mapping[type, Callable[..., Tensor]] = {
    Attention: attend,
    LatentAttention: attend_latent,
    DeltaNet: delta_net,
    KimiDelta: kimi_delta,
    Mamba2: mamba,
    Scan: scan,
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
        if part is layer.mixer and layer.recurrence is not None:
            branch = _with_recurrence(code, layer.recurrence, part, branch)
        else:
            branch = run_part(code, part, branch)
        if part is layer.mlp and layer.experts is not None:
            branch = _with_experts(code, layer.experts, branch, x, norms, hidden_size)
        code.tape.until_here(entry)
        if after:
            branch = apply_norm(code, next(norms), branch, hidden_size)
        if layer.residual_multiplier:
            branch = code.tape.scale(branch)
        x = code.tape.add(x, branch)
        if layer.block is BlockKind.AFTER_SUM:
            x = apply_norm(code, next(norms), x, hidden_size)
    return x if layer.per_layer_input is None else _own_input(code, layer.per_layer_input, x, hidden_size)


def _with_experts(
    code: Code, mlp: SparseMlp, dense: Tensor, residual: Tensor, norms: Iterator[Norm], hidden_size: int
) -> Tensor:
    """``Gemma4TextDecoderLayer.forward``: experts read the residual stream, beside the MLP."""
    dense = apply_norm(code, next(norms), dense, hidden_size)
    sparse = experts(code, mlp, apply_norm(code, next(norms), residual, hidden_size), residual)
    return code.tape.add(dense, apply_norm(code, next(norms), sparse, hidden_size))


def _with_recurrence(code: Code, recurrence: Recurrence, mixer: TokenMixer, x: Tensor) -> Tensor:
    """``FalconH1DecoderLayer.forward``: recurrence and attention read the same, each scaled by constants."""
    tape = code.tape
    recurrent = tape.scale(run_part(code, recurrence, x))
    attended = tape.scale(run_part(code, mixer, tape.scale(x)))
    return tape.add(recurrent, attended)


def _own_input(code: Code, part: PerLayerInput, x: Tensor, hidden_size: int) -> Tensor:
    """A layer's own embedding, gated by the stream and added to it."""
    tape = code.tape
    gate = tape.unary(project(code, part.gate, x), saves_input=True)
    own = tape.input(tokens(part.width), gate.width, requires_grad=code.policy.trains_base)
    branch = project(code, part.projection, tape.multiply(gate, own))
    return tape.add(x, apply_norm(code, part.norm, branch, hidden_size))


def _parallel(code: Code, layer: Layer, x: Tensor, hidden_size: int) -> Tensor:
    normed = [apply_norm(code, norm, x, hidden_size) for norm in layer.norms]
    assert layer.mixer is not None
    assert layer.mlp is not None
    attended = run_part(code, layer.mixer, normed[0])
    return code.tape.add(code.tape.add(attended, run_part(code, layer.mlp, normed[-1])), x)
