"""The application over the bundled catalogue, without a database, on a fixed day."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.settings import Settings


class ConfigsInMemory:
    """Keeps configurations for as long as a test runs."""

    def __init__(self) -> None:
        self.kept: dict[str, Mapping[str, Any]] = {}

    def get(self, key: str) -> Mapping[str, Any] | None:
        return self.kept.get(key)

    def put(self, key: str, config: Mapping[str, Any]) -> None:
        self.kept[key] = config


@pytest.fixture(scope="session")
def application(snapshot: Snapshot) -> FastAPI:
    """The whole application."""
    return create_app(Settings(), snapshot=snapshot, configs=ConfigsInMemory(), today=lambda: date(2026, 11, 24))


@pytest.fixture(scope="session")
def client(application: FastAPI) -> Iterator[TestClient]:
    """A caller of it. An exception nobody caught is a 500, as in production."""
    with TestClient(application, raise_server_exceptions=False) as caller:
        yield caller
