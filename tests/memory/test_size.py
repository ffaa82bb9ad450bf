"""Sizes as polynomials in micro-batch, sequence length and rank."""

import pytest

from app.memory.size import ZERO, Size, constant, per_token, per_token_rank, scores

EACH = Size(fixed=2, rank=3, position=5, position_pair=7, token=11, token_rank=13, token_position=17)


def test_a_size_is_its_polynomial() -> None:
    batch, length, rank = 4, 10, 8
    tokens = batch * length
    by_hand = 2 + 3 * rank + 5 * length + 7 * length**2 + tokens * (11 + 13 * rank + 17 * length)
    assert EACH.at(batch, length, rank) == by_hand
    fixed, slope = EACH.line(length, rank)
    assert fixed + batch * slope == by_hand


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (constant(6), 6),
        (per_token(6), 6 * 4 * 10),
        (per_token_rank(6), 6 * 4 * 10 * 8),
        (scores(6), 6 * 4 * 10 * 10),
        (ZERO, 0),
    ],
)
def test_the_kinds_of_tensor_a_layer_makes(size: Size, expected: int) -> None:
    assert size.at(4, 10, 8) == expected


def test_sizes_add_subtract_and_multiply_term_by_term() -> None:
    other = Size(fixed=1, rank=1, position=1, position_pair=1, token=1, token_rank=1, token_position=1)
    point = (3, 7, 2)
    assert (EACH + other).at(*point) == EACH.at(*point) + other.at(*point)
    assert (EACH - other).at(*point) == EACH.at(*point) - other.at(*point)
    assert EACH.times(5).at(*point) == 5 * EACH.at(*point)
    assert EACH + ZERO == EACH


def test_a_size_dominates_another_only_where_no_batch_sequence_or_rank_makes_it_smaller() -> None:
    assert EACH.dominates(ZERO)
    assert EACH.dominates(EACH)
    assert not per_token(10).dominates(constant(1))
    assert not constant(10**9).dominates(per_token(1))
