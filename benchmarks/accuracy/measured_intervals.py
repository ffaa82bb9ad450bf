"""Where the intervals of ``app/memory/overheads.py`` come from: ``python -m benchmarks.accuracy.measured_intervals``.

Reserved memory is read off device-level use (nvidia-smi, less what was in use before the run) less the CUDA context,
on the runs that report both it and the allocator's peak. The share by which it exceeds the allocated peak depends on
the room that is left: blocks that fit nothing are kept until the card is full. So what a card *must* have is read off
the runs that nearly fill theirs, and what PyTorch *will* hold off all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.memory.overheads import CUDA_CONTEXT_BYTES
from app.units import GIB
from benchmarks.accuracy.distribution import quantile
from benchmarks.accuracy.measured import SHARDED, MeasuredComparison, compare_all_measured, load_measured

CARD_BYTES = 80 * GIB
"""Every run with a device-level figure was on an A100 of 80 GB."""
NEARLY_FULL = 0.82
LOW, HIGH = 0.05, 0.95


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Coverage on runs whose model had no part in setting the interval."""

    covered: int
    count: int

    @property
    def share(self) -> float:
        return self.covered / self.count


def reserved_share(item: MeasuredComparison) -> float:
    """What the process held beyond our allocated peak, as a share of it. Only where the device's use is known."""
    assert item.run.device_bytes is not None
    return (item.run.device_bytes - CUDA_CONTEXT_BYTES) / item.estimate.peak_allocated_bytes - 1


def slack_share(item: MeasuredComparison) -> float:
    """The same beyond the measured allocated peak: the allocator's alone."""
    assert item.run.device_bytes is not None
    return (item.run.device_bytes - CUDA_CONTEXT_BYTES) / item.run.measured_bytes - 1


def with_device(items: Sequence[MeasuredComparison]) -> list[MeasuredComparison]:
    """Runs that report device-level use beside the allocator's peak."""
    return [item for item in items if item.run.device_bytes is not None and item.run.statistic == "allocated"]


def nearly_full(items: Sequence[MeasuredComparison]) -> list[MeasuredComparison]:
    """Runs that leave little room on their card."""
    return [item for item in with_device(items) if (item.run.device_bytes or 0) >= NEARLY_FULL * CARD_BYTES]


def leave_one_model_out(items: Sequence[MeasuredComparison], values: Sequence[float]) -> HeldOut:
    """Set the 5th and 95th percentile on the other models' runs, count how many of this model's lie between."""
    covered = 0
    for model in {item.run.model for item in items}:
        others = sorted(value for item, value in zip(items, values, strict=True) if item.run.model != model)
        low, high = quantile(others, LOW), quantile(others, HIGH)
        covered += sum(
            low <= value <= high for item, value in zip(items, values, strict=True) if item.run.model == model
        )
    return HeldOut(covered, len(items))


def describe(values: Sequence[float]) -> str:
    """5th percentile, median and 95th."""
    ascending = sorted(values)
    figures = (f"{quantile(ascending, share):+.3f}" for share in (LOW, 0.5, HIGH))
    return f"{len(values)} runs: " + ", ".join(figures)


def excess(item: MeasuredComparison) -> float:
    """Measured over estimated, less one."""
    return 1 / (1 + item.error) - 1


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
    left_out = leave_one_model_out(device, [reserved_share(item) for item in device])
    print(f"reserved, set on the other models' runs: {left_out.covered} of {left_out.count} covered")
    counted = [item for item in items if item.counts_for_target]
    print("measured ÷ estimated allocated, less one")
    print("  tier A          ", describe([excess(item) for item in counted]))
    print(f"allocated interval as served: {sum(item.covered for item in counted)} of {len(counted)} covered")
    print("the same over several GPUs, weights sharded (FSDP)")
    for words, trains_base in (("full fine-tuning", True), ("adapters        ", False)):
        print(f"  {words}", describe([excess(item) for item in sharded(trains_base=trains_base)]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
