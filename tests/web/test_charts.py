"""Bars as geometry."""

from hypothesis import given
from hypothesis import strategies as st

from app.memory.result import Component, ComponentName, OverheadName
from app.web.charts import GROUP_ORDER, axis, grouped_bytes, label_layout, stacked_bar


def _share(text: str) -> float:
    return float(text.removesuffix("%")) / 100


def test_every_component_and_overhead_has_a_group() -> None:
    parts = [Component(name, 1, "") for name in (*ComponentName, *OverheadName)]
    grouped = grouped_bytes(parts)
    assert tuple(grouped) == GROUP_ORDER
    assert sum(grouped.values()) == len(parts)
    assert grouped["temporaries"] == 4


@given(st.dictionaries(st.sampled_from(GROUP_ORDER), st.integers(1, 2**40), min_size=1), st.floats(1.0, 4.0))
def test_segments_lie_end_to_end_within_the_scale(sizes: dict[str, int], room: float) -> None:
    scale = int(sum(sizes.values()) * room)
    bar = stacked_bar(sizes, scale_bytes=scale)
    position = 0.0
    for segment in bar.segments:
        assert abs(_share(segment.x) - position) < 0.001
        position += _share(segment.width)
    assert position <= 1.001
    assert abs(_share(bar.end_x) - sum(sizes.values()) / scale) < 0.001


def test_the_limit_is_drawn_only_where_it_lies_on_the_scale() -> None:
    assert stacked_bar({"weights": 10}, scale_bytes=20, capacity_bytes=15).capacity_x == "75.00%"
    assert stacked_bar({"weights": 10}, scale_bytes=20, capacity_bytes=25).capacity_x is None


def test_a_label_shows_from_the_layout_that_has_room_for_it() -> None:
    assert label_layout(0.9, "Weights") == "all"
    assert label_layout(0.12, "Weights") == "wide"
    assert label_layout(0.07, "Weights") == "wider"
    assert label_layout(0.01, "Weights") == "none"


@given(st.floats(0.05, 5000))
def test_an_axis_starts_at_zero_and_reaches_the_largest_value_in_few_steps(largest: float) -> None:
    ticks = axis(largest)
    assert ticks[0] == 0
    assert ticks[-1] >= largest * 0.999
    assert 2 <= len(ticks) <= 8
