"""Which of many options no other one beats."""

from collections.abc import Sequence
from typing import TypeAlias

Measures: TypeAlias = tuple[float, ...]
"""What options are compared by, smaller being better in each place."""


def dominates(one: Measures, other: Measures) -> bool:
    """Whether ``one`` is nowhere worse than ``other`` and somewhere better."""
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def pareto_front(options: Sequence[Measures]) -> tuple[int, ...]:
    """Places of the options that no other dominates, ascending; options that measure the same all stay."""
    front: list[int] = []
    # What dominates an option comes before it in this order, so one look back is enough.
    for place in sorted(range(len(options)), key=lambda place: options[place]):
        if not any(dominates(options[kept], options[place]) for kept in front):
            front.append(place)
    return tuple(sorted(front))
