"""Published runs over several GPUs: what the report says of them."""

from collections.abc import Sequence

import pytest

from benchmarks.accuracy.distribution import Distribution
from benchmarks.accuracy.measured import SHARDED, MeasuredComparison, compare_all_measured, load_measured
from benchmarks.accuracy.strategies import EXPLANATIONS, far, strategies, strategies_report, why


@pytest.fixture(scope="module")
def other() -> Sequence[MeasuredComparison]:
    return compare_all_measured(strategies())


def test_tier_a_runs_over_several_gpus_meet_the_target(other: Sequence[MeasuredComparison]) -> None:
    items = [*compare_all_measured(load_measured(SHARDED)), *(item for item in other if item.run.tier == "A")]
    found = Distribution.of(item.error for item in items)
    assert found.count >= 90
    assert found.median <= 0.07
    assert found.ninetieth <= 0.15


def test_every_far_run_is_explained_and_no_other(other: Sequence[MeasuredComparison]) -> None:
    for item in far(other):
        assert why(item.run)
    assert {item.run.id for item in far(other) if item.run.tier == "A"} == set(EXPLANATIONS)


def test_what_a_tier_a_run_reserved_lies_in_the_interval_but_for_one(other: Sequence[MeasuredComparison]) -> None:
    outside = [item.run.id for item in other if item.run.tier == "A" and not item.covered]
    assert outside == ["r0894"]


def test_the_report_names_every_far_run_and_every_reason(other: Sequence[MeasuredComparison]) -> None:
    text = strategies_report()
    for item in other:
        assert (f"- {item.run.id} (" in text) == (abs(item.error) > 0.15)
    assert all(run.omission in text for run in strategies() if run.omission)
