"""What there is to look back on: versions of the catalogue, the audit trail, and what was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, TypeVar

from sqlmodel import Session, col, func, select

from app.catalogue.database import Database
from app.catalogue.tables import AskedFor, AuditEntry, CatalogueVersion, OrderClick

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionRecord:
    """One change of the catalogue."""

    number: int
    at: datetime
    actor: str
    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRecord:
    """Who changed what, when."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    catalogue_version: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedCount:
    """How often something was asked for."""

    kind: str
    value: str
    times: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed(Generic[Item]):
    """Part of a list, and how long all of it is."""

    items: tuple[Item, ...]
    total: int


def versions(database: Database, *, limit: int, offset: int) -> Listed[VersionRecord]:
    """Changes of the catalogue, newest first."""
    with database.reading() as session:
        query = select(CatalogueVersion).order_by(col(CatalogueVersion.number).desc()).limit(limit).offset(offset)
        items = tuple(
            VersionRecord(number=row.number or 0, at=row.created_at, actor=row.actor, summary=row.summary)
            for row in session.exec(query)
        )
        return Listed(items=items, total=_count(session, CatalogueVersion))


def audit(database: Database, *, limit: int, offset: int) -> Listed[AuditRecord]:
    """The audit trail, newest first."""
    with database.reading() as session:
        query = select(AuditEntry).order_by(col(AuditEntry.id).desc()).limit(limit).offset(offset)
        items = tuple(
            AuditRecord(
                id=row.id or 0,
                at=row.at,
                actor=row.actor,
                action=row.action,
                subject=row.subject,
                detail=row.detail,
                catalogue_version=row.catalogue_version,
            )
            for row in session.exec(query)
        )
        return Listed(items=items, total=_count(session, AuditEntry))


def asked_for(database: Database, *, since: date, limit_of_each: int) -> Sequence[AskedCount]:
    """What was asked for most since a day, of each kind."""
    times = func.sum(AskedFor.times)
    found: list[AskedCount] = []
    with database.reading() as session:
        kinds = session.exec(select(AskedFor.kind).where(AskedFor.day >= since).distinct().order_by(AskedFor.kind))
        for kind in kinds.all():
            query = (
                select(AskedFor.value, times)
                .where(AskedFor.kind == kind, AskedFor.day >= since)
                .group_by(AskedFor.value)
                .order_by(times.desc(), AskedFor.value)
                .limit(limit_of_each)
            )
            found += [AskedCount(kind=kind, value=value, times=int(count)) for value, count in session.exec(query)]
    return found


def order_clicks(database: Database, *, since: date, limit: int) -> Sequence[tuple[str, int]]:
    """The offers (public ids) whose order links were followed most since a day."""
    clicks = func.sum(OrderClick.clicks)
    query = (
        select(OrderClick.offer_public_id, clicks)
        .where(OrderClick.day >= since)
        .group_by(OrderClick.offer_public_id)
        .order_by(clicks.desc(), OrderClick.offer_public_id)
        .limit(limit)
    )
    with database.reading() as session:
        return [(offer, int(count)) for offer, count in session.exec(query)]


def _count(session: Session, table: type[Any]) -> int:
    return session.exec(select(func.count()).select_from(table)).one()
