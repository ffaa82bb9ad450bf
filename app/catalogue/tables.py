"""All SQL tables. Prices are dated rows: what a row says never changes, only the time at which it stopped being so."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Index,
    LargeBinary,
    Numeric,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlmodel import Field, SQLModel


class Money(TypeDecorator[Decimal]):
    """An exact decimal: NUMERIC on PostgreSQL, text on SQLite, which has no exact decimals."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Text where the database would make a float of it."""
        return dialect.type_descriptor(String(40) if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Write it."""
        return f"{value:f}" if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Read it."""
        return None if value is None else Decimal(value)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, always aware and in UTC, also on SQLite, which forgets time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Write it."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utc_now() -> datetime:
    """The present moment, aware."""
    return datetime.now(UTC)


class CatalogueVersion(SQLModel, table=True):
    """One row for every change of the catalogue; replicas look at the highest number."""

    __tablename__ = "catalogue_version"

    number: int | None = Field(default=None, primary_key=True)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    actor: str = Field(max_length=200)
    summary: str = Field(sa_type=Text)
    facts_changed: bool = False
    """Models, cards, aliases or rates, not only offers."""
    bundle: str | None = Field(default=None, max_length=80)
    """The bundled facts that this version loaded, if it did."""


class ModelRow(SQLModel, table=True):
    """An open-weight model; ``config`` is what its ``config.json`` says about its shape."""

    __tablename__ = "model"

    slug: str = Field(primary_key=True, max_length=120)
    hub_id: str = Field(max_length=200)
    hub_id_lower: str = Field(max_length=200, unique=True)
    name: str = Field(max_length=120)
    family: str = Field(max_length=60)
    released: str | None = Field(default=None, max_length=10)
    licence: str | None = Field(default=None, max_length=120)
    model_type: str = Field(max_length=60)
    total_parameters: int = Field(sa_type=BigInteger)
    active_parameters: int = Field(sa_type=BigInteger)
    text_parameters: int = Field(sa_type=BigInteger)
    verified: bool = False
    note: str | None = Field(default=None, sa_type=Text)
    sources: list[str] = Field(default_factory=list, sa_type=JSON)
    config: dict[str, Any] = Field(sa_type=JSON)
    is_bundled: bool = False


class ModelAlias(SQLModel, table=True):
    """A short form that people type, and what it is taken for."""

    __tablename__ = "model_alias"

    alias: str = Field(primary_key=True, max_length=200)
    model_slug: str = Field(foreign_key="model.slug", max_length=120, index=True)
    why: str = Field(max_length=200)
    is_bundled: bool = False


class GpuRow(SQLModel, table=True):
    """A card; ``facts`` is one row of the bundled file, see :mod:`app.catalogue.devices`."""

    __tablename__ = "gpu"

    slug: str = Field(primary_key=True, max_length=60)
    name: str = Field(max_length=120)
    vendor: str = Field(max_length=40)
    facts: dict[str, Any] = Field(sa_type=JSON)
    is_bundled: bool = False


class Provider(SQLModel, table=True):
    """Somebody who lets servers."""

    __tablename__ = "provider"

    slug: str = Field(primary_key=True, max_length=80)
    name: str = Field(max_length=120)
    website: str | None = Field(default=None, max_length=500)


class OfferRow(SQLModel, table=True):
    """What a server cost from ``recorded_at`` until ``retired_at`` (None: still does). Never overwritten."""

    __tablename__ = "offer"
    __table_args__ = (
        Index(
            "ix_offer_current",
            "public_id",
            unique=True,
            sqlite_where=text("retired_at IS NULL"),
            postgresql_where=text("retired_at IS NULL"),
        ),
        Index("ix_offer_history", "public_id", "recorded_version"),
        Index("ix_offer_recorded_version", "recorded_version"),
        Index("ix_offer_retired_version", "retired_version"),
        Index("ix_offer_provider", "provider_slug", "retired_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    public_id: str = Field(max_length=16)
    provider_slug: str = Field(foreign_key="provider.slug", max_length=80)
    gpu_slug: str = Field(foreign_key="gpu.slug", max_length=60)
    sku: str | None = Field(default=None, max_length=120)
    gpus_per_server: int
    amount: Decimal = Field(sa_type=Money)
    currency: str = Field(max_length=3)
    period: str = Field(max_length=10)
    commitment: str = Field(max_length=10)
    minimum_term: str | None = Field(default=None, max_length=20)
    tax_included: bool | None = None
    setup_fee: Decimal | None = Field(default=None, sa_type=Money)
    region: str | None = Field(default=None, max_length=120)
    in_stock: bool | None = None
    observed_on: date | None = None
    is_sample: bool = False
    source: str | None = Field(default=None, max_length=500)
    source_url: str | None = Field(default=None, max_length=1000)
    order_url: str | None = Field(default=None, max_length=1000)
    cpu: str | None = Field(default=None, max_length=120)
    cpu_count: int | None = None
    memory_gb: Decimal | None = Field(default=None, sa_type=Money)
    disk: str | None = Field(default=None, max_length=120)
    network: str | None = Field(default=None, max_length=120)
    software: str | None = Field(default=None, max_length=500)
    note: str | None = Field(default=None, sa_type=Text)
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    recorded_by: str = Field(max_length=200)
    recorded_version: int
    retired_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    retired_by: str | None = Field(default=None, max_length=200)
    retired_version: int | None = None


class CurrencyRate(SQLModel, table=True):
    """What one unit of ``base`` bought of ``currency`` on a day. The last row recorded of a currency counts."""

    __tablename__ = "currency_rate"

    id: int | None = Field(default=None, primary_key=True)
    base: str = Field(max_length=3)
    currency: str = Field(max_length=3)
    rate: Decimal = Field(sa_type=Money)
    observed_on: date
    source: str | None = Field(default=None, max_length=500)
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    recorded_by: str = Field(max_length=200)
    recorded_version: int


class StoredConfig(SQLModel, table=True):
    """A configuration that a visitor pasted, kept under its hash so that it has a permalink."""

    __tablename__ = "stored_config"

    hash: str = Field(primary_key=True, max_length=64)
    content: dict[str, Any] = Field(sa_type=JSON)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_used_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)


class HubRecord(SQLModel, table=True):
    """What the model hub answered for an id, with the revision and the day."""

    __tablename__ = "hub_record"

    hub_id_lower: str = Field(primary_key=True, max_length=200)
    hub_id: str = Field(max_length=200)
    outcome: str = Field(max_length=30)
    revision: str | None = Field(default=None, max_length=80)
    base_hub_id: str | None = Field(default=None, max_length=200)
    note: str | None = Field(default=None, sa_type=Text)
    content: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    fetched_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class ApiKey(SQLModel, table=True):
    """An operator's key: only its hash is kept."""

    __tablename__ = "api_key"

    id: str = Field(primary_key=True, max_length=16)
    """The key's public first part, by which it is found."""
    name: str = Field(max_length=120)
    secret_hash: str = Field(max_length=64)
    """SHA-256 of the whole key, which is 256 random bits, so that a slow hash would add nothing."""
    scopes: list[str] = Field(sa_type=JSON)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    created_by: str = Field(max_length=200)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class AdminSession(SQLModel, table=True):
    """Somebody signed in to the operator's pages with a key; the browser holds what ``token_hash`` is the hash of."""

    __tablename__ = "admin_session"

    token_hash: str = Field(primary_key=True, max_length=64)
    key_id: str = Field(foreign_key="api_key.id", max_length=16, index=True)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)


class PendingUpload(SQLModel, table=True):
    """A file whose difference was shown and not yet confirmed, so that any replica can apply it."""

    __tablename__ = "pending_upload"

    id: str = Field(primary_key=True, max_length=32)
    key_id: str = Field(foreign_key="api_key.id", max_length=16, index=True)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
    options: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    shown: str = Field(max_length=64)
    """Hash of the difference that was shown: another one is shown again before it is applied."""
    content: bytes = Field(sa_type=LargeBinary)
    """The file, compressed."""


class AuditEntry(SQLModel, table=True):
    """Who changed what, when."""

    __tablename__ = "audit_entry"

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
    actor: str = Field(max_length=200)
    action: str = Field(max_length=60)
    subject: str = Field(max_length=200)
    detail: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    catalogue_version: int | None = None


class OrderClick(SQLModel, table=True):
    """How often an order link was followed on a day; nothing about who did."""

    __tablename__ = "order_click"

    offer_public_id: str = Field(primary_key=True, max_length=16)
    day: date = Field(primary_key=True)
    clicks: int = 0


class AskedFor(SQLModel, table=True):
    """How often something was asked for on a day: a model, a method, a card, a search that found nothing."""

    __tablename__ = "asked_for"

    kind: str = Field(primary_key=True, max_length=20)
    value: str = Field(primary_key=True, max_length=120)
    day: date = Field(primary_key=True)
    times: int = 0
