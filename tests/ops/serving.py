"""The real command over a real database, on a port of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

START_SECONDS = 120
"""A start takes three; a machine that is busy with other things takes its time."""


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(*words: str) -> list[str]:
    """``vram-fit`` with these words."""
    return [sys.executable, "-c", "from app.cli import main; main()", *words]


@contextmanager
def served(
    url: str, directory: Path, variables: Mapping[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    """A running service: its address, its process and its log. Raises ``RuntimeError`` where it does not start."""
    port = free_port()
    environment = os.environ | {"DATABASE_URL": url, "HOST": "127.0.0.1", "PORT": str(port)} | dict(variables or {})
    log = directory / f"log-{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(command("serve"), env=environment, cwd=directory, stdout=output, stderr=output)
    address = f"http://127.0.0.1:{port}"
    try:
        _await(address, process, log)
        yield address, process, log
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=30)


def _await(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"the service did not start:\n{log.read_text()}")
