"""A recurrence of which parameters and widths are described, and what runs between its projections is not."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.memory.blocks.convolution import Convolution
from app.memory.blocks.parameters import Norm, Parameter, Projection


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """Mamba 1, lightning attention, RG-LRU and compressed attention, each by what it is made of."""

    width: int
    """Features a token between the inputs and the output."""
    inputs: tuple[Projection, ...]
    """What the layer's input goes through."""
    output: Projection
    between: tuple[Projection, ...] = ()
    """Further projections, of narrower things."""
    convolution: Convolution | None = None
    norms: tuple[Norm, ...] = ()
    extra: tuple[Parameter, ...] = ()
    kept_features: int = 0
    """Numbers a token that the recurrence keeps in float32 for backward, as far as they are known."""
    state_elements: int = 0
    """Of a sequence."""

    def projections(self) -> Iterator[Projection]:
        yield from (*self.inputs, *self.between, self.output)

    def parameters(self) -> Iterator[Parameter]:
        for projection in self.projections():
            yield from projection.parameters()
        if self.convolution is not None:
            yield from self.convolution.parameters()
        for norm in self.norms:
            yield from norm.parameters()
        yield from self.extra
