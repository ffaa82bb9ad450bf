"""Where the intervals of ``app/memory/overheads.py`` come from: ``python -m benchmarks.accuracy.measured_intervals``.

Each end is a conformal quantile: of n multiples in order, the k-th from below and from above with k = ⌊(n + 1) ÷ 20⌋. A
further run of the same kind lies between with at least 90 %, whatever the distribution. Coverage is counted on runs
that had no part in it: each table's, or model's, with an interval set on the others.

Reserved memory of runs with equal lengths is read off device-level use (nvidia-smi, less what was in use before the
run) less the CUDA context, where the allocator's peak is reported too. Where lengths vary it is what
``max_memory_reserved`` said.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.memory.overheads import CUDA_CONTEXTS
from app.units import GIB
from benchmarks.accuracy.distribution import quantile
from benchmarks.accuracy.measured import SHARDED, MeasuredComparison, compare_all_measured, load_measured

CARD_BYTES = 80 * GIB
"""Every run with a device-level figure was on an A100 of 80 GB."""
CONTEXT_BYTES = CUDA_CONTEXTS[8, 0].typical_bytes
NEARLY_FULL = 0.82
LOW, HIGH = 0.05, 0.95
ONE_IN = 20
"""A twentieth may lie beyond each end: 90 % between."""

Key = Callable[[MeasuredComparison], str]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Coverage on runs that had no part in setting the interval."""

    covered: int
    count: int

    @property
    def share(self) -> float:
        return self.covered / self.count


def reserved_share(item: MeasuredComparison) -> float:
    """What the process held beyond our allocated peak, as a share of it. Only where the device's use is known."""
    assert item.run.device_bytes is not None
    return (item.run.device_bytes - CONTEXT_BYTES) / item.estimate.peak_allocated_bytes - 1


def slack_share(item: MeasuredComparison) -> float:
    """The same beyond the measured allocated peak: the allocator's alone."""
    assert item.run.device_bytes is not None
    return (item.run.device_bytes - CONTEXT_BYTES) / item.run.measured_bytes - 1


def with_device(items: Sequence[MeasuredComparison]) -> list[MeasuredComparison]:
    """Runs that report device-level use beside the allocator's peak."""
    return [item for item in items if item.run.device_bytes is not None and item.run.statistic == "allocated"]


def nearly_full(items: Sequence[MeasuredComparison]) -> list[MeasuredComparison]:
    """Runs that leave little room on their card."""
    return [item for item in with_device(items) if (item.run.device_bytes or 0) >= NEARLY_FULL * CARD_BYTES]


def conformal(values: Sequence[float]) -> tuple[float, float]:
    """The ends that a further value lies between with at least 90 %; the extremes where there are few."""
    ascending = sorted(values)
    place = max(1, (len(ascending) + 1) // ONE_IN)
    return ascending[place - 1], ascending[-place]


def model_of(item: MeasuredComparison) -> str:
    """To leave out a model's runs."""
    return item.run.model


def table_of(item: MeasuredComparison) -> str:
    """To leave out a table's runs: one stack of software and one way of measuring."""
    return item.run.family_of_runs


def leave_out(items: Sequence[MeasuredComparison], values: Sequence[float], key: Key) -> HeldOut:
    """Set the interval without a group's runs and count how many of them lie in it, group by group."""
    covered = 0
    for group in {key(item) for item in items}:
        low, high = conformal([value for item, value in zip(items, values, strict=True) if key(item) != group])
        covered += sum(low <= value <= high for item, value in zip(items, values, strict=True) if key(item) == group)
    return HeldOut(covered, len(items))


def with_varying_lengths(items: Sequence[MeasuredComparison]) -> list[MeasuredComparison]:
    """Runs that report what PyTorch reserved over samples of many lengths."""
    return [item for item in items if item.run.statistic == "reserved" and not item.run.request.get("packing")]


@dataclass(frozen=True, kw_only=True, slots=True)
class IntervalKind:
    """What one interval is made from: measured values as multiples of our allocated peak."""

    statistic: str
    lengths_vary: bool
    items: Sequence[MeasuredComparison]
    values: Sequence[float]

    def held_out(self, key: Key) -> float | None:
        """Coverage without each group's own runs; None where there is only one group."""
        if len({key(item) for item in self.items}) == 1:
            return None
        return round(leave_out(self.items, self.values, key).share, 4)


def interval_kinds(items: Sequence[MeasuredComparison]) -> tuple[IntervalKind, ...]:
    """The intervals that measured runs set: allocated, and reserved with and without samples of many lengths."""
    counted = [item for item in items if item.counts_for_target]
    device, varying = with_device(items), with_varying_lengths(items)
    return (
        IntervalKind(
            statistic="allocated", lengths_vary=False, items=counted, values=[1 + excess(item) for item in counted]
        ),
        IntervalKind(
            statistic="reserved", lengths_vary=False, items=device, values=[1 + reserved_share(item) for item in device]
        ),
        IntervalKind(
            statistic="reserved",
            lengths_vary=True,
            items=varying,
            values=[1 + reserved_excess(item) for item in varying],
        ),
    )


def describe(values: Sequence[float]) -> str:
    """5th percentile, median and 95th."""
    ascending = sorted(values)
    figures = (f"{quantile(ascending, share):+.3f}" for share in (LOW, 0.5, HIGH))
    return f"{len(values)} runs: " + ", ".join(figures)


def excess(item: MeasuredComparison) -> float:
    """Measured over estimated, less one."""
    return 1 / (1 + item.error) - 1


def reserved_excess(item: MeasuredComparison) -> float:
    """What was reserved over our allocated peak, less one. Only where that was measured."""
    return item.run.measured_bytes / item.estimate.peak_allocated_bytes - 1


def sharded(*, trains_base: bool) -> list[MeasuredComparison]:
    """Published runs with sharded weights: full fine-tuning, or adapters over a frozen base."""
    items = compare_all_measured(load_measured(SHARDED))
    return [item for item in items if (item.run.request["method"] == "full") is trains_base]


def main() -> int:
    """Print the derivation."""
    items = compare_all_measured(load_measured())
    device = with_device(items)
    print("slack over the measured allocated peak, 5 %, median, 95 %")
    print("  all runs        ", describe([slack_share(item) for item in device]))
    print("  nearly full card", describe([slack_share(item) for item in nearly_full(items)]))
    print("as a multiple of our allocated peak: conformal ends, and coverage without the model's or table's own runs")
    for kind in interval_kinds(items):
        low, high = conformal(kind.values)
        words = f"{kind.statistic}, {'many lengths' if kind.lengths_vary else 'one length'}"
        print(f"  {words:24} {len(kind.items)} {low:.4f} {high:.4f}", kind.held_out(model_of), kind.held_out(table_of))
    print("allocated over several GPUs, weights sharded (FSDP), less one")
    for words, trains_base in (("full fine-tuning", True), ("adapters        ", False)):
        print(f"  {words}", describe([excess(item) for item in sharded(trains_base=trains_base)]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
