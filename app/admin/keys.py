"""Operators' keys: what they open, how they are made, found, and taken back. Only their hashes are kept."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hmac import compare_digest
from typing import Final

from sqlmodel import Session, col, func, select

from app.catalogue.database import Database
from app.catalogue.tables import ApiKey, AuditEntry, utc_now

PREFIX: Final = "vramfit"
FIRST_NAME: Final = "first key"
SET_UP: Final = "set-up"
MAX_NAME_CHARACTERS: Final = 120
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(rf"{PREFIX}_([0-9a-f]{{{2 * _ID_BYTES}}})_[A-Za-z0-9_-]{{43}}")
_USE_RESOLUTION: Final = timedelta(minutes=5)
"""A use is written down at most this often, so that reading stays reading."""


class Scope(StrEnum):
    """What a key may do; each says nothing about the others."""

    READ = "read"
    """See offers, history, the audit trail and what was asked for, and export."""
    OFFERS = "offers"
    """Change offers."""
    RATES = "rates"
    """Change currency rates."""
    KEYS = "keys"
    """See, create and revoke keys."""


ALL_SCOPES: Final = tuple(Scope)


class KeyRefusedError(ValueError):
    """A key that cannot be created or revoked so; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyHolder:
    """Whoever sent a good key."""

    id: str
    name: str
    scopes: frozenset[Scope]

    @property
    def actor(self) -> str:
        """Who history names for what they change."""
        return f"{self.name} (key {self.id})"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyInfo:
    """What is told of a key: never the key."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    created_by: str
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NewKey:
    """A key just made; ``text`` is shown once and kept nowhere."""

    info: KeyInfo
    text: str


def create_key(
    database: Database, *, name: str, scopes: Iterable[Scope], actor: str, within: KeyHolder | None = None
) -> NewKey:
    """Make a key. Raises :class:`KeyRefusedError` for a bad name, no scope, or one that ``within`` does not have."""
    with database.changing_catalogue() as session:
        return _add(session, _checked_name(name), _checked_scopes(scopes, within), actor)


def create_first_key(database: Database) -> NewKey | None:
    """Make a key for everything where there has never been any; None where there has."""
    with database.changing_catalogue() as session:
        if session.exec(select(func.count()).select_from(ApiKey)).one():
            return None
        return _add(session, FIRST_NAME, ALL_SCOPES, SET_UP)


def list_keys(database: Database) -> list[KeyInfo]:
    """All keys, newest first."""
    with database.reading() as session:
        return [_info(row) for row in session.exec(select(ApiKey).order_by(col(ApiKey.created_at).desc()))]


def revoke_key(database: Database, key_id: str, *, actor: str) -> KeyInfo | None:
    """Take a key back for good; None for an unknown one. A second time changes nothing."""
    with database.changing_catalogue() as session:
        row = session.get(ApiKey, key_id)
        if row is None:
            return None
        if row.revoked_at is None:
            row.revoked_at = utc_now()
            session.add(AuditEntry(actor=actor, action="keys.revoke", subject=f"{row.name} ({row.id})"))
        return _info(row)


def authenticate(database: Database, text: str) -> KeyHolder | None:
    """Whose key this is; None for one that is malformed, unknown or revoked. Raises SQLAlchemy's errors."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    with database.reading() as session:
        row = session.get(ApiKey, match[1])
        # Compared in any case, so that an unknown id takes as long as a wrong secret.
        good = compare_digest(hash_of(text), row.secret_hash if row else "0" * 64)
        if row is None or not good or row.revoked_at is not None:
            return None
        holder, used = holder_of(row), row.last_used_at
    if used is None or utc_now() - used > _USE_RESOLUTION:
        _note_use(database, holder.id)
    return holder


def holder_of(row: ApiKey) -> KeyHolder:
    """The holder of a stored key; scopes that this version does not know open nothing."""
    return KeyHolder(id=row.id, name=row.name, scopes=frozenset(map(Scope, set(row.scopes) & set(Scope))))


def hash_of(text: str) -> str:
    """What is kept of a key or a session."""
    return hashlib.sha256(text.encode()).hexdigest()


def _add(session: Session, name: str, scopes: Iterable[Scope], actor: str) -> NewKey:
    key_id = secrets.token_hex(_ID_BYTES)
    text = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    kept = [scope.value for scope in scopes]
    row = ApiKey(id=key_id, name=name, secret_hash=hash_of(text), scopes=kept, created_by=actor)
    session.add(row)
    entry = AuditEntry(actor=actor, action="keys.create", subject=f"{name} ({key_id})", detail={"scopes": kept})
    session.add(entry)
    session.flush()
    return NewKey(info=_info(row), text=text)


def _info(row: ApiKey) -> KeyInfo:
    holder = holder_of(row)
    return KeyInfo(
        id=row.id,
        name=row.name,
        scopes=tuple(scope for scope in Scope if scope in holder.scopes),
        created_at=row.created_at,
        created_by=row.created_by,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


def _note_use(database: Database, key_id: str) -> None:
    with database.writing() as session:
        row = session.get(ApiKey, key_id)
        if row is not None:
            row.last_used_at = utc_now()


def _checked_name(name: str) -> str:
    trimmed = " ".join(name.split())
    if not trimmed or len(trimmed) > MAX_NAME_CHARACTERS or not trimmed.isprintable():
        raise KeyRefusedError(f"A key needs a name of 1 to {MAX_NAME_CHARACTERS} printable characters.")
    return trimmed


def _checked_scopes(scopes: Iterable[Scope], within: KeyHolder | None) -> tuple[Scope, ...]:
    asked = set(scopes)
    if not asked:
        raise KeyRefusedError(f"A key needs at least one scope of {', '.join(Scope)}.")
    beyond = asked - within.scopes if within else set()
    if beyond:
        raise KeyRefusedError(f"A key can only give what it has itself, which is not {', '.join(sorted(beyond))}.")
    return tuple(scope for scope in Scope if scope in asked)
