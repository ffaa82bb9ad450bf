"""Lengths, batches, padding and packing, against counting by hand and laws that always hold."""

from itertools import combinations
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.planning.length_fit import POINTS, FitError, fit_lengths
from app.planning.lengths import Lengths, first_longest_batch, pack, shape_of

LENGTHS = st.lists(st.integers(1, 5_000), min_size=1, max_size=60)
BATCH = st.integers(1, 64)
LIMIT = st.none() | st.integers(1, 6_000)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_expected_longest_is_the_mean_over_all_draws(count: int) -> None:
    tokens = [7, 12, 12, 40, 3, 90]
    expected = mean(max(drawn) for drawn in combinations(tokens, count))
    assert Lengths.of(tokens).longest_of(count) == pytest.approx(expected)


def test_a_batch_that_takes_all_has_the_longest() -> None:
    lengths = Lengths.of([5, 6, 7])
    assert lengths.longest_of(3) == lengths.longest_of(100) == 7


def test_quantiles_are_lengths_that_exist() -> None:
    lengths = Lengths.of(list(range(1, 101)))
    assert (lengths.quantile(0.95), lengths.quantile(0.5), lengths.quantile(1), lengths.quantile(0)) == (95, 50, 100, 1)


def test_padding_by_hand() -> None:
    # Of the three pairs of 10, 10, 100 two have the 100: batches are 70 long on average, examples 40.
    shape = shape_of(Lengths.of([10, 10, 100]), 2, None)
    assert shape.expected_longest_tokens == pytest.approx(70)
    assert shape.padding_share == pytest.approx(1 - 40 / 70)
    assert (shape.longest_tokens, shape.longest_batch_tokens) == (100, 200)


def test_cutting_loses_what_lies_beyond() -> None:
    shape = shape_of(Lengths.of([100, 300, 600]), 1, 200)
    assert (shape.longest_tokens, shape.lengths.tokens) == (200, (100, 200, 200))
    assert shape.cut_share == pytest.approx(2 / 3)
    assert shape.lost_share == pytest.approx(500 / 1000)


def test_packing_by_hand() -> None:
    packing = pack(Lengths.of([6, 5, 5, 4, 3, 1]), 10)
    # 6 + 4, 5 + 5, 3 + 1.
    assert packing.sequences_per_example == pytest.approx(3 / 6)
    assert packing.fill_share == pytest.approx(24 / 30)


def test_the_first_longest_batch_is_half_an_epoch_away_where_there_is_one() -> None:
    assert first_longest_batch(1000, 0.0001, 4) == pytest.approx(1001 / 2 / 4)
    assert first_longest_batch(1000, 0.5, 4) == 1


@given(LENGTHS, BATCH, LIMIT)
def test_no_batch_is_shorter_than_the_mean_or_longer_than_the_longest(
    tokens: list[int], batch: int, limit: int | None
) -> None:
    shape = shape_of(Lengths.of(tokens), batch, limit)
    assert shape.lengths.mean <= shape.expected_longest_tokens <= shape.longest_tokens
    assert 0 <= shape.padding_share < 1
    assert shape.longest_tokens <= max(tokens)
    assert limit is None or shape.longest_tokens <= limit


@given(LENGTHS, BATCH, st.integers(1, 32))
def test_larger_batches_pad_no_less(tokens: list[int], batch: int, more: int) -> None:
    lengths = Lengths.of(tokens)
    smaller, larger = (shape_of(lengths, size, None) for size in (batch, batch + more))
    assert larger.expected_longest_tokens >= smaller.expected_longest_tokens - 1e-9
    assert larger.padding_share >= smaller.padding_share - 1e-9


@given(LENGTHS, st.integers(0, 5_000))
def test_packing_never_takes_more_places_than_padding_to_the_same_length(tokens: list[int], room: int) -> None:
    lengths = Lengths.of(tokens)
    length = lengths.longest + room
    packing = pack(lengths, length)
    sequences = round(packing.sequences_per_example * lengths.examples)
    assert lengths.total <= sequences * length <= lengths.examples * length
    assert packing.fill_share == pytest.approx(lengths.total / (sequences * length))
    # No two sequences together could be one, so at least half of all places are filled, but for one sequence.
    assert (sequences - 1) * length < 2 * lengths.total


@given(LENGTHS, st.integers(1, 5_000), st.integers(0, 5_000))
def test_a_higher_limit_never_loses_more(tokens: list[int], limit: int, more: int) -> None:
    lengths = Lengths.of(tokens)
    assert lengths.cut(limit + more).total >= lengths.cut(limit).total
    assert lengths.share_above(limit + more) <= lengths.share_above(limit)


@given(st.integers(20, 2_000), st.floats(1.05, 3.0), st.floats(1.02, 20))
def test_a_fit_meets_its_three_figures(average: int, spread: float, tail: float) -> None:
    percentile = round(average * spread)
    maximum = round(percentile * tail)
    fitted = fit_lengths(average, percentile, maximum)
    assert fitted.lengths.examples == POINTS
    assert fitted.lengths.longest == maximum
    assert fitted.meets_mean
    assert fitted.lengths.mean == pytest.approx(average, rel=0.021, abs=1)
    assert fitted.lengths.quantile(0.95) == pytest.approx(percentile, rel=0.01, abs=1)


def test_a_95th_percentile_at_the_maximum_piles_examples_up_there() -> None:
    fitted = fit_lengths(500, 2048, 2048)
    assert fitted.lengths.quantile(0.951) == 2048
    assert fitted.lengths.share_at_longest == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize("figures", [(500, 400, 1000), (500, 900, 800), (0, 10, 10)])
def test_figures_that_contradict_are_refused(figures: tuple[int, int, int]) -> None:
    with pytest.raises(FitError):
        fit_lengths(*figures)


def test_what_no_lognormal_has_is_said() -> None:
    assert not fit_lengths(10, 1_000, 100_000).meets_mean


@pytest.mark.parametrize("tokens", [[], [0], [5, -1]])
def test_lengths_start_at_one(tokens: list[int]) -> None:
    with pytest.raises(ValueError, match="whole numbers from 1"):
        Lengths.of(tokens)
