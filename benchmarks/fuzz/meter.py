"""What is counted of every input: how long it took, and what went wrong."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

LATE_SECONDS: Final = 1.0
"""Of CPU time of the process that computes, which neighbours on the machine do not lengthen."""
STUCK_SECONDS: Final = 10.0
"""By the clock, for what waits instead of computing."""
SHOWN: Final = 400
"""Characters kept of an input that failed."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one input, as the process tells that took it."""

    seconds: float
    """Of CPU time."""
    by_clock_seconds: float
    failed_at: str | None = None
    """What was raised, and where; None where nothing was."""
    says: str = ""
    answer: Any = None


def measured(call: Callable[[], Any]) -> Outcome:
    """Take one input."""
    answer, failed_at, says = None, None, ""
    clock, started = time.perf_counter(), time.process_time()
    try:
        answer = call()
    except Exception as error:  # whatever it is, it is what this looks for
        failed_at, says = _place(error), str(error)[:SHOWN]
    return Outcome(
        by_clock_seconds=time.perf_counter() - clock,
        seconds=time.process_time() - started,
        failed_at=failed_at,
        says=says,
        answer=answer,
    )


@dataclass
class Seen:
    """What one target's inputs came to."""

    inputs: int = 0
    seconds: float = 0.0
    slowest_seconds: float = 0.0
    slowest_by_clock_seconds: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)
    """By what went wrong and where: what the first said, and the input that did it."""
    failed: int = 0
    late: list[str] = field(default_factory=list)

    def add(self, other: "Seen") -> None:
        """Count what another process saw of the same target."""
        self.inputs += other.inputs
        self.seconds += other.seconds
        self.failed += other.failed
        self.slowest_seconds = max(self.slowest_seconds, other.slowest_seconds)
        self.slowest_by_clock_seconds = max(self.slowest_by_clock_seconds, other.slowest_by_clock_seconds)
        self.failures = other.failures | self.failures
        self.late += other.late

    def count(self, outcome: Outcome, shown: Callable[[], str]) -> None:
        """Count one input."""
        self.inputs += 1
        self.seconds += outcome.seconds
        self.slowest_seconds = max(self.slowest_seconds, outcome.seconds)
        self.slowest_by_clock_seconds = max(self.slowest_by_clock_seconds, outcome.by_clock_seconds)
        if outcome.failed_at is not None:
            self.failed += 1
            self.failures.setdefault(outcome.failed_at, f"{outcome.says} ← {shown()[:SHOWN]}")
        if outcome.seconds > LATE_SECONDS or outcome.by_clock_seconds > STUCK_SECONDS:
            took = f"{outcome.seconds:.2f} s of CPU, {outcome.by_clock_seconds:.2f} s by the clock"
            self.late.append(f"{took}: {shown()[:SHOWN]}")


def _place(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"
