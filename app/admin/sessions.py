"""Who is signed in. The browser holds a random token, the database its hash; revoking the key ends its sessions."""

import secrets
from datetime import timedelta
from typing import Final

from fastapi import Request
from sqlmodel import col, delete, select
from starlette.responses import Response

from app.admin.guard import admin_of
from app.admin.keys import KeyHolder, hash_of, holder_of
from app.catalogue.database import Database
from app.catalogue.tables import AdminSession, ApiKey, utc_now

_NAME: Final = "vram-fit-admin"
_TOKEN_BYTES: Final = 32


def begin(database: Database, holder: KeyHolder, hours: float) -> str:
    """Sign in; returns the token. Sessions that have run out are forgotten."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    now = utc_now()
    with database.writing() as session:
        session.exec(delete(AdminSession).where(col(AdminSession.expires_at) < now))
        expires = now + timedelta(hours=hours)
        session.add(AdminSession(token_hash=hash_of(token), key_id=holder.id, expires_at=expires))
    return token


def find(database: Database, token: str) -> KeyHolder | None:
    """Who holds a token; None where it has run out, was ended, or its key was revoked."""
    query = (
        select(ApiKey)
        .join(AdminSession, col(AdminSession.key_id) == col(ApiKey.id))
        .where(
            AdminSession.token_hash == hash_of(token),
            AdminSession.expires_at > utc_now(),
            col(ApiKey.revoked_at).is_(None),
        )
    )
    with database.reading() as session:
        row = session.exec(query).one_or_none()
        return holder_of(row) if row is not None else None


def end(database: Database, token: str) -> None:
    """Sign out."""
    with database.writing() as session:
        session.exec(delete(AdminSession).where(col(AdminSession.token_hash) == hash_of(token)))


def token_of(request: Request) -> str:
    """The token a browser sent, or an empty text."""
    return request.cookies.get(_cookie_name(request), "")


def give(request: Request, response: Response, token: str) -> None:
    """Put the token into the browser: not for scripts, and not sent along from any other site."""
    hours = admin_of(request).settings.session_hours
    _set(request, response, token, int(hours * 3_600))


def take_back(request: Request, response: Response) -> None:
    """Take the token out of the browser."""
    _set(request, response, "", 0)


def _set(request: Request, response: Response, token: str, seconds: int) -> None:
    response.set_cookie(
        _cookie_name(request),
        token,
        max_age=seconds,
        path="/",
        secure=is_https(request),
        httponly=True,
        samesite="strict",
    )


def is_https(request: Request) -> bool:
    """Whether the visitor's connection is encrypted, as far as we and the proxies that we trust can tell."""
    return request.url.scheme == "https" or (admin_of(request).settings.public_url or "").startswith("https:")


def _cookie_name(request: Request) -> str:
    # A browser takes this prefix only over HTTPS, from this very host, so that no neighbour can plant one.
    return f"__Host-{_NAME}" if is_https(request) else _NAME
