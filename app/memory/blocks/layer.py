"""A decoder layer: a block arrangement around a token mixer and an MLP."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.memory.blocks.attention import SoftmaxAttention
from app.memory.blocks.mlp import Mlp, SparseMlp
from app.memory.blocks.parameters import Adaptable, Norm, Parameter, Projection
from app.memory.blocks.recurrent import Recurrence

TokenMixer = SoftmaxAttention | Recurrence


class BlockKind(StrEnum):
    """Where a layer's norms and residual additions stand."""

    PRE_NORM = "pre_norm"
    """x + mixer(norm(x)), then x + mlp(norm(x))."""
    SANDWICH = "sandwich"
    """x + norm(mixer(norm(x))), then the same around the MLP."""
    POST_NORM = "post_norm"
    """x + norm(mixer(x)), then x + norm(mlp(x))."""
    AFTER_SUM = "after_sum"
    """norm(x + mixer(x)), then norm(x + mlp(x)) (OPT-350m)."""
    PARALLEL = "parallel"
    """x + mixer(norm(x)) + mlp(norm(x)), from one norm or two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PerLayerInput:
    """A narrow embedding of each layer's own, gated into the stream after the MLP (Gemma 3n, Gemma 4's E models)."""

    width: int
    gate: Projection
    projection: Projection
    norm: Norm

    def projections(self) -> Iterator[Projection]:
        yield self.gate
        yield self.projection

    def parameters(self) -> Iterator[Parameter]:
        for projection in self.projections():
            yield from projection.parameters()
        yield from self.norm.parameters()


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A decoder layer. ``norms`` in the order their code runs; a part that is absent is None."""

    block: BlockKind
    norms: tuple[Norm, ...]
    mixer: TokenMixer | None
    mlp: Mlp | None
    experts: SparseMlp | None = None
    """Experts beside a dense MLP, each with norms of its own (Gemma 4)."""
    recurrence: Recurrence | None = None
    """Beside the attention, from the same norm; both results are added (Falcon-H1)."""
    per_layer_input: PerLayerInput | None = None
    residual_multiplier: bool = False
    """Granite's and MiniCPM's: each branch is scaled before it is added."""
    extra: tuple[Parameter, ...] = ()
    """Further parameters, which no transcription reads (Gemma 3n's alternating updates)."""

    @property
    def mixers(self) -> tuple[TokenMixer, ...]:
        """What mixes tokens, where there may be two side by side."""
        return tuple(mixer for mixer in (self.mixer, self.recurrence) if mixer is not None)

    def projections(self) -> Iterator[Projection]:
        """Every ``nn.Linear`` of the layer."""
        for part in (self.mixer, self.recurrence, self.mlp, self.experts, self.per_layer_input):
            if part is not None:
                yield from part.projections()

    def adaptable(self) -> Iterator[Adaptable]:
        """Everything that PEFT could adapt: linear layers, and fused experts and routers where it converts them."""
        for part in (self.mixer, self.recurrence, self.mlp, self.experts, self.per_layer_input):
            if isinstance(part, SparseMlp):
                yield from part.adaptable()
            elif part is not None:
                yield from part.projections()

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter tensor of the layer."""
        for norm in self.norms:
            yield from norm.parameters()
        for part in (self.mixer, self.recurrence, self.mlp, self.experts, self.per_layer_input):
            if part is not None:
                yield from part.parameters()
        yield from self.extra
