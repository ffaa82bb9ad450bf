"""What a run came to, as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.fuzz.meter import LATE_SECONDS, STUCK_SECONDS, Seen

GROWTH: Final = 1.02
"""As for the service under load: what is held at the end over what is held once warm."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the process held after so many inputs."""

    inputs: int
    resident_bytes: int


@dataclass(frozen=True, kw_only=True)
class Record:
    """Everything that one run saw."""

    seen: Mapping[str, Seen]
    memory: Sequence[Memory]
    warm: Memory
    seeds: Sequence[int]
    seconds: float
    versions: Mapping[str, str]

    @property
    def growth(self) -> float:
        """Memory at the end over memory once warm."""
        return self.memory[-1].resident_bytes / self.warm.resident_bytes

    @property
    def is_good(self) -> bool:
        """Nothing failed, was late or grew."""
        return not any(one.failed or one.late for one in self.seen.values()) and self.growth <= GROWTH

    def text(self) -> str:
        """The record in Markdown."""
        total = sum(one.inputs for one in self.seen.values())
        rows = [
            f"| {name} | {one.inputs:,} | {one.failed} | {len(one.late)} | {one.slowest_seconds * 1000:,.0f} ms |"
            f" {one.slowest_by_clock_seconds * 1000:,.0f} ms |"
            f" {one.seconds / max(1, one.inputs) * 1e6:,.0f} µs |"
            for name, one in self.seen.items()
        ]
        wrong = [
            f"* **{name}** {place}\n  `{shown}`"
            for name, one in self.seen.items()
            for place, shown in one.failures.items()
        ] + [f"* **{name}** late: `{shown}`" for name, one in self.seen.items() for shown in one.late]
        held = [f"| {one.inputs:,} | {one.resident_bytes / 1e6:,.1f} MB |" for one in self.memory]
        last = self.memory[-1]
        return "\n".join(
            [
                "# Fuzz record",
                "",
                f"`python -m benchmarks.fuzz --inputs {total // 1000 * 1000} --processes {len(self.seeds)}`, seed"
                f" {self.seeds[0]}: {total:,} inputs in {self.seconds / 60:.0f} minutes,"
                f" {'nothing failed' if self.is_good else 'NOT good'}.",
                ", ".join(f"{name} {number}" for name, number in self.versions.items()) + ".",
                "",
                f"Failed: an exception that escaped, or an answer of 5xx or one that the API does not declare. Late:"
                f" more than {LATE_SECONDS:g} s of CPU time or {STUCK_SECONDS:g} s by the clock, on a shared"
                " machine.",
                "",
                "| target | inputs | failed | late | slowest, CPU | slowest, clock | mean, CPU |",
                "|---|---|---|---|---|---|---|",
                *rows,
                f"| **all** | **{total:,}** | **{sum(one.failed for one in self.seen.values())}** |"
                f" **{sum(len(one.late) for one in self.seen.values())}** | | | |",
                "",
                f"Resident memory of the processes, hypothesis and schemathesis included, with the service's caches"
                f" emptied: {self.growth - 1:+.1%} from {self.warm.inputs:,} inputs to {last.inputs:,}.",
                "",
                "| after inputs | held |",
                "|---|---|",
                *held,
                *(["", "## What failed", "", *wrong] if wrong else []),
                "",
            ]
        )
