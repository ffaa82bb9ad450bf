"""Cached frames, badges and fragments against a bare Starlette response of the same bytes, by turns, in one run.

Two uvicorn workers of the same kind, one process each: the service as ``vram-fit serve`` starts it, and an application
of one route without middleware. Only one of them is asked at a time. Uncompressed bodies, so that both send the same.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.load import client
from benchmarks.load.bare import BODIES

HOST: Final = "127.0.0.1"
RUN: Final = "model=llama-3-8b&method=qlora&gpu=rtx-3090"
PATHS: Final = (
    f"/embed/result?{RUN}",
    f"/embed/calculator?{RUN}",
    "/embed/table?model=llama-3-8b",
    f"/badge.svg?{RUN}",
    "/fragments/table?model=llama-3-8b",
    f"/charts/memory.png?{RUN}",
    "/embed.js",
)
ROUNDS: Final = 5
REQUESTS: Final = 2_000
WANTED: Final = 0.5
"""Of a bare response's rate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Requests a second, by rounds."""

    path: str
    size_bytes: int
    own: Sequence["Rate"]
    bare: Sequence["Rate"]

    @property
    def by_clock(self) -> float:
        """Median over the rounds of our rate over the bare one."""
        return statistics.median(a.per_second / b.per_second for a, b in zip(self.own, self.bare, strict=True))

    @property
    def by_cpu(self) -> float:
        """The same by the servers' CPU time, which neighbours on the machine change less."""
        return sum(rate.cpu_seconds for rate in self.bare) / sum(rate.cpu_seconds for rate in self.own)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Requests a second, and the server's CPU seconds for one."""

    per_second: float
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A server of our own."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of its process so far (Linux)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(factory: str, environment: dict[str, str]) -> Iterator[Served]:
    """An application in a process of its own."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    command = [
        sys.executable, "-m", "uvicorn", factory, "--factory", "--host", HOST, "--port", str(port),
        "--no-access-log", "--no-server-header", "--log-level", "warning",
    ]  # fmt: skip
    with subprocess.Popen(command, env={**os.environ, **environment}) as process:
        try:
            _await(port, process)
            yield Served(port=port, pid=process.pid)
        finally:
            process.terminate()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    for _attempt in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the server did not start within 30 seconds")


def rate(server: Served, path: str, count: int) -> Rate:
    """What a path answers a second, asked ``count`` times."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    before = server.cpu_seconds()
    taken = client.send(HOST, server.port, [request] * count)
    return Rate(per_second=count / taken, cpu_seconds=(server.cpu_seconds() - before) / count)


def fetched(port: int, path: str) -> bytes:
    """The body at a path."""
    with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=30) as response:
        body: bytes = response.read()
    return body


def compare(rounds: int = ROUNDS, requests: int = REQUESTS, paths: Sequence[str] = PATHS) -> list[Compared]:
    """Measure every path by turns with a bare response of the same bytes."""
    with served("benchmarks.load.server:application", {}) as own, tempfile.TemporaryDirectory() as folder:
        bodies = [fetched(own.port, path) for path in paths]
        for name, body in enumerate(bodies):
            Path(folder, str(name)).write_bytes(body)
        with served("benchmarks.load.bare:application", {BODIES: folder}) as bare:
            found = []
            for name, path in enumerate(paths):
                for server, asked in ((own, path), (bare, f"/{name}")):
                    rate(server, asked, requests // 4)
                pairs = [(rate(own, path, requests), rate(bare, f"/{name}", requests)) for _round in range(rounds)]
                found.append(
                    Compared(
                        path=path,
                        size_bytes=len(bodies[name]),
                        own=[mine for mine, _ in pairs],
                        bare=[theirs for _, theirs in pairs],
                    )
                )
            return found


def main() -> None:
    """Print each path's rate beside the bare one; exits with 1 where one is under half of it by clock and by CPU."""
    found = compare()
    print(f"Cached embeds against a bare Starlette response; {ROUNDS} rounds of {REQUESTS:,} requests, one worker each")
    for entry in found:
        own, bare = (statistics.median(rate.per_second for rate in rates) for rates in (entry.own, entry.bare))
        print(
            f"  {entry.by_clock:4.0%} by clock, {entry.by_cpu:4.0%} by CPU  {own:7,.0f} of {bare:7,.0f} a second  "
            f"{entry.size_bytes:7,} bytes  {entry.path}"
        )
    if any(max(entry.by_clock, entry.by_cpu) < WANTED for entry in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
