"""How the C library keeps the memory that Python gives back to it: in few places, and for ten seconds at most.

Python's own small objects are not concerned. Bodies of pages, JSON documents and compressed answers are: by default
each of forty threads may have an arena of its own, the first large piece that is freed makes the library keep all later
ones of its size, and what is freed between two pieces in use is never given back: a megabyte in ten thousand requests.
"""

import ctypes
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

# malloc.h of the GNU C library
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

ARENAS: Final = 2
LARGE_BYTES: Final = 1024 * 1024
"""What is taken from the system by itself and given back when it is freed."""
TRIMMED_BYTES: Final = 4 * 1024 * 1024
"""What may be free at the end of an arena before it is given back."""
GIVE_BACK_SECONDS: Final = 10.0
"""Looking for free pages takes 0.5 to 2.5 ms, of a thread that computes nothing else."""


def hold_little() -> bool:
    """Set it for this process; False where the C library knows no such thing, and all stays as it is."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    asked = ((_M_ARENA_MAX, ARENAS), (_M_MMAP_THRESHOLD, LARGE_BYTES), (_M_TRIM_THRESHOLD, TRIMMED_BYTES))
    answers = [mallopt(name, value) for name, value in asked]
    return all(answers)


class GivingBack:
    """Gives pages that are free back to the system every ten seconds, from ``start`` to ``stop``."""

    def __init__(self, every_seconds: float = GIVE_BACK_SECONDS) -> None:
        self._every_seconds = every_seconds
        self._stop = Event()
        self._trim = _trim()
        self._thread = Thread(target=self._give_back, name="allocator", daemon=True)

    def start(self) -> None:
        """Begin; nothing where the C library knows no such thing."""
        if self._trim is not None and hold_little():
            self._thread.start()

    def stop(self) -> None:
        """End at once."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _give_back(self) -> None:
        while self._trim is not None and not self._stop.wait(self._every_seconds):
            self._trim(0)


def _trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return trim
