"""The intervals over several GPUs are those of the published runs they name."""

from fractions import Fraction

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


@pytest.mark.parametrize("trains_base", [True, False])
def test_every_published_run_over_several_gpus_is_within_five_per_cent(trains_base: bool) -> None:
    assert all(abs(item.error) <= 0.05 for item in sharded(trains_base=trains_base))


def test_runs_without_fused_kernels_are_met() -> None:
    items = [item for method in (True, False) for item in sharded(trains_base=method)]
    plain = [item for item in items if item.run.stack.startswith("trl-")]
    assert len(plain) >= 14
    assert all(abs(item.error) <= 0.01 for item in plain)


def test_what_has_no_published_run_is_at_least_as_wide_as_the_widest() -> None:
    measured = [kind.value for kind in (Evidence.ONE_GPU, Evidence.FULL_SHARDED, Evidence.ADAPTERS_SHARDED)]
    low, high = (Fraction(*end) for end in Evidence.UNCHECKED.value)
    assert low <= min(Fraction(*end) for end, _ in measured)
    assert high >= max(Fraction(*end) for _, end in measured)
