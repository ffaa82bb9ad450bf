"""Copy the whole database to a file while it is in use, and put such a copy back."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url

_PAGES_AT_A_TIME: Final = 1_000
_NEEDED_TABLE: Final = "alembic_version"


class BackupError(Exception):
    """Why nothing was copied, as a sentence."""


def back_up(database_url: str, target: Path) -> None:
    """Write a consistent copy to ``target``, which appears only when it is complete. Raises :class:`BackupError`."""
    url = make_url(database_url)
    if target.exists():
        raise BackupError(f"{target} exists already.")
    partial = target.with_name(f"{target.name}.partial")
    try:
        if url.get_backend_name() == "sqlite":
            _copy_sqlite(_sqlite_file(url), partial)
        else:
            _postgres(url, "pg_dump", "--format=custom", "--no-owner", "--file", str(partial))
        partial.replace(target)
    except OSError as error:
        raise BackupError(f"{target}: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)


def restore(database_url: str, source: Path) -> None:
    """Replace the database's content by a copy's, all or nothing. Raises :class:`BackupError`."""
    url = make_url(database_url)
    if not source.is_file():
        raise BackupError(f"There is no file {source}.")
    if url.get_backend_name() == "sqlite":
        _check_sqlite(source)
        _copy_sqlite(source, Path(url.database or ""))
    else:
        words = ("--clean", "--if-exists", "--no-owner", "--single-transaction", "--exit-on-error", str(source))
        _postgres(url, "pg_restore", *words)


def _sqlite_file(url: URL) -> Path:
    path = Path(url.database or "")
    if not path.is_file():
        raise BackupError(f"There is no database {path}.")
    return path


def _copy_sqlite(source: Path, target: Path) -> None:
    """SQLite's own online copy: a writer in between makes it begin anew, and readers of ``target`` see all or none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(source)) as from_, closing(sqlite3.connect(target, timeout=30)) as to:
            from_.backup(to, pages=_PAGES_AT_A_TIME)
    except sqlite3.Error as error:
        raise BackupError(f"SQLite refused: {error}.") from error


def _check_sqlite(source: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_NEEDED_TABLE,)).fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{source} is not an SQLite backup: {error}.") from error
    if verdict != "ok":
        raise BackupError(f"{source} is damaged: {verdict}.")
    if known is None:
        raise BackupError(f"{source} is not a backup of this service.")


def _postgres(url: URL, program: str, *words: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise BackupError(f"{program} is not installed; it comes with PostgreSQL's client programs.")
    target = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    # The password goes by the environment: a process's words can be read by every user of the machine.
    environment = os.environ | ({"PGPASSWORD": str(url.password)} if url.password else {})
    ended = subprocess.run(
        [found, f"--dbname={target}", *words], env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise BackupError(f"{program} failed: {ended.stderr.strip().splitlines()[-1:] or ['no reason given']}")
