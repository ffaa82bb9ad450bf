"""The whole application over a database with the bundled catalogue, and keys to it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.admin.keys import ALL_SCOPES, Scope, create_key
from app.catalogue.database import Database
from app.main import create_app
from app.settings import Settings

VISITOR = "203.0.113.7"
"""From the block that documentation uses."""

Caller = Callable[..., TestClient]


@pytest.fixture
def caller(catalogue_database_url: str) -> Iterator[Caller]:
    """Make a caller at ``address`` of an application over the database, which may be one of several."""
    yield from _caller(catalogue_database_url)


@pytest.fixture
def page_caller(sqlite_catalogue: Database) -> Iterator[Caller]:
    """The same over an SQLite file only."""
    yield from _caller(sqlite_catalogue.engine.url.render_as_string(hide_password=False))


def _caller(url: str) -> Iterator[Caller]:
    with ExitStack() as stack:

        def make(address: str = VISITOR, **settings: Any) -> TestClient:
            app = create_app(
                Settings(_env_file=None, database_url=url, **({"hub_url": None} | settings)),
                today=lambda: date(2026, 11, 24),
            )
            client = TestClient(app, raise_server_exceptions=False, client=(address, 50_000))
            return stack.enter_context(client)

        yield make


def key(caller: TestClient, *scopes: Scope) -> dict[str, str]:
    """The header of a new key."""
    made = create_key(database_of(caller), name="tester", scopes=scopes or ALL_SCOPES, actor="tests")
    return {"authorization": f"Bearer {made.text}"}


def database_of(caller: TestClient) -> Database:
    """The database behind a caller."""
    database: Database = caller.app.state.admin.database  # type: ignore[attr-defined]
    return database
