"""What one core carries of each kind of request: the CPU time that a worker takes for one, by kind.

CPU time, so that neighbours on the machine count less. Every request is new but for the widgets, which come from a
fixed list as they do from other sites; models and cards are the popular ones, whose layers are derived by then.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.load.mixture import Asked, Mixture
from benchmarks.load.resident_memory import Held, resident_bytes, send, worker

WARM_UP: Final = 150
REQUESTS: Final = 150


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(requests: int = REQUESTS, warm_up: int = WARM_UP) -> dict[str, float]:
    """CPU seconds of one request, by kind. Raises ``RuntimeError`` where one is not answered as it should be."""
    taken = {}
    with tempfile.TemporaryDirectory(prefix="vram-fit-capacity-") as folder, worker(Path(folder)) as (port, process):
        for name, make in Mixture(seed=7, popular_share=1, widgets=50).kinds.items():
            held = Held()

            def some(count: int, make: Callable[[], Asked] = make, held: Held = held) -> None:
                asyncio.run(send(port, iter([make() for _ in range(count)]), held))

            some(warm_up)
            before = _cpu_seconds(process)
            some(requests)
            taken[name] = (_cpu_seconds(process) - before) / requests
            if held.wrong:
                raise RuntimeError(held.wrong[0])
        print(f"resident memory afterwards: {resident_bytes(process) / 1e6:,.0f} MB")
    return taken


def main() -> None:
    """Print milliseconds and requests a second and core."""
    for name, seconds in measure().items():
        print(f"  {name:<50} {seconds * 1000:8.2f} ms of CPU  {1 / seconds if seconds else 0:8,.0f} a second and core")


if __name__ == "__main__":
    main()
