"""Published measurements: what the figures in docs/accuracy.md rest on."""

from collections.abc import Sequence

import pytest

from app.request import parse_json
from benchmarks.accuracy.distribution import quantile
from benchmarks.accuracy.gpu.suite import suite
from benchmarks.accuracy.measured import MeasuredComparison, compare_all_measured, load_measured
from benchmarks.accuracy.measured_intervals import leave_one_model_out, nearly_full
from benchmarks.accuracy.measured_report import measured_report


@pytest.fixture(scope="module")
def compared() -> Sequence[MeasuredComparison]:
    return compare_all_measured(load_measured())


@pytest.fixture(scope="module")
def counted(compared: Sequence[MeasuredComparison]) -> list[MeasuredComparison]:
    """Tier A, full sequences, the allocated statistic."""
    return [item for item in compared if item.counts_for_target]


def test_measured_allocated_peaks_are_met(counted: list[MeasuredComparison]) -> None:
    sizes = sorted(abs(item.error) for item in counted)
    assert len(sizes) >= 47
    assert quantile(sizes, 0.5) <= 0.01
    assert quantile(sizes, 0.9) <= 0.03
    assert abs(sum(item.error for item in counted)) / len(counted) <= 0.01
    assert not any(item.exceeded for item in counted)


def test_cards_that_are_nearly_full_hold_what_we_say_is_required(compared: Sequence[MeasuredComparison]) -> None:
    items = nearly_full(compared)
    assert len(items) >= 10
    for item in items:
        required = item.estimate.required
        assert item.run.device_bytes is not None
        assert required.low_bytes <= item.run.device_bytes <= required.high_bytes, item.run.id


def test_no_configuration_counts_twice() -> None:
    runs = load_measured()
    assert len({run.configuration for run in runs}) == len(runs)


def test_a_model_left_out_has_no_part_in_its_own_interval(compared: Sequence[MeasuredComparison]) -> None:
    items = [item for item in compared if item.counts_for_target]
    model = items[0].run.model
    values = [5.0 if item.run.model == model else 1.0 for item in items]
    held_out = leave_one_model_out(items, values)
    assert held_out.covered == sum(item.run.model != model for item in items)


def test_the_report_names_every_far_run_and_every_one_left_out(compared: Sequence[MeasuredComparison]) -> None:
    runs = load_measured()
    text = measured_report(runs, compared)
    for item in compared:
        assert (f"- {item.run.id}," in text) == (abs(item.error) > 0.10)
    assert all(run.omission in text for run in runs if run.omission)


def test_the_designed_gpu_runs_are_requests_that_the_api_takes() -> None:
    runs = list(suite())
    assert len(runs) >= 60
    for run in runs:
        parse_json({**run.request, "model": run.model, "stack": "plain"})
