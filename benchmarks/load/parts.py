"""What the proof with two replicas starts: replicas, Redis and nginx, each on a port of its own, each stopped again."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ROOT: Final = Path(__file__).parents[2]
NGINX: Final = ROOT / "deploy/nginx.conf"


def command(*words: str) -> list[str]:
    """``vram-fit`` with these words."""
    return [sys.executable, "-c", "from app.cli import main; main()", *words]


def environment(**variables: str) -> dict[str, str]:
    """This process's, with these."""
    return os.environ | {"PYTHONPATH": str(ROOT)} | variables


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A program from ``with`` to its end."""

    def __init__(self, words: list[str], port: int, log: Path, variables: Mapping[str, str] | None = None) -> None:
        self.port = port
        self._words = words
        self._log = log
        self._variables = dict(variables or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until its port answers. Raises ``RuntimeError``."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._words, env=environment(**self._variables), cwd=self._log.parent, stdout=output, stderr=output
            )
        for _ in range(2_400):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{self._words[0]} did not start:\n{self._log.read_text()[-2_000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal and wait for its end."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=40)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class Replica(Process):
    """``vram-fit serve``."""

    def __init__(self, log: Path, settings: Mapping[str, str]) -> None:
        port = free_port()
        super().__init__(command("serve"), port, log, {**settings, "HOST": "127.0.0.1", "PORT": str(port)})

    def restart(self, how: signal.Signals) -> None:
        """Take it away for a second."""
        self.stop(how)
        time.sleep(1)
        self.start()


class Redis(Process):
    """A Redis that keeps nothing."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        super().__init__(words, port, directory / "log")
        self.url = f"redis://127.0.0.1:{port}/0"

    def restart(self) -> None:
        """Take it away for two seconds."""
        self.stop()
        time.sleep(2)
        self.start()


class Nginx(Process):
    """nginx with the configuration that is deployed, for the addresses of this machine."""

    def __init__(self, directory: Path, replicas: list[int]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        server = NGINX.read_text(encoding="utf-8").replace("listen 80;", f"listen 127.0.0.1:{port};")
        server = server.replace("/var/cache/nginx", str(directory / "cache"))
        for number, replica in enumerate(replicas, 1):
            server = server.replace(f"app-{number}:8000", f"127.0.0.1:{replica}")
        temporary = "".join(
            f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        config = directory / "nginx.conf"
        config.write_text(
            f"{user} daemon off; worker_processes 1; pid {directory}/pid; error_log stderr warn;"
            f"events {{ worker_connections 1024; }} http {{ access_log off; {temporary}\n{server}\n}}"
        )
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        super().__init__([program, "-p", str(directory), "-c", str(config)], port, directory / "log")
