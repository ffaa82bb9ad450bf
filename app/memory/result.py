"""What a memory estimate is made of: phases of named components, and overheads beside them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from app.memory.growth import Growth


class PhaseName(StrEnum):
    """The phases of a training step, in order."""

    FORWARD = "forward"
    LOSS = "loss"
    BACKWARD_LOSS = "backward_loss"
    BACKWARD = "backward"
    CLIP = "clip"
    OPTIMIZER_STEP = "optimizer_step"


class ComponentName(StrEnum):
    """What a phase holds, in the order charts stack it."""

    WEIGHTS = "weights"
    QUANTISATION_STATE = "quantisation_state"
    ADAPTERS = "adapters"
    GRADIENTS = "gradients"
    OPTIMIZER_STATE = "optimizer_state"
    ACTIVATIONS = "activations"
    LOGITS = "logits"
    GATHERED_WEIGHTS = "gathered_weights"
    TEMPORARIES = "temporaries"
    COMMUNICATION = "communication"
    WORKSPACES = "workspaces"


class OverheadName(StrEnum):
    """What a card must hold beyond what PyTorch has allocated."""

    ALLOCATOR_SLACK = "allocator_slack"
    CUDA_CONTEXT = "cuda_context"


@dataclass(frozen=True, slots=True)
class Component:
    """A named share of a phase (or an overhead), in bytes; zeros are left out."""

    name: ComponentName | OverheadName
    bytes: int
    explanation: str
    formula: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of the step: ``bytes`` is the sum of its components, the largest moment of the phase."""

    name: PhaseName
    bytes: int
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """A low and a high bound in bytes that hold the truth with the estimate's ``coverage``."""

    low_bytes: int
    high_bytes: int

    def beside(self, outside: "Outside") -> "Interval":
        """The interval with what stands outside the allocator."""
        return Interval(self.low_bytes + outside.low_bytes, self.high_bytes + outside.high_bytes)


@dataclass(frozen=True, slots=True)
class Outside:
    """Bytes that a process holds beside PyTorch's allocator: what is typical, and an interval."""

    low_bytes: int
    typical_bytes: int
    high_bytes: int

    def __add__(self, other: "Outside") -> "Outside":
        return Outside(
            self.low_bytes + other.low_bytes,
            self.typical_bytes + other.typical_bytes,
            self.high_bytes + other.high_bytes,
        )

    def __sub__(self, other: "Outside") -> "Outside":
        return Outside(
            self.low_bytes - other.low_bytes,
            self.typical_bytes - other.typical_bytes,
            self.high_bytes - other.high_bytes,
        )


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning with a stable code."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class ParameterCounts:
    """Exact parameter counts of the run. ``total`` includes the adapters; ``active`` is what one token uses."""

    total: int
    trainable: int
    frozen: int
    adapter: int
    active: int


class Needed(NamedTuple):
    """What a card must have for a run: ``required_bytes`` and ``required`` of its estimate."""

    required_bytes: int
    required: Interval


Formulas = Mapping[ComponentName | OverheadName, str]
"""Each component as arithmetic with the run's own numbers in it."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Memory of one GPU, the fullest rank."""

    parameters: ParameterCounts
    peak_allocated_bytes: int
    peak_allocated: Interval
    peak_reserved_bytes: int
    peak_reserved: Interval
    required_bytes: int
    required: Interval
    context: Outside
    """The CUDA context in ``required``."""
    coverage: float
    peak_phase: PhaseName
    overheads: tuple[Component, ...]
    """With the peak's components they sum to ``required_bytes``."""
    host_bytes: int
    assumptions: tuple[str, ...]
    warnings: tuple[Notice, ...]
    breakdown: Callable[[], tuple[Phase, ...]] = field(repr=False, compare=False)
    """Makes ``phases``, which are often not asked for."""
    peaks: Callable[[], Phase] = field(repr=False, compare=False)
    """Makes that of them which is the peak."""
    grows: Callable[[], Growth] = field(repr=False, compare=False)
    """Makes ``growth``, likewise."""
    explains: Callable[[], Formulas] = field(repr=False, compare=False)
    """Makes the formulas of the peak's components."""
    requires: Callable[[int, Outside], Interval] = field(repr=False, compare=False)
    """``required`` on cards with so many bytes of library workspaces and such a context."""

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of the step, in order; the largest is the peak."""
        return self.breakdown()

    @cached_property
    def growth(self) -> Growth:
        """The same run's peak as a function of the micro-batch."""
        return self.grows()

    @property
    def components(self) -> tuple[Component, ...]:
        """Those of the peak phase; they sum to ``peak_allocated_bytes``."""
        return self.peak.components

    @cached_property
    def peak(self) -> Phase:
        """The phase that decides."""
        return self.peaks()
