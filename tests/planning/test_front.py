"""Which of many options no other one beats."""

from hypothesis import given
from hypothesis import strategies as st

from app.planning.front import dominates, pareto_front

MEASURES = st.lists(st.tuples(*[st.integers(0, 6).map(float)] * 3), max_size=40)


@given(MEASURES)
def test_the_front_is_exactly_what_nothing_dominates(options: list[tuple[float, ...]]) -> None:
    front = pareto_front(options)
    expected = [place for place, option in enumerate(options) if not any(dominates(other, option) for other in options)]
    assert list(front) == expected


def test_options_that_measure_the_same_all_stay() -> None:
    assert pareto_front([(1.0, 2.0), (1.0, 2.0), (2.0, 2.0), (0.5, 3.0)]) == (0, 1, 3)


def test_nothing_has_an_empty_front() -> None:
    assert pareto_front([]) == ()
