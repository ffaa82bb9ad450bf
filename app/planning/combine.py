"""The smallest sets of changes that pass a test, found with a bounded number of tests.

Each change sets something (its ``slot``), and two that set the same thing exclude each other. What changes save does
not add up: each set is tested as a whole, and what a change saves by itself only says which sets to look at first.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Generic, TypeVar

Change = TypeVar("Change")

MOST_TESTS: Final = 32
"""Sets tested by one search at most, beside those that reduce a set when the search ends early."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice(Generic[Change]):
    """A change, what it sets, and what it saves by itself."""

    change: Change
    slot: str
    saves_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Combined(Generic[Change]):
    """Sets that pass, all of one size, and how many sets were tested.

    With ``is_smallest`` no smaller set passes; without, only none that leaves out one of its changes.
    """

    sets: tuple[tuple[Change, ...], ...]
    tests: int
    is_smallest: bool


def smallest_sets(
    choices: Sequence[Choice[Change]],
    passes: Callable[[tuple[Change, ...]], bool],
    *,
    from_size: int = 1,
    most_tests: int = MOST_TESTS,
) -> Combined[Change]:
    """The sets of the smallest size at which one passes; none where all changes together do not pass.

    Sets below ``from_size`` are known not to pass. Where ``most_tests`` do not reach a size at which one passes, all
    changes together are reduced until none can be left out, which takes one test more for each of them.
    """
    everything = _strongest(choices)
    if len(everything) < from_size or not passes(_changes(everything)):
        return Combined(sets=(), tests=1, is_smallest=True)
    tests = 1
    for size in range(from_size, len(everything) + 1):
        passing: list[tuple[Change, ...]] = []
        for chosen in _sets(choices, size):
            known = chosen == everything
            if tests == most_tests and not known:
                break
            tests += 0 if known else 1
            if known or passes(_changes(chosen)):
                passing.append(_changes(chosen))
        if passing:
            return Combined(sets=tuple(passing), tests=tests, is_smallest=True)
        if tests == most_tests:
            break
    reduced, more = _reduced(everything, passes)
    return Combined(sets=(_changes(reduced),), tests=tests + more, is_smallest=False)


def _changes(choices: Sequence[Choice[Change]]) -> tuple[Change, ...]:
    return tuple(choice.change for choice in choices)


def _strongest(choices: Sequence[Choice[Change]]) -> tuple[Choice[Change], ...]:
    """Of each slot the change that saves most by itself, in the order given."""
    best: dict[str, Choice[Change]] = {}
    for choice in choices:
        known = best.get(choice.slot)
        if known is None or choice.saves_bytes > known.saves_bytes:
            best[choice.slot] = choice
    return tuple(choice for choice in choices if best[choice.slot] is choice)


def _sets(choices: Sequence[Choice[Change]], size: int) -> Iterator[tuple[Choice[Change], ...]]:
    """Sets of one size without two changes of a slot, those that promise most first."""
    sets = (chosen for chosen in combinations(choices, size) if len({choice.slot for choice in chosen}) == size)
    return iter(sorted(sets, key=lambda chosen: -sum(choice.saves_bytes for choice in chosen)))


def _reduced(
    choices: tuple[Choice[Change], ...], passes: Callable[[tuple[Change, ...]], bool]
) -> tuple[tuple[Choice[Change], ...], int]:
    """Choices with every one left out that the rest passes without, those that save least tried first."""
    kept = choices
    for choice in sorted(choices, key=lambda choice: choice.saves_bytes):
        fewer = tuple(other for other in kept if other is not choice)
        if passes(_changes(fewer)):
            kept = fewer
    return kept, len(choices)
