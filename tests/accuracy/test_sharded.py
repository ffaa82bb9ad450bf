"""The intervals over several GPUs are those of the published runs they name."""

import pytest

from app.memory.overheads import Evidence
from benchmarks.accuracy.distribution import quantile
from benchmarks.accuracy.measured_intervals import HIGH, LOW, excess, sharded


@pytest.mark.parametrize(
    ("trains_base", "count", "evidence"),
    [(True, 16, Evidence.FULL_SHARDED), (False, 50, Evidence.ADAPTERS_SHARDED)],
)
def test_an_interval_holds_nine_tenths_of_its_runs(trains_base: bool, count: int, evidence: Evidence) -> None:
    items = sharded(trains_base=trains_base)
    ascending = sorted(excess(item) for item in items)
    low, high = (numerator / denominator - 1 for numerator, denominator in evidence.value)
    assert len(items) == count
    assert low <= quantile(ascending, LOW)
    assert high >= quantile(ascending, HIGH) - 0.0005
    assert all(item.estimate.peak_allocated.high_bytes > item.estimate.peak_allocated_bytes for item in items)
    assert sum(item.covered for item in items) >= 0.9 * count


def test_full_fine_tuning_over_several_gpus_is_within_four_per_cent() -> None:
    assert all(abs(item.error) <= 0.04 for item in sharded(trains_base=True))


def test_what_has_no_published_run_is_as_wide_as_the_widest() -> None:
    measured = [kind.value for kind in (Evidence.ONE_GPU, Evidence.FULL_SHARDED, Evidence.ADAPTERS_SHARDED)]
    assert Evidence.UNCHECKED.value == (min(low for low, _ in measured), max(high for _, high in measured))
