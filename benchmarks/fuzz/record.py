"""What a run came to, as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.fuzz.doors import Kind
from benchmarks.fuzz.holding import Held
from benchmarks.fuzz.meter import LATE_SECONDS, STUCK_SECONDS, Seen

GROWTH: Final = 1.02
"""As for the service under load: what is held at the end over what is held once warm."""
TYPES_SHOWN: Final = 8


@dataclass(frozen=True, kw_only=True)
class Record:
    """Everything that one run saw."""

    seen: Mapping[Kind, Seen]
    memory: Sequence[Held]
    warm: Held
    seeds: Sequence[int]
    seconds: float
    program: str
    versions: Mapping[str, str]

    @property
    def growth(self) -> float:
        """Memory at the end over memory once warm."""
        return self.memory[-1].resident_bytes / self.warm.resident_bytes

    @property
    def is_good(self) -> bool:
        """Nothing failed, was late or grew, and the memory read was the service's alone."""
        is_fine = not any(one.failed or one.late for one in self.seen.values())
        return is_fine and self.growth <= GROWTH and not any(one.generators for one in self.memory)

    def text(self) -> str:
        """The record in Markdown."""
        return "\n".join([*self._head(), *self._targets(), *self._memory(), *self._failures()]).rstrip("\n") + "\n"

    def _head(self) -> list[str]:
        total = sum(one.inputs for one in self.seen.values())
        return [
            "# Fuzz record",
            "",
            f"`python -m benchmarks.fuzz --inputs {total // 1000 * 1000} --processes {len(self.seeds)}`, seed"
            f" {self.seeds[0]}, of the program {self.program}: {total:,} inputs in {self.seconds / 60:.0f} minutes on a"
            f" shared machine. **{'Good: nothing failed, was late or grew' if self.is_good else 'NOT good'}.**",
            ", ".join(f"{name} {number}" for name, number in self.versions.items()) + ".",
            "",
        ]

    def _targets(self) -> list[str]:
        rows = [
            f"| {kind} | {one.inputs:,} | {one.failed} | {len(one.late)} | {one.slowest_seconds * 1000:,.0f} ms |"
            f" {one.slowest_by_clock_seconds * 1000:,.0f} ms |"
            f" {one.seconds / max(1, one.inputs) * 1e6:,.0f} µs |"
            for kind, one in self.seen.items()
        ]
        return [
            "Failed: an exception that escaped, or an answer of 5xx or one that the API does not declare. Late: more"
            f" than {LATE_SECONDS:g} s of CPU time or {STUCK_SECONDS:g} s by the clock, in the service.",
            "",
            "| target | inputs | failed | late | slowest, CPU | slowest, clock | mean, CPU |",
            "|---|---|---|---|---|---|---|",
            *rows,
            f"| **all** | **{sum(one.inputs for one in self.seen.values()):,}** |"
            f" **{sum(one.failed for one in self.seen.values())}** |"
            f" **{sum(len(one.late) for one in self.seen.values())}** | | | |",
            "",
        ]

    def _memory(self) -> list[str]:
        last = self.memory[-1]
        loaded = sorted({name for one in self.memory for name in one.generators})
        more = (last.by_type - self.warm.by_type).most_common(TYPES_SHOWN)
        return [
            "## Memory",
            "",
            f"The service is in {len(self.seeds)} processes of its own, with what makes the inputs"
            f" ({', '.join(loaded) + ' IS loaded' if loaded else 'hypothesis, schemathesis'}) in others. What those of"
            f" the service hold, its caches emptied before each reading: **{self.growth - 1:+.1%}** from"
            f" {self.warm.inputs:,} inputs to {last.inputs:,}, where at most {GROWTH - 1:+.0%} counts as no growth."
            " Blocks are the pieces of memory that Python's objects have; objects are those that hold others.",
            "",
            "| after inputs | resident | blocks | objects |",
            "|---|---|---|---|",
            *(
                f"| {one.inputs:,} | {one.resident_bytes / 1e6:,.1f} MB | {one.blocks:,} | {one.by_type.total():,} |"
                for one in self.memory
            ),
            "",
            "Of these types there are more objects at the end than there were then: "
            + (", ".join(f"`{name}` {count:+,}" for name, count in more) or "none")
            + ".",
            "",
        ]

    def _failures(self) -> list[str]:
        wrong = [
            f"* **{kind}** {place}\n  `{shown}`"
            for kind, one in self.seen.items()
            for place, shown in one.failures.items()
        ] + [f"* **{kind}** late: `{shown}`" for kind, one in self.seen.items() for shown in one.late]
        return ["## What failed", "", *wrong, ""] if wrong else []
