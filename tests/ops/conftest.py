"""The application over the bundled catalogue with any settings, as callers at different addresses see it."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import ConfigsInMemory, application, client

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
