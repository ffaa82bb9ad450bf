"""What is counted of every input: how long it took, what went wrong, and what the process holds afterwards."""

import ctypes
import gc
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

LATE_SECONDS: Final = 1.0
"""Of this process's CPU time, which neighbours on the machine do not lengthen."""
STUCK_SECONDS: Final = 10.0
"""By the clock, for what waits instead of computing."""
_CACHED: Final = type(cache(len))
MADE_ONCE: Final = 16
"""A cache of at most so many keeps what does not depend on what is asked."""
SHOWN: Final = 400
"""Characters kept of an input that failed."""


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

    def measured(self, call: Callable[[], Any], shown: Callable[[], str]) -> None:
        """Count one input."""
        self.inputs += 1
        clock, started = time.perf_counter(), time.process_time()
        try:
            call()
        except Exception as error:  # whatever it is, it is what this looks for
            self.failed += 1
            self.failures.setdefault(_place(error), f"{str(error)[:SHOWN]} ← {shown()[:SHOWN]}")
        by_clock, taken = time.perf_counter() - clock, time.process_time() - started
        self.seconds += taken
        self.slowest_seconds = max(self.slowest_seconds, taken)
        self.slowest_by_clock_seconds = max(self.slowest_by_clock_seconds, by_clock)
        if taken > LATE_SECONDS or by_clock > STUCK_SECONDS:
            self.late.append(f"{taken:.2f} s of CPU, {by_clock:.2f} s by the clock: {shown()[:SHOWN]}")


def _place(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"


def settled_bytes() -> int:
    """What this process holds once the application's caches of what was asked are empty: what grows is lost (Linux).

    What is made once a process (templates, languages, tables) stays: a service does not forget it either, and a cache
    without a bound that grew would be seen.
    """
    for name, module in tuple(sys.modules.items()):
        if name.startswith("app."):
            for value in tuple(vars(module).values()):
                if isinstance(value, _CACHED) and (value.cache_parameters()["maxsize"] or 0) > MADE_ONCE:
                    value.cache_clear()
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
