"""Files whose difference was shown and not yet confirmed. They wait in the database, so any replica can apply them."""

import hashlib
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlmodel import col, delete, or_

from app.admin.keys import KeyHolder
from app.catalogue.changes import Difference
from app.catalogue.database import Database
from app.catalogue.rates import RatesReport
from app.catalogue.tables import PendingUpload, utc_now

KEPT_FOR: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """A file and how it is to be taken; ``shown`` is the hash of the difference that was shown."""

    id: str
    options: Mapping[str, Any]
    content: bytes
    shown: str


def keep(database: Database, holder: KeyHolder, *, options: Mapping[str, Any], content: bytes, shown: str) -> str:
    """Keep a file, in place of the one that this key had waiting; returns its id."""
    upload = PendingUpload(
        id=secrets.token_hex(16),
        key_id=holder.id,
        options=dict(options),
        shown=shown,
        content=zlib.compress(content),
    )
    name = upload.id
    with database.writing() as session:
        session.exec(
            delete(PendingUpload).where(
                or_(col(PendingUpload.key_id) == holder.id, col(PendingUpload.created_at) < utc_now() - KEPT_FOR)
            )
        )
        session.add(upload)
    return name


def take(database: Database, holder: KeyHolder, upload_id: str) -> Upload | None:
    """A file that waits, for whoever sent it; None where there is none (any more)."""
    with database.reading() as session:
        row = session.get(PendingUpload, upload_id)
        if row is None or row.key_id != holder.id or row.created_at < utc_now() - KEPT_FOR:
            return None
        return Upload(id=row.id, options=row.options, content=zlib.decompress(row.content), shown=row.shown)


def drop(database: Database, holder: KeyHolder, upload_id: str) -> None:
    """Forget a file."""
    with database.writing() as session:
        session.exec(
            delete(PendingUpload).where(col(PendingUpload.id) == upload_id, col(PendingUpload.key_id) == holder.id)
        )


def digest(change: Difference | RatesReport) -> str:
    """A hash of what would change, to notice that it is something else by now."""
    found = hashlib.sha256()
    if isinstance(change, RatesReport):
        found.update(repr((change.rates.base, change.rates.observed_on, sorted(change.changed.items()))).encode())
        return found.hexdigest()
    for part in (change.added, change.changed, change.withdrawn):
        for entry in part:
            found.update(repr(entry).encode())
        found.update(b"|")
    return found.hexdigest()
