"""``POST /estimate`` against endpoints with the same models that compute nothing: one server, distinct runs, by turns.

The server is uvicorn with one worker, as ``vram-fit serve`` starts it. Each round sends runs that no round sent
before. Rates are by the clock; the server's CPU time per request is beside them, since neighbours do not change it.
A run that does not fit its card is answered with what would make it fit: eight more estimates on average.
"""

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from benchmarks.load import client
from benchmarks.load.memory_estimate import MODELS
from benchmarks.load.runs import distinct_runs
from benchmarks.load.server import DECLARED, LEAN

HOST: Final = "127.0.0.1"
ESTIMATE: Final = "/api/v1/estimate"
ROUNDS: Final = 5
REQUESTS: Final = 1500
WARM_UP_ROUNDS: Final = 3
"""A process derives what a layer keeps once for a model and a way to train it; a steady rate is without that."""
CARD: Final = "h200-sxm-141gb"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Requests a second, and the server's CPU seconds for one (None where the system does not tell)."""

    per_second: float
    cpu_seconds: float | None


@contextmanager
def server() -> Iterator[tuple[int, int]]:
    """A server of our own: its port and its process."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "uvicorn", "benchmarks.load.server:application", "--factory", "--host", HOST,
        "--port", str(port), "--no-access-log", "--no-server-header", "--log-level", "warning",
    ]  # fmt: skip
    with subprocess.Popen(command) as process:
        try:
            _await(port, process)
            yield port, process.pid
        finally:
            process.terminate()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the server did not start within 30 seconds")


def _cpu_seconds(pid: int) -> float | None:
    """User and system time of a process so far (Linux)."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return None
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(port: int, pid: int, path: str, bodies: list[dict[str, Any]]) -> Rate:
    """Send every body to ``path``."""
    requests = client.encoded(path, bodies)
    before = _cpu_seconds(pid)
    taken = client.send(HOST, port, requests)
    after = _cpu_seconds(pid)
    used = None if before is None or after is None else (after - before) / len(requests)
    return Rate(per_second=len(requests) / taken, cpu_seconds=used)


def main() -> None:
    """Print the rates and what share of doing nothing ``/estimate`` reaches, for easy runs and for all."""
    with server() as (port, pid):
        first = measure(port, pid, ESTIMATE, list(islice(_bodies(seed=0, easy=False), REQUESTS)))
        for words, easy in (("adapters on models up to 14B, which nearly always fit", True), ("all of them", False)):
            bodies = _bodies(seed=1, easy=easy)
            results: dict[str, list[Rate]] = {path: [] for path in (ESTIMATE, LEAN, DECLARED)}
            for path in tuple(results) * WARM_UP_ROUNDS:
                measure(port, pid, path, list(islice(bodies, REQUESTS)))
            for _ in range(ROUNDS):
                for path, rates in results.items():
                    rates.append(measure(port, pid, path, list(islice(bodies, REQUESTS))))
            print(f"POST {ESTIMATE}, gpu given, gpus none, {ROUNDS} × {REQUESTS:,} distinct runs, one worker: {words}")
            _report(results)
    print(f"The first {REQUESTS:,} runs of a new process: {first.per_second:,.0f} a second")


def _bodies(*, seed: int, easy: bool) -> Iterator[dict[str, Any]]:
    for run in distinct_runs(MODELS, seed=seed):
        if not easy or (run["method"] != "full" and not run["model"].endswith("70b")):
            yield {**run, "gpu": CARD, "gpus": "none"}


def _report(results: dict[str, list[Rate]]) -> None:
    for path, rates in results.items():
        cpu = [rate.cpu_seconds for rate in rates if rate.cpu_seconds is not None]
        used = f", {statistics.median(cpu) * 1e6:,.0f} µs of CPU each" if cpu else ""
        print(f"  {path}: {statistics.median(rate.per_second for rate in rates):,.0f} a second{used}")
    for path, words in ((DECLARED, "FastAPI's own reading and writing"), (LEAN, "the same reading and writing")):
        print(f"  of an endpoint that computes nothing, with {words}: {_ratio(results[ESTIMATE], results[path])}")


def _ratio(mine: list[Rate], others: list[Rate]) -> str:
    by_clock = statistics.median(a.per_second / b.per_second for a, b in zip(mine, others, strict=True))
    by_cpu = [
        b.cpu_seconds / a.cpu_seconds
        for a, b in zip(mine, others, strict=True)
        if a.cpu_seconds is not None and b.cpu_seconds is not None
    ]
    return f"{by_clock:.0%} of its rate" + (f" ({statistics.median(by_cpu):.0%} by CPU time)" if by_cpu else "")


if __name__ == "__main__":
    main()
