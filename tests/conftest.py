"""What many tests share: a fixed day, settings that read nothing from the machine, and real databases."""

import gc
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import fastapi.routing
import pytest
from fastapi.utils import create_model_field
from hypothesis import settings
from sqlalchemy import NullPool, create_engine, text

import app.catalogue.service
import app.main
from app.catalogue.database import Database
from app.catalogue.loading import load_bundled
from app.catalogue.migrate import migrate
from app.catalogue.snapshot import OfferFilter, Snapshot
from tools.postgres import PostgresServer, find_postgres

TODAY = date(2026, 11, 24)

# How long an example takes is the machine's business: on a busy one it says nothing of the program.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests wait for services, browsers and disks, and meanwhile another may run."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that no worker is left alone with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def missing(what: str, command: str) -> None:
    """A test's service is not here: an error where everything is required, else a skip that names the command."""
    message = f"{what} is not installed; get it with: {command}"
    if os.environ.get("VRAM_FIT_REQUIRE_ALL") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_the_machine() -> Iterator[None]:
    """An operator's variables or ``.env`` must not change what the tests see."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("VRAM_FIT_") and name != "VRAM_FIT_REQUIRE_ALL":
                patch.delenv(name)
        for name in ("DATABASE_URL", "HOST", "PORT"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def _response_types_are_read_once() -> Iterator[None]:
    """Applications are made by the hundred here, and what FastAPI reads of a response's type, anew and twice for each,
    depends on the type alone: nine tenths of the time that an application takes to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastapi.routing, "create_model_field", lru_cache(maxsize=None)(create_model_field))
        yield


@pytest.fixture(autouse=True, scope="session")
def _collections_leave_the_tests_alone() -> Iterator[None]:
    """The service collects garbage, all that its process holds, and freezes the rest, whenever an application starts or
    a catalogue changes. Here that is all that thousands of tests have left, walked for half a second some hundreds of
    times: half of what the tests take. So what is here before them is frozen once, and the service leaves the rest to
    Python."""
    gc.collect()
    gc.freeze()
    left_alone = SimpleNamespace(collect=lambda: 0, freeze=lambda: None, unfreeze=lambda: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.main, "gc", left_alone)
        patch.setattr(app.catalogue.service, "gc", left_alone)
        yield


@pytest.fixture
def today() -> date:
    """The day on which the tests take place."""
    return TODAY


@pytest.fixture
def market() -> OfferFilter:
    """The offers that count by default on that day."""
    return OfferFilter(today=TODAY)


@pytest.fixture(scope="session")
def snapshot() -> Snapshot:
    """The bundled catalogue, without any database."""
    return Snapshot.bundled()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of our own, started for this run."""
    if find_postgres() is None:
        missing("PostgreSQL", "apt-get install postgresql")
    # not below pytest's own folder, which another run of the tests closes to the server's user
    with tempfile.TemporaryDirectory(prefix="vram-fit-postgres-") as folder, PostgresServer(Path(folder)) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_templates(postgres_server: PostgresServer) -> None:
    """Databases to copy: migrated and empty, and with the bundled catalogue."""
    for name in ("empty", "bundled"):
        _postgres_do(postgres_server, f"CREATE DATABASE {name}")
        _prepare(postgres_server.url(name), bundled=name == "bundled")


@pytest.fixture(scope="session")
def sqlite_templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """As above, as files."""
    directory = tmp_path_factory.mktemp("templates")
    for name in ("empty", "bundled"):
        _prepare(f"sqlite:///{directory / name}", bundled=name == "bundled")
    return {name: directory / name for name in ("empty", "bundled")}


def _prepare(url: str, *, bundled: bool) -> None:
    database = Database(url)
    migrate(database)
    if bundled:
        load_bundled(database)
    if database.is_sqlite:
        with database.engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.exec_driver_sql("BEGIN")
    database.close()


def _postgres_do(server: PostgresServer, statement: str) -> None:
    engine = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))


_BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


def _copied(kind: str, template: str, request: pytest.FixtureRequest, directory: Path) -> Iterator[str]:
    if kind == "sqlite":
        templates: dict[str, Path] = request.getfixturevalue("sqlite_templates")
        shutil.copy(templates[template], directory / "catalogue.db")
        yield f"sqlite:///{directory / 'catalogue.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    request.getfixturevalue("postgres_templates")
    name = f"test_{uuid.uuid4().hex}"
    _postgres_do(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.url(name)
    _postgres_do(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=_BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated, empty database, once of each kind."""
    yield from _copied(request.param, "empty", request, tmp_path)


@pytest.fixture(params=_BOTH)
def catalogue_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database with the bundled catalogue, once of each kind."""
    yield from _copied(request.param, "bundled", request, tmp_path)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated, empty database, once of each kind."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def catalogue_database(catalogue_database_url: str) -> Iterator[Database]:
    """A database with the bundled catalogue, once of each kind."""
    opened = Database(catalogue_database_url)
    yield opened
    opened.close()


@pytest.fixture
def postgres_catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A PostgreSQL database with the bundled catalogue."""
    for url in _copied("postgresql", "bundled", request, tmp_path):
        opened = Database(url)
        yield opened
        opened.close()


@pytest.fixture
def sqlite_catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An SQLite file with the bundled catalogue."""
    for url in _copied("sqlite", "bundled", request, tmp_path):
        opened = Database(url)
        yield opened
        opened.close()
