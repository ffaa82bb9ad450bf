"""Changing offers: compare what is wanted with what is current, then write only the difference, all or nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlmodel import Session

from app.catalogue import repository
from app.catalogue.facts import Offer
from app.catalogue.tables import AuditEntry, CatalogueVersion


class Mode(StrEnum):
    """What becomes of current offers that the new list does not name."""

    MERGE = "merge"
    REPLACE = "replace"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What a list of offers would change."""

    added: tuple[Offer, ...] = ()
    changed: tuple[tuple[Offer, Offer], ...] = ()
    """Before and after."""
    withdrawn: tuple[Offer, ...] = ()
    unchanged: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return not (self.added or self.changed or self.withdrawn)

    @property
    def summary(self) -> str:
        """Such as ``3 added, 1 changed, 0 withdrawn, 12 unchanged``."""
        counts = (len(self.added), len(self.changed), len(self.withdrawn))
        return "{} added, {} changed, {} withdrawn, {} unchanged".format(*counts, self.unchanged)


def difference(current: Iterable[Offer], wanted: Iterable[Offer], mode: Mode) -> Difference:
    """Compare two lists by offer id. ``merge`` withdraws nothing."""
    before: Mapping[str, Offer] = {offer.id: offer for offer in current}
    after: Mapping[str, Offer] = {offer.id: offer for offer in wanted}
    changed = tuple((before[name], offer) for name, offer in after.items() if name in before and before[name] != offer)
    return Difference(
        added=tuple(offer for name, offer in after.items() if name not in before),
        changed=changed,
        withdrawn=tuple(offer for name, offer in before.items() if name not in after) if mode is Mode.REPLACE else (),
        unchanged=sum(name in before for name in after) - len(changed),
    )


def apply(
    session: Session,
    change: Difference,
    *,
    actor: str,
    action: str,
    subject: str,
    version: CatalogueVersion | None = None,
) -> CatalogueVersion | None:
    """Write a difference as one new version of the catalogue (or as part of ``version``), with an audit entry.

    Returns None, having written nothing, where there is no difference. The caller holds the catalogue's lock.
    """
    if change.is_empty:
        return None
    version = version or repository.add_version(session, actor=actor, summary=f"{subject}: {change.summary}")
    outdated = [*change.withdrawn, *(before for before, _ in change.changed)]
    current = [*change.added, *(after for _, after in change.changed)]
    repository.ensure_providers(session, {offer.provider_slug: offer.provider for offer in current})
    repository.retire_offers(session, [offer.id for offer in outdated], version=version)
    repository.insert_offers(session, current, version=version)
    session.add(
        AuditEntry(
            at=version.created_at,
            actor=actor,
            action=action,
            subject=subject,
            detail=_detail(change),
            catalogue_version=version.number,
        )
    )
    session.flush()
    return version


_LISTED_IN_AUDIT = 20


def _detail(change: Difference) -> dict[str, Any]:
    return {
        "added": len(change.added),
        "changed": len(change.changed),
        "withdrawn": len(change.withdrawn),
        "unchanged": change.unchanged,
        "examples": [
            {
                "offer": after.id,
                "from": f"{before.amount:f} {before.currency}",
                "to": f"{after.amount:f} {after.currency}",
            }
            for before, after in change.changed[:_LISTED_IN_AUDIT]
        ],
    }
