"""The search behind inverse questions, held against trying every candidate; and the guesses it starts from."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalogue.snapshot import Snapshot
from app.memory.inputs import LossKernel
from app.planning.inverse import (
    SharedOut,
    allocated_within,
    along_line,
    first_of,
    furthest,
    least_count,
    longest_sequence,
)
from app.services.counts import estimate_on
from app.units import GIB
from tests.memory.runs import estimate, groups

often = settings(max_examples=300, deadline=None)


class Counting:
    """A test that counts how often it is asked, and never about one candidate twice."""

    def __init__(self, fitting: set[int]) -> None:
        self.fitting = fitting
        self.asked: list[int] = []

    def __call__(self, candidate: int) -> bool:
        assert candidate not in self.asked
        self.asked.append(candidate)
        return candidate in self.fitting


@often
@given(st.integers(1, 3000), st.integers(0, 3000), st.integers(-5, 3005))
def test_where_more_never_fits_again_the_answer_is_the_last_that_fits(count: int, fitting: int, guess: int) -> None:
    fits = Counting(set(range(min(fitting, count))))
    found = furthest(fits, range(count), guess=guess)
    last = min(fitting, count) - 1
    assert found.answer == (last if last >= 0 else None)
    assert found.refused == (last + 1 if last + 1 < count else None)
    off = abs(min(max(guess, 0), count - 1) - max(last, 0))
    rescue = count.bit_length() + 1 if last < 0 else 0
    assert len(fits.asked) <= 2 * math.log2(off + 1) + 3 + rescue


@often
@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(0, 220))
def test_whatever_the_test_does_the_answer_passes_and_the_next_does_not(fitting: list[bool], guess: int) -> None:
    found = furthest(lambda place: fitting[place], range(len(fitting)), guess=guess)
    if found.answer is None:
        assert found.refused == 0
        assert not fitting[0]
        return
    assert fitting[found.answer]
    if found.refused is None:
        assert found.answer == len(fitting) - 1
    else:
        assert found.refused == found.answer + 1
        assert not fitting[found.refused]


def test_a_first_candidate_that_does_not_fit_does_not_end_the_search() -> None:
    found = furthest(lambda rank: 8 <= rank <= 11, range(1, 100))
    assert (found.answer, found.refused) == (11, 12)


def test_there_has_to_be_something_to_choose_from() -> None:
    with pytest.raises(ValueError, match="nothing to choose"):
        furthest(lambda _: True, ())


@often
@given(st.lists(st.booleans(), min_size=1, max_size=100), st.integers(1, 20))
def test_a_row_without_an_order_is_gone_through_from_its_start(fitting: list[bool], step: int) -> None:
    rungs = sorted({*range(0, len(fitting), step), len(fitting) - 1})
    found = first_of(lambda place: fitting[place], range(len(fitting)), rungs)
    if found.answer is None:
        assert not any(fitting[rung] for rung in rungs)
        assert found.refused == len(fitting) - 1
        return
    assert fitting[found.answer]
    assert found.refused == (found.answer - 1 if found.answer else None)
    assert found.refused is None or not fitting[found.refused]
    assert step > 1 or not any(fitting[: found.answer])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["full", "lora", "qlora"]),
    st.integers(1, 16),
    st.integers(1, 24),
    st.sampled_from(["sdpa", "eager"]),
    st.sampled_from([LossKernel.STANDARD, LossKernel.CHUNKED]),
)
def test_the_longest_sequence_is_read_off_the_phases_exactly(
    method: str, micro_batch_size: int, gib: int, attention: str, loss_kernel: LossKernel
) -> None:
    run: dict[str, Any] = {
        "method": method,
        "micro_batch_size": micro_batch_size,
        "attention": attention,
        "loss_kernel": loss_kernel,
    }
    found = longest_sequence(estimate(sequence_length=1, **run).growth, micro_batch_size, gib * GIB)
    assert found > 0
    assert estimate(sequence_length=found, **run).peak_allocated_bytes <= gib * GIB
    assert estimate(sequence_length=found + 1, **run).peak_allocated_bytes > gib * GIB


def test_no_sequence_fits_where_the_weights_do_not() -> None:
    short = estimate(sequence_length=1, method="full")
    assert longest_sequence(short.growth, 4, short.growth.throughout_bytes - 1) == 0


@pytest.mark.parametrize("allow_tight", [False, True])
@pytest.mark.parametrize("usable", [2 * GIB, 24 * GIB, 80 * GIB])
def test_the_allocated_bytes_that_fit_a_card_are_the_inverse_of_its_interval(usable: int, allow_tight: bool) -> None:
    small = estimate(micro_batch_size=1)
    near = small.growth.largest_within(allocated_within(small, usable, allow_tight=allow_tight))
    ends = [estimate(micro_batch_size=size).required for size in (near, near + 1)]
    fitting, next_ = (required.low_bytes if allow_tight else required.high_bytes for required in ends)
    assert fitting <= usable + 16
    assert next_ > usable - 16


def test_lines_and_shares_lead_back_to_where_they_were_drawn_from() -> None:
    assert along_line((1, 1010), (64, 1640), 1510) == 51
    assert along_line((1, 1000), (64, 1000), 5000) == 64
    assert along_line((1, 1000), (64, 2000), 10) == 0
    assert least_count((2, 100 + 600 // 2), (60, 100 + 600 // 60), 200) == 6
    assert least_count((2, 400), (64, 110), 50) == 64


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 200), st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(1, 64), st.integers(0, 10**8)), min_size=1, max_size=30),
)
def test_counts_tell_of_each_other_what_they_hold(
    moments: list[tuple[int, int, int]], questions: list[tuple[int, int]]
) -> None:
    asked = []

    def bytes_on(cards: int) -> int:
        asked.append(cards)
        return needed(cards)

    def needed(cards: int) -> int:
        return max(-(-rows // cards) * row + whole for rows, row, whole in moments)

    spread = SharedOut(bytes_on)
    for count, limit in questions:
        assert spread.fits(count, limit) == (needed(count) <= limit)
    assert len(asked) == len(set(asked))
    before = len(asked)
    for count, limit in questions:
        assert spread.fits(count, limit) == (needed(count) <= limit)
    assert len(asked) == before


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
@pytest.mark.parametrize("name", ["mistral-7b-v0.1", "mixtral-8x7b-v0.1"])
def test_more_cards_never_hold_more_each(name: str, method: str) -> None:
    model = Snapshot.bundled().model(name)
    assert model is not None
    asked = groups(method=method)
    needed = [estimate_on(model.architecture, asked, count).required.high_bytes for count in range(2, 65)]
    assert needed == sorted(needed, reverse=True)
