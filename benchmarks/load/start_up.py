"""From starting ``vram-fit serve`` to its first answers: ``python -m benchmarks.load.start_up``.

The clock is what an operator waits; the CPU time beside it is what is left where nothing else runs on the machine.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.load.parts import command, environment, free_port

ROUNDS: Final = 5
WANTED_SECONDS: Final = 3.0
LONGEST_SECONDS: Final = 60.0
RUN: Final = json.dumps({"model": "llama-3-8b", "method": "qlora", "gpu": "rtx-4090"}).encode()
ALIVE: Final = "/healthz"
ESTIMATE: Final = "/api/v1/estimate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """Seconds from the start to an answer of 200."""

    alive_seconds: float
    estimate_seconds: float
    cpu_seconds: float
    """Of the process, up to its first estimate."""


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _answers(address: str, body: bytes | None = None) -> bool:
    request = urllib.request.Request(address, data=body, headers={"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=LONGEST_SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def one_start(directory: Path, url: str) -> Taken:
    """Start it, wait for both answers, stop it. Raises ``RuntimeError`` where none comes."""
    port = free_port()
    variables = {"DATABASE_URL": url, "HOST": "127.0.0.1", "PORT": str(port), "VRAM_FIT_HUB_URL": "none"}
    started = time.perf_counter()
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command("serve"), env=environment(**variables), cwd=directory, stdout=log, stderr=log
        )
    try:
        while not _answers(f"http://127.0.0.1:{port}{ALIVE}"):
            if process.poll() is not None or time.perf_counter() - started > LONGEST_SECONDS:
                raise RuntimeError(f"the service did not start:\n{(directory / 'log').read_text()[-2_000:]}")
            time.sleep(0.01)
        alive = time.perf_counter() - started
        if not _answers(f"http://127.0.0.1:{port}{ESTIMATE}", RUN):
            raise RuntimeError("the first estimate was not answered with 200")
        estimated = time.perf_counter() - started
        return Taken(alive_seconds=alive, estimate_seconds=estimated, cpu_seconds=_cpu_seconds(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)


def starts(rounds: int = ROUNDS) -> list[Taken]:
    """Several starts over one database with the bundled catalogue."""
    with tempfile.TemporaryDirectory(prefix="vram-fit-start-") as folder:
        directory = Path(folder)
        url = f"sqlite:///{directory / 'service.db'}"
        for words in (("migrate",), ("catalogue", "load")):
            subprocess.run(
                command(*words), env=environment(DATABASE_URL=url), cwd=directory, check=True, capture_output=True
            )
        return [one_start(directory, url) for _ in range(rounds)]


def main() -> None:
    """Print the medians; exits with 1 where the CPU time to the first estimate is above three seconds."""
    taken = starts()
    alive, estimated, cpu = (
        statistics.median(getattr(one, name) for one in taken)
        for name in ("alive_seconds", "estimate_seconds", "cpu_seconds")
    )
    print(
        f"vram-fit serve, medians of {ROUNDS} starts: {ALIVE} after {alive:.2f} s, {ESTIMATE} after {estimated:.2f} s"
    )
    print(f"  CPU time up to then: {cpu:.2f} s; at most {WANTED_SECONDS:g} s is wanted")
    sys.exit(int(cpu > WANTED_SECONDS))


if __name__ == "__main__":
    main()
