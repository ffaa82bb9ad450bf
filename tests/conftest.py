"""What many tests share: a fixed day, settings that read nothing from the machine, and real databases."""

import os
import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from app.catalogue.database import Database
from app.catalogue.loading import load_bundled
from app.catalogue.migrate import migrate
from app.catalogue.snapshot import OfferFilter, Snapshot
from tools.postgres import PostgresServer, find_postgres

TODAY = date(2026, 11, 24)


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
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server of our own, started for this run."""
    if find_postgres() is None:
        missing("PostgreSQL", "apt-get install postgresql")
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty PostgreSQL database."""
    name = f"test_{uuid.uuid4().hex}"
    admin = create_engine(postgres_server.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield postgres_server.url(name)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalogue.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated, empty database, once of each kind."""
    opened = Database(database_url)
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture
def catalogue_database(database: Database) -> Database:
    """A database with the bundled catalogue, once of each kind."""
    load_bundled(database)
    return database


def is_postgres(database_url: str) -> bool:
    """Which kind an address is of."""
    return make_url(database_url).get_backend_name() == "postgresql"
