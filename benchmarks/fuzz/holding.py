"""What the process holds that takes the inputs."""

import ctypes
import gc
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from app.web.embed.kept import MAX_KEPT_BYTES, KeptAnswer, KeptAnswers, Made

GENERATORS: Final = ("hypothesis", "schemathesis")
"""What makes the inputs, and must not be in the process whose memory is read."""
MADE_ONCE: Final = 16
"""A cache of at most so many keeps what does not depend on what is asked."""
_CACHED: Final = type(cache(len))


@dataclass(frozen=True, kw_only=True)
class Held:
    """What was held after so many inputs, by one process or several."""

    inputs: int = 0
    resident_bytes: int
    blocks: int
    """Pieces of memory that Python has given to objects and not got back."""
    by_type: Counter[str] = field(default_factory=Counter)
    """Objects that hold others."""
    generators: tuple[str, ...] = ()
    """Of :data:`GENERATORS`, what is loaded."""


def held() -> Held:
    """This process, once the caches of what was asked are empty: what grows is lost (Linux).

    What is made once a process (templates, languages, tables) stays: a service does not forget it either, and a cache
    without a bound that grew would be seen.
    """
    gc.unfreeze()  # as the service does with every catalogue it reads
    _empty_caches()
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    blocks = sys.getallocatedblocks()
    by_type = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
    gc.freeze()
    return Held(
        resident_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        blocks=blocks,
        by_type=by_type,
        generators=tuple(name for name in GENERATORS if name in sys.modules),
    )


def _empty_caches() -> None:
    for one in gc.get_objects():
        if isinstance(one, KeptAnswers):
            one.put("", KeptAnswer(Made(body=bytes(MAX_KEPT_BYTES + 1), media_type="image/png")))  # pushes out all
        elif isinstance(one, _CACHED) and one.__module__.startswith("app.") and _grows(one):
            one.cache_clear()


def _grows(cached: Any) -> bool:
    return (cached.cache_parameters()["maxsize"] or 0) > MADE_ONCE
