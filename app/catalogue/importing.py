"""Bringing a price list into the catalogue: the one way in for the command line, the API and the operator's pages.

All or nothing: one bad row, and nothing changes. Idempotent: the same list a second time changes nothing. Prices that
go are retired, never deleted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final

from sqlmodel import Session

from app.catalogue import repository
from app.catalogue.bundled import slugify
from app.catalogue.changes import Difference, Mode, apply, difference
from app.catalogue.database import Database
from app.catalogue.facts import Offer
from app.catalogue.gpuhunt import gpuhunt_rows
from app.catalogue.offer_files import FileError, RawRow, read_csv, read_json, write_csv, write_json
from app.catalogue.offer_rows import RowError, RowReader
from app.catalogue.snapshot import Snapshot

MAX_ROWS: Final = 500_000


class FileFormat(StrEnum):
    """What a price list is written in."""

    CSV = "csv"
    JSON = "json"
    GPUHUNT = "gpuhunt"
    """gpuhunt's catalogue CSV; rows without a card known here are left out and counted."""


class ImportRefusedError(ValueError):
    """A list with errors; nothing was changed."""

    def __init__(self, errors: Sequence[RowError]) -> None:
        super().__init__(f"{len(errors)} errors; nothing was changed")
        self.errors = tuple(errors)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportReport:
    """What an import changed, or with ``dry_run`` would change."""

    provider: str
    rows: int
    left_out: tuple[str, ...]
    """Rows that another catalogue's format has and this one cannot use, with the reason."""
    difference: Difference
    dry_run: bool
    version: int | None
    """The catalogue's new version; None where nothing changed."""


@dataclass(frozen=True, slots=True)
class PriceList:
    """Rows of one provider, and what was left out in reading them."""

    rows: Sequence[RawRow]
    left_out: tuple[str, ...] = ()


def read_price_list(content: bytes, file_format: FileFormat) -> PriceList:
    """Read a file. Raises ``FileError``."""
    left_out: tuple[str, ...] = ()
    if file_format is FileFormat.JSON:
        rows = read_json(content)
    else:
        rows = read_csv(content)
        if file_format is FileFormat.GPUHUNT:
            rows, left_out = gpuhunt_rows(rows)
    if not rows:
        raise FileError("holds no offers")
    if len(rows) > MAX_ROWS:
        raise FileError(f"holds {len(rows):,} rows; at most {MAX_ROWS:,} are taken at once")
    return PriceList(rows, left_out)


def import_offers(
    database: Database,
    price_list: PriceList,
    *,
    provider: str,
    mode: Mode,
    actor: str,
    today: date,
    observed_on: date | None = None,
    dry_run: bool = False,
) -> ImportReport:
    """Import one provider's rows. Raises :class:`ImportRefusedError` for bad rows, and SQLAlchemy's errors where the
    database is away; both change nothing.

    ``replace`` withdraws the provider's other offers, bundled samples among them; ``merge`` leaves them.
    """
    name = check_provider(provider)
    with database.reading() as session:
        name = repository.provider_name(session, slugify(name)) or name
        reader = RowReader(snapshot=_cards(session), provider=name, today=today, observed_on=observed_on)
        offers, errors = reader.read(price_list.rows)
        if errors:
            raise ImportRefusedError(errors)
        change = difference(repository.read_offers(session, provider=slugify(name)), offers, mode)
    version = None
    if not dry_run and not change.is_empty:
        with database.changing_catalogue() as session:
            # Compared anew under the lock: somebody may have imported meanwhile.
            change = difference(repository.read_offers(session, provider=slugify(name)), offers, mode)
            written = apply(session, change, actor=actor, action=f"offers.import.{mode}", subject=name)
            version = written.number if written else None
    return ImportReport(
        provider=name,
        rows=len(price_list.rows),
        left_out=price_list.left_out,
        difference=change,
        dry_run=dry_run,
        version=version,
    )


def edit_offer(
    database: Database, offer_id: str, changes: Mapping[str, Any], *, actor: str, today: date
) -> Difference | None:
    """Change fields of one server, named as in :data:`~app.catalogue.offer_files.COLUMNS`; None or an empty text clears
    one. Returns None for an unknown id. Raises :class:`ImportRefusedError` for bad values.
    """
    with database.changing_catalogue() as session:
        current = repository.read_offer(session, offer_id)
        if current is None:
            return None
        reader = RowReader(snapshot=_cards(session), provider=current.provider, today=today)
        wanted, errors = reader.revise(current, changes)
        if errors:
            raise ImportRefusedError(errors)
        change = difference([current], [wanted], Mode.MERGE)
        apply(session, change, actor=actor, action="offers.edit", subject=f"{current.provider} {offer_id}")
    return change


def withdraw_offer(database: Database, offer_id: str, *, actor: str) -> bool:
    """End the current price of one server; its history stays. False for an unknown id."""
    with database.changing_catalogue() as session:
        current = repository.read_offer(session, offer_id)
        if current is None:
            return False
        change = difference([current], [], Mode.REPLACE)
        apply(session, change, actor=actor, action="offers.withdraw", subject=f"{current.provider} {offer_id}")
    return True


def export_offers(offers: Sequence[Offer], file_format: FileFormat) -> str:
    """A price list that :func:`read_price_list` takes back unchanged."""
    return write_json(offers) if file_format is FileFormat.JSON else write_csv(offers)


def check_provider(name: str) -> str:
    """A provider's name, trimmed. Raises ``FileError`` where it cannot be one."""
    trimmed = " ".join(name.split())
    if not slugify(trimmed) or len(trimmed) > 80 or not trimmed.isprintable():
        raise FileError("the provider's name needs 1 to 80 letters or digits")
    return trimmed


def _cards(session: Session) -> Snapshot:
    return Snapshot(version="cards", models=(), gpus=repository.read_gpus(session), offers=())
