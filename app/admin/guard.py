"""Who may come in: keys on the API, sessions on the pages, and forms that only our own pages may post."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.admin.attempts import Attempts, address_of
from app.admin.keys import KeyHolder, Scope, authenticate
from app.catalogue.database import Database
from app.catalogue.snapshot import Snapshot
from app.settings import Settings

CHALLENGE: Final = {"www-authenticate": "Bearer"}
NOT_KEPT: Final = {"cache-control": "no-store"}


@dataclass(frozen=True, kw_only=True)
class AdminState:
    """What the operator's side works with."""

    settings: Settings
    database: Database
    snapshot: Callable[[], Snapshot]
    refresh: Callable[[], object]
    """Take a change over into this process's snapshot at once, instead of at its next look."""
    today: Callable[[], date]
    attempts: Attempts


class RefusedError(Exception):
    """Somebody who may not; answered with a problem document or a page."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = NOT_KEPT | (headers or {})


def admin_of(request: Request) -> AdminState:
    """The operator's side of the application, from a request."""
    state: AdminState = request.app.state.admin
    return state


def bearer(scope: Scope) -> Callable[[Request], Coroutine[Any, Any, KeyHolder]]:
    """A dependency: the holder of the key in ``Authorization: Bearer …``. Raises :class:`RefusedError`."""

    async def holder(request: Request) -> KeyHolder:
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not text.strip():
            raise RefusedError(401, "Send a key as Authorization: Bearer …", CHALLENGE)
        found = await key_holder(request, text.strip())
        require(found, scope)
        return found

    return holder


async def key_holder(request: Request, text: str) -> KeyHolder:
    """Whose key this is. Raises :class:`RefusedError`: 401 for a wrong one, 429 where an earlier one was wrong."""
    state, address = admin_of(request), address_of(request.scope)
    with state.attempts.looking(address) as wait:
        if wait > 0:
            detail = f"Keys from this address were wrong. Wait {_words(wait)} before the next try."
            raise RefusedError(429, detail, {"retry-after": str(ceil(wait))})
        found = await run_in_threadpool(authenticate, state.database, text)
        if found is not None:
            state.attempts.succeeded(address)
            return found
        delay = state.attempts.failed(address)
    detail = f"This key is not known. Wait {_words(delay)} before the next try."
    raise RefusedError(401, detail, CHALLENGE | {"retry-after": str(ceil(delay))})


def require(holder: KeyHolder, scope: Scope) -> None:
    """Raises :class:`RefusedError` (403) where a key does not open this."""
    if scope not in holder.scopes:
        raise RefusedError(403, f"This key has not the scope {scope}.")


def require_own_form(request: Request) -> None:
    """Refuse a form that another site's page posted. Raises :class:`RefusedError` (403).

    Browsers say where a request comes from in ``Sec-Fetch-Site``, older ones in ``Origin`` only; no page can set
    either. A request with neither is no browser's form.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site != "same-origin":
        raise RefusedError(403, "This form was not sent by a page of this site.")
    if origin is not None and urlsplit(origin).netloc not in _own_hosts(request):
        raise RefusedError(403, "This form was not sent by a page of this site.")
    if site is None and origin is None:
        raise RefusedError(403, "This form does not say which page sent it.")


def _own_hosts(request: Request) -> set[str]:
    public = urlsplit(admin_of(request).settings.public_url or "").netloc
    return {host for host in (public, request.headers.get("host", "")) if host}


def _words(seconds: float) -> str:
    whole = ceil(seconds)
    return "1 second" if whole == 1 else f"{whole} seconds"
