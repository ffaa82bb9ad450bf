"""What the operator's API answers with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from app.admin.keys import KeyInfo, NewKey, Scope
from app.catalogue.facts import Offer, Period
from app.catalogue.importing import ImportReport
from app.catalogue.offer_files import COLUMNS
from app.catalogue.rates import RatesReport
from app.catalogue.repository import PriceRecord

MOST_CHANGES: Final = 500
"""Changes listed one by one; their number is always told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """For the whole server."""

    amount: Decimal
    currency: str
    period: Period


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One server whose offer is added (``before`` is null), changed, or withdrawn (``after`` is null)."""

    offer: str
    gpu: str
    gpus_per_server: int
    region: str | None
    before: Price | None
    after: Price | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OffersChanged:
    """What an import changed, or with ``dry_run`` would change. ``version`` is null where nothing changed."""

    provider: str
    dry_run: bool
    version: int | None
    rows: int
    added: int
    changed: int
    withdrawn: int
    unchanged: int
    left_out: tuple[str, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RateChange:
    """What one unit of the base buys; ``before`` is null where no rate was known."""

    currency: str
    before: Decimal | None
    after: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class RatesChanged:
    """What an import of rates changed, or with ``dry_run`` would change."""

    base: str
    dry_run: bool
    version: int | None
    changes: tuple[RateChange, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferState:
    """An offer as it is now: its id, and the columns of a price list that have a value."""

    id: str
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class PastPrice:
    """One price of a server: who recorded it when, and who ended it when (null: it is current)."""

    price: Price
    values: Mapping[str, Any]
    recorded_at: datetime
    recorded_by: str
    version: int
    retired_at: datetime | None
    retired_by: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyMade:
    """A new key. ``key`` is told now and never again."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """All keys, without what makes them keys."""

    items: tuple[KeyInfo, ...]


def offers_changed(report: ImportReport) -> OffersChanged:
    """From what the import says."""
    change = report.difference
    pairs: list[tuple[Offer | None, Offer | None]] = [
        *((None, offer) for offer in change.added),
        *change.changed,
        *((offer, None) for offer in change.withdrawn),
    ]
    return OffersChanged(
        provider=report.provider,
        dry_run=report.dry_run,
        version=report.version,
        rows=report.rows,
        added=len(change.added),
        changed=len(change.changed),
        withdrawn=len(change.withdrawn),
        unchanged=change.unchanged,
        left_out=report.left_out,
        changes=tuple(_change(before, after) for before, after in pairs[:MOST_CHANGES]),
    )


def rates_changed(report: RatesReport) -> RatesChanged:
    """From what the import says."""
    return RatesChanged(
        base=report.rates.base or "",
        dry_run=report.dry_run,
        version=report.version,
        changes=tuple(
            RateChange(currency=currency, before=before, after=after)
            for currency, (before, after) in report.changed.items()
        ),
    )


def offer_state(offer: Offer) -> OfferState:
    """An offer in the words of a price list."""
    return OfferState(id=offer.id, values=offer_values(offer))


def offer_values(offer: Offer) -> dict[str, Any]:
    """The columns of a price list that have a value."""
    return {name: value for name in COLUMNS if (value := getattr(offer, name)) is not None}


def past_price(record: PriceRecord) -> PastPrice:
    """One row of a server's history."""
    return PastPrice(
        price=price(record.offer),
        values=offer_values(record.offer),
        recorded_at=record.recorded_at,
        recorded_by=record.recorded_by,
        version=record.recorded_version,
        retired_at=record.retired_at,
        retired_by=record.retired_by,
    )


def key_made(made: NewKey) -> KeyMade:
    """A new key with its text."""
    return KeyMade(id=made.info.id, name=made.info.name, scopes=made.info.scopes, key=made.text)


def price(offer: Offer) -> Price:
    """What an offer costs."""
    return Price(amount=offer.amount, currency=offer.currency, period=offer.period)


def _change(before: Offer | None, after: Offer | None) -> Change:
    known = after or before
    assert known is not None
    return Change(
        offer=known.id,
        gpu=known.gpu,
        gpus_per_server=known.gpus_per_server,
        region=known.region,
        before=price(before) if before else None,
        after=price(after) if after else None,
    )
