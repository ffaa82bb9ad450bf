"""Published measurements: what the figures in docs/accuracy.md rest on."""

from collections.abc import Sequence

import pytest

from app.memory.overheads import CUDA_CONTEXTS
from app.request import parse_json
from benchmarks.accuracy.contexts import contexts_by_capability, load_contexts
from benchmarks.accuracy.distribution import quantile
from benchmarks.accuracy.gpu.suite import suite
from benchmarks.accuracy.measured import MeasuredComparison, compare_all_measured, load_measured
from benchmarks.accuracy.measured_intervals import (
    conformal,
    excess,
    leave_out,
    model_of,
    nearly_full,
    reserved_excess,
    reserved_share,
    table_of,
    with_device,
    with_varying_lengths,
)
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
    assert sum(item.exceeded for item in counted) / len(counted) <= 0.05


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
    held_out = leave_out(items, values, model_of)
    assert held_out.covered == sum(item.run.model != model for item in items)


@pytest.mark.parametrize(("count", "place"), [(9, 1), (19, 1), (39, 2), (47, 2), (99, 5)])
def test_conformal_ends_leave_a_twentieth_of_further_values_on_each_side(count: int, place: int) -> None:
    """⌊(n + 1) ÷ 20⌋ from each end, and the extremes where that is none."""
    assert conformal([float(value) for value in range(count, 0, -1)]) == (place, count + 1 - place)


def test_intervals_hold_runs_that_had_no_part_in_them(compared: Sequence[MeasuredComparison]) -> None:
    counted = [item for item in compared if item.counts_for_target]
    device = with_device(compared)
    for items, values in (
        (counted, [excess(item) for item in counted]),
        (device, [reserved_share(item) for item in device]),
    ):
        assert len(items) >= 40
        assert 0.85 <= leave_out(items, values, table_of).share <= 0.95


def test_served_intervals_are_those_of_the_measured_runs(compared: Sequence[MeasuredComparison]) -> None:
    counted = [item for item in compared if item.counts_for_target]
    varying = with_varying_lengths(compared)
    assert len(varying) >= 30
    ends = {
        "allocated": (conformal([1 + excess(item) for item in counted]), counted[0].estimate.peak_allocated),
        "equal lengths": (
            conformal([1 + reserved_share(item) for item in with_device(compared)]),
            counted[0].estimate.peak_reserved,
        ),
        "varying lengths": (
            conformal([1 + reserved_excess(item) for item in varying]),
            varying[0].estimate.peak_reserved,
        ),
    }
    for words, ((low, high), served) in ends.items():
        peak = (varying if words == "varying lengths" else counted)[0].estimate.peak_allocated_bytes
        assert low - 0.002 <= served.low_bytes / peak <= low, words
        assert high <= served.high_bytes / peak <= high + 0.002, words


def test_contexts_are_those_of_the_processes_that_are_listed() -> None:
    assert dict(CUDA_CONTEXTS) == contexts_by_capability()
    assert all(item.source.startswith("https://github.com/") for item in load_contexts())


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
