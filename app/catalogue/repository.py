"""All SQL of the catalogue: versions, facts, offers, rates. Callers own the transaction; nothing here commits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, bindparam, delete, func, insert, select, update
from sqlmodel import Session

from app.catalogue.bundled import model_from_record
from app.catalogue.devices import gpu_from_record
from app.catalogue.facts import CatalogueGpu, CatalogueModel, Commitment, Offer, Period, Rates
from app.catalogue.tables import (
    CatalogueVersion,
    CurrencyRate,
    GpuRow,
    ModelAlias,
    ModelRow,
    OfferRow,
    Provider,
    utc_now,
)

_RENAMED: Final = {"id": "public_id", "gpu": "gpu_slug"}
_OFFER_FIELDS: Final = tuple(field.name for field in fields(Offer) if field.name != "provider")
_OFFERS: Final = OfferRow.__table__  # type: ignore[attr-defined]
_PROVIDERS: Final = Provider.__table__  # type: ignore[attr-defined]


# Versions


def latest_version(session: Session) -> int:
    """The number of the last change, 0 for an empty catalogue. One indexed lookup."""
    return session.execute(select(func.max(CatalogueVersion.number))).scalar() or 0


def facts_changed_since(session: Session, number: int) -> bool:
    """Whether models, cards, aliases or rates changed after version ``number``."""
    changed = select(func.count()).where(CatalogueVersion.number > number, CatalogueVersion.facts_changed)  # type: ignore[operator, arg-type]
    return bool(session.execute(changed).scalar())


def loaded_bundle(session: Session) -> str | None:
    """Which bundled facts were loaded last."""
    newest = select(CatalogueVersion.bundle).where(CatalogueVersion.bundle.is_not(None))  # type: ignore[union-attr, call-overload]
    return session.execute(newest.order_by(CatalogueVersion.number.desc()).limit(1)).scalar()  # type: ignore[union-attr]


def add_version(
    session: Session, *, actor: str, summary: str, facts_changed: bool = False, bundle: str | None = None
) -> CatalogueVersion:
    """Record a change; its number says what belongs to it."""
    version = CatalogueVersion(actor=actor, summary=summary, facts_changed=facts_changed, bundle=bundle)
    session.add(version)
    session.flush()
    return version


# Models and cards


def read_models(session: Session) -> list[CatalogueModel]:
    """All models."""
    return [model_from_record(row.model_dump()) for row in session.execute(select(ModelRow)).scalars()]


def read_gpus(session: Session) -> list[CatalogueGpu]:
    """All cards."""
    return [gpu_from_record(row.facts) for row in session.execute(select(GpuRow)).scalars()]


def read_aliases(session: Session) -> dict[str, str]:
    """Short forms and the slugs they stand for."""
    return {row.alias: row.model_slug for row in session.execute(select(ModelAlias)).scalars()}


def write_bundled_facts(
    session: Session,
    *,
    models: Iterable[Mapping[str, Any]],
    gpus: Iterable[Mapping[str, Any]],
    aliases: Iterable[Mapping[str, Any]],
) -> None:
    """Add or refresh the bundled models, cards and aliases. Slugs never go away; the operator's own rows stay."""
    for record in models:
        session.merge(ModelRow(**record, hub_id_lower=record["hub_id"].lower(), is_bundled=True))
    for record in gpus:
        session.merge(
            GpuRow(
                slug=record["slug"], name=record["name"], vendor=record["vendor"], facts=dict(record), is_bundled=True
            )
        )
    session.flush()
    session.execute(delete(ModelAlias).where(ModelAlias.is_bundled))  # type: ignore[arg-type]
    own = set(read_aliases(session))
    session.add_all(
        ModelAlias(alias=row["alias"], model_slug=row["slug"], why=row["why"], is_bundled=True)
        for row in aliases
        if row["alias"] not in own
    )
    session.flush()


# Providers and offers


def ensure_providers(session: Session, names: Mapping[str, str]) -> None:
    """Add the providers (slug to name) that are not known yet."""
    known = set(session.execute(select(_PROVIDERS.c.slug)).scalars())
    session.add_all(Provider(slug=slug, name=name) for slug, name in names.items() if slug not in known)
    session.flush()


def provider_name(session: Session, slug: str) -> str | None:
    """The name under which a provider is known already."""
    return session.execute(select(_PROVIDERS.c.name).where(_PROVIDERS.c.slug == slug)).scalar()


def read_offers(
    session: Session, *, provider: str | None = None, samples: bool | None = None, since_version: int | None = None
) -> list[Offer]:
    """Current offers: all, of one provider (slug), only (or no) samples, or only those newer than a version."""
    query = _offers_with_provider().where(_OFFERS.c.retired_at.is_(None))
    if provider is not None:
        query = query.where(_OFFERS.c.provider_slug == provider)
    if samples is not None:
        query = query.where(_OFFERS.c.is_sample.is_(samples))
    if since_version is not None:
        query = query.where(_OFFERS.c.recorded_version > since_version)
    return [_offer(row) for row in session.execute(query)]


def read_offer(session: Session, public_id: str) -> Offer | None:
    """The current price of one server."""
    query = _offers_with_provider().where(_OFFERS.c.public_id == public_id, _OFFERS.c.retired_at.is_(None))
    row = session.execute(query).one_or_none()
    return _offer(row) if row else None


def providers_with_own_offers(session: Session) -> set[str]:
    """Slugs of the providers that have current offers which are no samples."""
    query = select(_OFFERS.c.provider_slug).where(_OFFERS.c.retired_at.is_(None), _OFFERS.c.is_sample.is_(False))
    return set(session.execute(query.distinct()).scalars())


def retired_offer_ids(session: Session, *, since_version: int) -> set[str]:
    """Public ids of the offers that had a price retired after a version; some of them have a newer one."""
    query = select(_OFFERS.c.public_id).where(_OFFERS.c.retired_version > since_version)
    return set(session.execute(query).scalars())


def insert_offers(session: Session, offers: Sequence[Offer], *, version: CatalogueVersion) -> None:
    """Record prices as of ``version``. Raises ``IntegrityError`` where one of the servers still has a current price."""
    if offers:
        session.execute(insert(_OFFERS), [_offer_columns(offer, version) for offer in offers])


def retire_offers(session: Session, ids: Sequence[str], *, version: CatalogueVersion) -> None:
    """End the current prices of these servers (public ids) as of ``version``."""
    # One by one through the unique index: planners without fresh statistics scan the whole table for long lists of ids.
    retire = (
        update(_OFFERS)
        .where(_OFFERS.c.public_id == bindparam("retired_public_id"), _OFFERS.c.retired_at.is_(None))
        .values(retired_at=version.created_at, retired_by=version.actor, retired_version=version.number)
    )
    if ids:
        session.connection().execute(retire, [{"retired_public_id": public_id} for public_id in ids])


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceRecord:
    """One price in a server's history: who recorded it when, and who ended it when (None: it is current)."""

    offer: Offer
    recorded_at: datetime
    recorded_by: str
    recorded_version: int
    retired_at: datetime | None
    retired_by: str | None


def offer_history(session: Session, public_id: str) -> list[PriceRecord]:
    """All prices of one server, newest first; empty where there is no such server."""
    query = _offers_with_provider().where(_OFFERS.c.public_id == public_id).order_by(_OFFERS.c.id.desc())
    return [
        PriceRecord(
            offer=_offer(row),
            recorded_at=row.recorded_at,
            recorded_by=row.recorded_by,
            recorded_version=row.recorded_version,
            retired_at=row.retired_at,
            retired_by=row.retired_by,
        )
        for row in session.execute(query)
    ]


def _offers_with_provider() -> Select[Any]:
    return select(_OFFERS, _PROVIDERS.c.name.label("provider")).join(
        _PROVIDERS, _PROVIDERS.c.slug == _OFFERS.c.provider_slug
    )


def _offer(row: Row[Any]) -> Offer:
    values = row._mapping
    known = {name: values[_RENAMED.get(name, name)] for name in _OFFER_FIELDS}
    known["period"], known["commitment"] = Period(known["period"]), Commitment(known["commitment"])
    return Offer(provider=values["provider"], **known)


def _offer_columns(offer: Offer, version: CatalogueVersion) -> dict[str, Any]:
    columns = {_RENAMED.get(name, name): getattr(offer, name) for name in _OFFER_FIELDS}
    columns |= {"period": offer.period.value, "commitment": offer.commitment.value}
    return columns | {
        "recorded_at": version.created_at,
        "recorded_by": version.actor,
        "recorded_version": version.number,
    }


# Currency rates


def read_rates(session: Session) -> Rates:
    """The newest rate of each currency against the base recorded last."""
    newest = session.execute(select(CurrencyRate).order_by(CurrencyRate.id.desc()).limit(1)).scalar()  # type: ignore[union-attr]
    if newest is None:
        return Rates()
    rows = session.execute(select(CurrencyRate).where(CurrencyRate.base == newest.base).order_by(CurrencyRate.id))  # type: ignore[arg-type]
    by_currency = {row.currency: row for row in rows.scalars()}
    return Rates(
        base=newest.base,
        per_base={currency: row.rate for currency, row in by_currency.items()},
        observed_on=min(row.observed_on for row in by_currency.values()),
        source=newest.source,
    )


def insert_rates(session: Session, rates: Rates, *, version: CatalogueVersion) -> None:
    """Record rates as of ``version``; earlier ones stay. Raises ``ValueError`` for rates without a base and date."""
    if rates.base is None or rates.observed_on is None:
        raise ValueError("rates need a base currency and a date")
    session.add_all(
        CurrencyRate(
            base=rates.base,
            currency=currency,
            rate=rate,
            observed_on=rates.observed_on,
            source=rates.source,
            recorded_at=utc_now(),
            recorded_by=version.actor,
            recorded_version=version.number or 0,
        )
        for currency, rate in sorted(rates.per_base.items())
    )
    session.flush()
