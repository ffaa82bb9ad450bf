"""The accuracy report's own arithmetic, and that the page has what it would write."""

from pathlib import Path

import pytest

from benchmarks.accuracy.comparison import compare
from benchmarks.accuracy.distribution import Distribution, by_option, by_phase, by_source, quantile
from benchmarks.accuracy.explain import explain, title, worst
from benchmarks.accuracy.reference import Source, load
from benchmarks.accuracy.report import BEGIN, END, put_into, report

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
CASES = load((Source.CASES,))[0]
COMPARISONS = tuple(compare(case) for case in CASES[:12])


@pytest.mark.parametrize(("share", "expected"), [(0.5, 5.0), (0.9, 9.0), (0.91, 10.0), (1.0, 10.0), (0.0, 1.0)])
def test_a_quantile_is_the_nearest_rank(share: float, expected: float) -> None:
    assert quantile([float(number) for number in range(1, 11)], share) == expected


def test_a_distribution_counts_sizes_and_signs() -> None:
    found = Distribution.of([-0.02, 0.005, -0.000001, 0.0, 0.03])
    assert (found.count, found.median, found.largest) == (5, 0.005, 0.03)
    assert found.share_close == 3 / 5
    assert found.share_low == 1 / 5  # a millionth is rounding to blocks


def test_every_comparison_is_in_every_grouping_that_applies() -> None:
    assert by_source(COMPARISONS)["all"].count == len(COMPARISONS)
    methods = [found.count for (option, _), found in by_option(COMPARISONS).items() if option == "method"]
    assert sum(methods) == len(COMPARISONS)
    assert all(found.count <= len(COMPARISONS) for found in by_phase(COMPARISONS).values())


def test_the_worst_come_first_and_say_where_they_differ() -> None:
    found = worst(COMPARISONS, 3)
    assert [abs(item.error) for item in found] == sorted((abs(item.error) for item in COMPARISONS), reverse=True)[:3]
    for item in found:
        assert item.case.name in title(item)
        assert sum(item.part_differences.values()) == item.estimate.peak_allocated_bytes - item.case.peak_bytes
        assert next(explain(item)).startswith("peak ")


def test_the_page_holds_a_generated_part_between_its_markers() -> None:
    page = PAGE.read_text(encoding="utf-8")
    text = report(COMPARISONS, [])
    assert put_into(page, text).count(text) == 1
    assert put_into(put_into(page, "old"), text) == put_into(page, text)
    assert "| traced_cases" in page.partition(BEGIN)[2].partition(END)[0]
    with pytest.raises(ValueError, match="markers"):
        put_into("no markers", text)
