"""Token mixers whose cost grows linearly with the sequence."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.memory.blocks.convolution import Convolution
from app.memory.blocks.kimi_delta import KimiDelta
from app.memory.blocks.parameters import Norm, Parameter, ParameterKind, Projection
from app.memory.blocks.scan import Scan


@dataclass(frozen=True, kw_only=True, slots=True)
class DeltaNet:
    """Gated DeltaNet (Qwen3-Next, Qwen3.5; arXiv 2412.06464): a matrix state a head, updated by the delta rule."""

    num_key_heads: int
    num_value_heads: int
    key_head_dim: int
    value_head_dim: int
    inputs: tuple[Projection, ...]
    """Queries, keys, values and the output's gate, then the two rates; fused in pairs in Qwen3-Next."""
    convolution: Convolution
    norm: Norm
    output: Projection

    @property
    def key_width(self) -> int:
        return self.num_key_heads * self.key_head_dim

    @property
    def value_width(self) -> int:
        return self.num_value_heads * self.value_head_dim

    def projections(self) -> Iterator[Projection]:
        yield from self.inputs
        yield self.output

    def parameters(self) -> Iterator[Parameter]:
        for projection in self.projections():
            yield from projection.parameters()
        yield from self.convolution.parameters()
        yield from self.norm.parameters()
        yield Parameter(ParameterKind.OTHER, self.num_value_heads, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mamba2:
    """A state-space mixer (Nemotron-H, Granite 4, Bamba, Falcon-H1; arXiv 2405.21060)."""

    num_heads: int
    head_dim: int
    state_size: int
    groups: int
    chunk: int
    input: Projection
    convolution: Convolution
    norm: Norm | None
    """Normalises the gated result; None: it is only gated (Falcon-H1)."""
    output: Projection
    norm_before_gate: bool = False
    scales_input: bool = False
    """Input and projected parts are multiplied by constants (Falcon-H1)."""

    @property
    def inner_width(self) -> int:
        return self.num_heads * self.head_dim

    def projections(self) -> Iterator[Projection]:
        yield self.input
        yield self.output

    def parameters(self) -> Iterator[Parameter]:
        for projection in self.projections():
            yield from projection.parameters()
        yield from self.convolution.parameters()
        if self.norm is not None:
            yield from self.norm.parameters()
        yield Parameter(ParameterKind.OTHER, self.num_heads, 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShortConvolution:
    """A gated convolution of a few tokens (LFM2)."""

    width: int
    input: Projection
    convolution: Convolution
    output: Projection

    def projections(self) -> Iterator[Projection]:
        yield self.input
        yield self.output

    def parameters(self) -> Iterator[Parameter]:
        for projection in self.projections():
            yield from projection.parameters()
        yield from self.convolution.parameters()


Recurrence = DeltaNet | KimiDelta | Mamba2 | Scan | ShortConvolution
