"""The application over the bundled catalogue with any settings, as callers at different addresses see it."""

import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import ConfigsInMemory, application, client
from tests.ops.serving import served

__all__ = ["application", "client"]

VISITOR = "203.0.113.7"
"""From the block that documentation uses."""

Caller = Callable[..., TestClient]


@pytest.fixture
def caller(snapshot: Snapshot) -> Caller:
    """Make a caller at ``address`` of an application with these settings."""

    def make(address: str = VISITOR, **settings: Any) -> TestClient:
        app = create_app(
            Settings(_env_file=None, **settings),
            snapshot=snapshot,
            configs=ConfigsInMemory(),
            today=lambda: date(2026, 11, 24),
        )
        return TestClient(app, raise_server_exceptions=False, client=(address, 50_000))

    return make


@pytest.fixture(scope="module")
def service(sqlite_templates: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the real command, serving the bundled catalogue."""
    directory = tmp_path_factory.mktemp("service")
    shutil.copy(sqlite_templates["bundled"], directory / "catalogue.db")
    with served(f"sqlite:///{directory / 'catalogue.db'}", directory) as (address, _, _):
        yield address
