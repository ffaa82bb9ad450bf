"""Kimi Delta Attention: a gated delta rule that forgets each channel at its own rate (arXiv 2510.26692)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from app.memory.blocks.convolution import Convolution
from app.memory.blocks.parameters import Norm, Parameter, ParameterKind, Projection


@dataclass(frozen=True, kw_only=True, slots=True)
class KimiDelta:
    """A matrix state a head (Kimi Linear, Ling 3, GLM-5-Next)."""

    num_heads: int
    head_dim: int
    inputs: tuple[Projection, ...]
    """Queries, keys and values, which one convolution sees."""
    convolution: Convolution
    forget: tuple[Projection, ...]
    """One after the other: what each channel forgets."""
    rate: Projection
    gate: tuple[Projection, ...]
    norm: Norm
    output: Projection
    bounded: bool = False
    """Rates are a sigmoid between bounds rather than a softplus (Ling 3)."""

    @property
    def width(self) -> int:
        """Features of all heads."""
        return self.num_heads * self.head_dim

    @property
    def state_elements(self) -> int:
        """Of a sequence."""
        return self.width * self.head_dim

    def projections(self) -> Iterator[Projection]:
        return chain(self.inputs, self.forget, (self.rate,), self.gate, (self.output,))

    def parameters(self) -> Iterator[Parameter]:
        for projection in self.projections():
            yield from projection.parameters()
        yield from self.convolution.parameters()
        yield from self.norm.parameters()
        yield Parameter(ParameterKind.OTHER, self.num_heads)
        yield Parameter(ParameterKind.OTHER, self.width)
