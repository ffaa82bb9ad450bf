"""The pages over the bundled catalogue, without a database, on a fixed day."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.settings import Settings


class NoConfigs:
    """Keeps nothing."""

    def get(self, key: str) -> Mapping[str, Any] | None:
        return None

    def put(self, key: str, config: Mapping[str, Any]) -> None:
        pass


@pytest.fixture(scope="session")
def site(snapshot: Snapshot) -> Iterator[TestClient]:
    """A visitor. An exception nobody caught is a 500, as in production."""
    app = create_app(Settings(), snapshot=snapshot, configs=NoConfigs(), today=lambda: date(2026, 11, 24))
    with TestClient(app, raise_server_exceptions=False) as visitor:
        yield visitor
