"""One engine from one URL: an SQLite file (WAL) or PostgreSQL, with the same rules for both."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, event, make_url, text
from sqlmodel import Session, create_engine

_CATALOGUE_LOCK: Final = 7_238_061
"""Any fixed number: the PostgreSQL advisory lock that lets one change of the catalogue happen at a time."""
_BUSY_MILLISECONDS: Final = 30_000


class Database:
    """Opens sessions to read and to change. Raises SQLAlchemy's errors where the database is away."""

    def __init__(self, url: str) -> None:
        self.engine: Final = _engine(url)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a file rather than a server."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees the database as of one moment, and whose changes are thrown away."""
        with Session(self.engine) as session:
            if not self.is_sqlite:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session committed at the end, or rolled back whole on any error."""
        with Session(self.engine) as session, session.begin():
            session.connection(execution_options={"write": True})
            yield session

    @contextmanager
    def changing_catalogue(self) -> Iterator[Session]:
        """As :meth:`writing`, one at a time among all processes, each seeing what the last one did."""
        with self.writing() as session:
            if not self.is_sqlite:
                session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CATALOGUE_LOCK})
            yield session

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _engine(url: str) -> Engine:
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=10,
            pool_timeout=5,
            connect_args={
                "connect_timeout": 3,
            },
        )
    if address.database and address.database != ":memory:":
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": _BUSY_MILLISECONDS / 1000, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own BEGIN comes late and is never IMMEDIATE; ours (below) is exact.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL", f"busy_timeout={_BUSY_MILLISECONDS}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that will write takes its lock at once, so that it waits instead of failing when it upgrades.
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
