"""A throw-away PostgreSQL server for tests and benchmarks, run as an unprivileged user where we are root."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


def find_postgres() -> Path | None:
    """The newest directory that holds ``initdb`` and ``pg_ctl``, or None."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]), reverse=True
    )
    if installed:
        return installed[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """Runs in ``directory`` from ``with`` to its end. Raises ``RuntimeError`` where it does not start."""

    def __init__(self, directory: Path) -> None:
        binaries = find_postgres()
        if binaries is None:
            raise RuntimeError("PostgreSQL is not installed; get it with: apt-get install postgresql")
        self._binaries = binaries
        self._directory = directory
        self._data = directory / "data"
        self.port = _free_port()

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql+psycopg://tests@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start again after :meth:`stop`."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._directory}"
            " -c fsync=off -c full_page_writes=off -c max_connections=60"
        )
        log = str(self._directory / "log")
        self._run("pg_ctl", "-D", str(self._data), "-l", log, "-w", "-t", "30", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it, as a lost server is lost: at once, without farewell."""
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            # initdb refuses to run as root; the directories above are private to root.
            user = pwd.getpwnam("postgres")
            os.chown(self._directory, user.pw_uid, user.pw_gid)
            for parent in self._directory.parents:
                if parent.owner() == "root" and not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o011)
        self._run("initdb", "-D", str(self._data), "-U", "tests", "--auth=trust", "--no-sync", "-E", "UTF8")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str] = (str(self._binaries / program), *arguments)
        if os.geteuid() == 0:
            command = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--", *command)
        done = subprocess.run(
            command, cwd=self._directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
