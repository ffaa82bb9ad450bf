"""How the C library keeps the memory that Python gives back to it: in few places, and the large pieces not at all.

Python's own small objects are not concerned. Bodies of pages, JSON documents and what numbers are written into are: by
default each of forty threads may have an arena of its own, and the first large piece that is freed makes the library
keep all later ones of its size.
"""

import ctypes
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


def hold_little() -> bool:
    """Set it for this process; False where the C library knows no such thing, and all stays as it is."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    asked = ((_M_ARENA_MAX, ARENAS), (_M_MMAP_THRESHOLD, LARGE_BYTES), (_M_TRIM_THRESHOLD, TRIMMED_BYTES))
    answers = [mallopt(name, value) for name, value in asked]
    return all(answers)
