"""What one worker holds in memory after 100,000 and after 300,000 mixed requests: ``make bench-memory``.

The worker is ``vram-fit serve`` as an operator starts it, over an SQLite file with the bundled catalogue, behind one
trusted proxy, which is what lets the requests come from 20,000 addresses.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.load.mixture import Asked, Mixture
from benchmarks.load.parts import command, environment, free_port

HOST: Final = "127.0.0.1"
CONNECTIONS: Final = 8
STEPS: Final = 30
WARM_STEPS: Final = 10
"""A third: what is held then is what the end is compared with."""
GROWTH: Final = 1.02
SETTLE_SECONDS: Final = 2.0

WHY: Final = (
    "What a worker holds beside the program and the catalogue is what it has derived of models (`app/memory/step.py`,",
    "`peaks.py`, `states.py`: a number of entries each) and the bodies it may send again (`app/web/kept_pages.py`,",
    "`app/web/embed/kept.py`: a number of bytes each). Each is full, or holds all there is, before a third of the run;",
    "how many entries each may have was chosen by replaying recorded requests, so that more would hardly be hit. The C",
    "library is told to give back what is freed (`app/ops/allocator.py`).",
    "",
)


@dataclass
class Held:
    """What was seen."""

    resident_bytes: list[tuple[int, int]] = field(default_factory=list)
    """After so many requests, so much."""
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def growth(self) -> float:
        """The end over a third."""
        return self.resident_bytes[-1][1] / self.resident_bytes[WARM_STEPS - 1][1]


@contextmanager
def worker(directory: Path) -> Iterator[tuple[int, int]]:
    """One worker over its own database: its port and its process."""
    port = free_port()
    variables = {
        "DATABASE_URL": f"sqlite:///{directory / 'service.db'}",
        "HOST": HOST,
        "PORT": str(port),
        "VRAM_FIT_HUB_URL": "none",
    }
    for words in (("migrate",), ("catalogue", "load")):
        subprocess.run(command(*words), env=environment(**variables), cwd=directory, check=True, capture_output=True)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command("serve"), env=environment(**variables), cwd=directory, stdout=log, stderr=subprocess.DEVNULL
        )
    try:
        asyncio.run(_answering(port))
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=40)


async def _answering(port: int) -> None:
    for _ in range(2_400):
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise RuntimeError("the service did not start")


def resident_bytes(process: int) -> int:
    """What a process holds now (Linux)."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


async def _caller(port: int, requests: Iterator[Asked], held: Held) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    for asked in requests:
        writer.write(asked.text)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        start = head.index(b"content-length:") + len(b"content-length:")
        await reader.readexactly(int(head[start : head.index(b"\r", start)]))
        status = int(head[9:12])
        held.statuses[status] += 1
        if status not in asked.statuses:
            held.wrong.append(f"{status} for {asked.text[:200]!r}")
        if b"\r\nconnection: close" in head:
            writer.close()
            reader, writer = await asyncio.open_connection(HOST, port)
    writer.close()


async def send(port: int, requests: Iterator[Asked], held: Held) -> None:
    """Send all, over a few connections."""
    await asyncio.gather(*(_caller(port, requests, held) for _ in range(CONNECTIONS)))


def run(requests: int, seed: int) -> Held:
    """Start a worker, send everything in equal steps, and read what it holds after each."""
    held, mixed = Held(), Mixture(seed).requests()
    with tempfile.TemporaryDirectory(prefix="vram-fit-memory-") as folder, worker(Path(folder)) as (port, process):
        for step in range(1, STEPS + 1):
            started = time.monotonic()
            asyncio.run(send(port, islice(mixed, requests // STEPS), held))
            held.seconds += time.monotonic() - started
            time.sleep(SETTLE_SECONDS)
            held.resident_bytes.append((requests // STEPS * step, resident_bytes(process)))
            print(
                f"{held.resident_bytes[-1][0]:,} {held.resident_bytes[-1][1] / 1e6:.1f} MB", file=sys.stderr, flush=True
            )
    return held


def text(held: Held, seed: int) -> str:
    """The record in Markdown."""
    rows = [f"| {count:,} | {size / 1e6:,.1f} MB |" for count, size in held.resident_bytes]
    total = sum(held.statuses.values())
    statuses = ", ".join(f"{count:,} × {status}" for status, count in sorted(held.statuses.items()))
    warm = held.resident_bytes[WARM_STEPS - 1]
    return "\n".join(
        [
            "# Memory record",
            "",
            f"`make bench-memory`, seed {seed}: {total:,} mixed requests to one worker, {total / held.seconds:,.0f} a"
            f" second on a shared machine. From {warm[0]:,} to {total:,} requests its resident memory went"
            f" {held.growth - 1:+.1%}; at most {GROWTH - 1:+.0%} is wanted"
            f"{'.' if held.growth <= GROWTH else ', so **the wish is not met**.'}",
            "",
            f"Answers: {statuses}; {len(held.wrong)} of them not as they should be.",
            "",
            "| requests | held |",
            "|---|---|",
            *rows,
            "",
            *WHY,
        ]
    )


def main(words: Sequence[str] | None = None) -> int:
    """Exit status 0 where every answer was as it should be and memory did not grow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--record", type=Path, help="write the record here")
    asked = parser.parse_args(words)
    held = run(asked.requests, asked.seed)
    record = text(held, asked.seed)
    print(record)
    for wrong in held.wrong[:20]:
        print(wrong)
    if asked.record:
        asked.record.write_text(record, encoding="utf-8")
    return int(bool(held.wrong) or held.growth > GROWTH)


if __name__ == "__main__":
    sys.exit(main())
