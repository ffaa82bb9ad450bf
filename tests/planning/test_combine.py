"""The smallest sets of changes that pass: against looking at every set."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.planning.combine import Choice, smallest_sets


def choices(savings: list[int], slots: list[int] | None = None) -> list[Choice[int]]:
    return [
        Choice(change=index, slot=str(slots[index] if slots else index), saves_bytes=saving)
        for index, saving in enumerate(savings)
    ]


@given(
    savings=st.lists(st.integers(0, 100), min_size=1, max_size=6),
    slots=st.lists(st.integers(0, 4), min_size=6, max_size=6),
    needed=st.integers(1, 300),
)
def test_it_finds_every_smallest_set(savings: list[int], slots: list[int], needed: int) -> None:
    def passes(chosen: tuple[int, ...]) -> bool:
        return sum(savings[index] for index in chosen) >= needed

    found = smallest_sets(choices(savings, slots), passes, most_tests=10_000)
    valid = [
        chosen
        for size in range(1, len(savings) + 1)
        for chosen in combinations(range(len(savings)), size)
        if len({slots[index] for index in chosen}) == size and passes(chosen)
    ]
    smallest = min(map(len, valid), default=0)
    assert {frozenset(chosen) for chosen in found.sets} == {
        frozenset(chosen) for chosen in valid if len(chosen) == smallest
    }
    assert found.is_smallest


def test_what_changes_save_together_decides_not_the_sum() -> None:
    passing = {frozenset({0, 2})}
    found = smallest_sets(choices([50, 40, 1]), lambda chosen: len(chosen) == 3 or frozenset(chosen) in passing)
    assert found.sets == ((0, 2),)


def test_one_test_shows_that_nothing_helps() -> None:
    tested: list[tuple[int, ...]] = []

    def passes(chosen: tuple[int, ...]) -> bool:
        tested.append(chosen)
        return False

    assert smallest_sets(choices([1] * 12), passes).sets == ()
    assert len(tested) == 1


@pytest.mark.parametrize("count", [8, 12, 16])
def test_the_tests_are_bounded_and_what_they_end_with_cannot_do_with_less(count: int) -> None:
    tested: list[tuple[int, ...]] = []
    needed = {0, 3, 5, 7}

    def passes(chosen: tuple[int, ...]) -> bool:
        tested.append(chosen)
        return needed <= set(chosen)

    found = smallest_sets(choices([1] * count), passes, most_tests=20)
    assert len(tested) == found.tests <= 20 + count
    assert [set(chosen) for chosen in found.sets] == [needed]
    assert not found.is_smallest


def test_sizes_that_are_known_not_to_pass_are_not_tested() -> None:
    tested: list[int] = []

    def passes(chosen: tuple[int, ...]) -> bool:
        tested.append(len(chosen))
        return len(chosen) >= 2

    found = smallest_sets(choices([3, 2, 1]), passes, from_size=2)
    assert 1 not in tested
    assert len(found.sets) == 3
    assert smallest_sets(choices([3]), passes, from_size=2).sets == ()
