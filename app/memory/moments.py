"""What moments of a step are made of, and how a step is spread over ranks."""

from dataclasses import dataclass

from app.memory.liveness import Instant
from app.memory.result import PhaseName
from app.memory.size import ZERO, Size
from app.memory.tape import Category

Part = tuple[Category, Size]


@dataclass(frozen=True, slots=True)
class StepMoment:
    """What lives at one moment besides the model states, by category."""

    phase: PhaseName
    total: Size
    parts: tuple[Part, ...]

    def sharing(self, parts: dict[Part, Part]) -> "StepMoment":
        """The same moment out of ``parts`` that equal its own, where there are such: a step's are mostly the same."""
        return StepMoment(self.phase, self.total, tuple([parts.setdefault(part, part) for part in self.parts]))


@dataclass(frozen=True, slots=True)
class Spread:
    """How a step is spread over ranks, as far as its moments go.

    ``gradients`` is the share of finished gradients that a rank keeps, as numerator and denominator.
    ``gathered`` is the weights that are whole on the rank while each layer runs, ``root`` those that stay so
    from forward to the end of backward, in bytes. ``in_flight`` micro-batches wait in a pipeline stage.
    ``split`` ranks share each matrix under tensor parallelism. ``holds_inputs``: hooks hold the repeated inputs of
    checkpointed layers, and their gradients, until backward ends.
    """

    gradients: tuple[int, int] = (1, 1)
    gathered: tuple[int, ...] = ()
    root: int = 0
    in_flight: int = 1
    split: int = 1
    holds_inputs: bool = False


WHOLE = Spread()


def add(parts: dict[Category, Size], category: Category, size: Size) -> None:
    """Count ``size`` more in a category."""
    parts[category] = parts.get(category, ZERO) + size


def moment(phase: PhaseName, outside: dict[Category, Size], instant: Instant) -> StepMoment:
    """The moment at which ``instant`` lives beside ``outside``."""
    parts = dict(outside)
    for category, size in instant.parts.items():
        add(parts, category, size)
    total = ZERO
    for size in parts.values():
        total = total + size
    return StepMoment(phase, total, tuple(parts.items()))
