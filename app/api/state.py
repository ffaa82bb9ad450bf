"""What a request handler finds on the application: settings, the current snapshot, the clock, stored configurations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from fastapi import Request

from app.catalogue.asked import Asked
from app.catalogue.snapshot import Snapshot
from app.services.policy import Policy
from app.settings import Settings


class ConfigStore(Protocol):
    """Where pasted configurations are kept under their hash."""

    def get(self, key: str) -> Mapping[str, Any] | None:
        """The configuration of a hash, or None where it is not kept (any more)."""

    def put(self, key: str, config: Mapping[str, Any]) -> None:
        """Keep a configuration, dropping the least recently used beyond the store's number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AppState:
    """The parts that :func:`app.main.create_app` put together."""

    settings: Settings
    snapshot: Callable[[], Snapshot]
    """The catalogue as it is now."""
    today: Callable[[], date]
    configs: ConfigStore
    policy: Policy
    asked: Asked
    """Counts what people ask for."""
    ready: Callable[[], str | None]
    """None when the service can answer, else what is missing."""


def state_of(request: Request) -> AppState:
    """The application's parts, from a request."""
    state: AppState = request.app.state.parts
    return state
