"""What the catalogue knows, as frozen values: models, GPUs, offers, currency rates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from app.memory.architecture import Architecture
from app.memory.build import parse_config
from app.memory.device import Device

HOURS_PER_MONTH: Final = 730
"""365 × 24 / 12: the month that AWS, Google Cloud and Azure price calculators use."""

_HOURLY_PLACES: Final = Decimal("0.0001")


class Period(StrEnum):
    """What one price pays for."""

    HOUR = "hour"
    MONTH = "month"


class Commitment(StrEnum):
    """How firmly a server is let."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"
    RESERVED = "reserved"


@dataclass(frozen=True, kw_only=True)
class CatalogueModel:
    """An open-weight model. Parameter counts here were published or counted elsewhere and only describe it:
    estimates count from ``architecture``."""

    slug: str
    hub_id: str
    name: str
    family: str
    released: str | None
    """Year, or year and month."""
    licence: str | None
    model_type: str
    total_parameters: int
    active_parameters: int
    text_parameters: int
    """Of the language model alone, where it is part of a larger one."""
    verified: bool
    """True where the total was counted on the model as its library builds it."""
    note: str | None
    sources: tuple[str, ...]
    config: Mapping[str, Any] = field(hash=False, repr=False)

    @cached_property
    def architecture(self) -> Architecture:
        """The shape that estimates are computed from, read once. Raises ``ConfigError``."""
        return parse_config(self.config)

    @property
    def year(self) -> int | None:
        """Of its release."""
        return int(self.released[:4]) if self.released else None


@dataclass(frozen=True, kw_only=True)
class CatalogueGpu:
    """A card, and the :class:`Device` that a training process sees of it."""

    device: Device
    aliases: tuple[str, ...]
    release_year: int | None
    memory_gb: Decimal
    """The sales label of the whole board (binary: 24 means 24 × 2³⁰ bytes)."""
    memory_type: str
    devices_per_board: int
    """2 where the system sees two devices, each with half the memory."""
    memory_source: str
    """Where ``device.memory_bytes`` comes from."""
    usable_source: str
    """Where ``device.usable_bytes`` comes from."""
    error_correction: str
    fp8_tflops: float | None
    int8_tops: float | None
    rates_source: str
    tdp_watts: int | None
    sources: tuple[str, ...]
    note: str | None

    @property
    def slug(self) -> str:
        """The fixed name in addresses and requests."""
        return self.device.slug

    @property
    def name(self) -> str:
        """As people know it."""
        return self.device.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A price somebody stated for a whole server of ``gpus_per_server`` cards."""

    id: str
    """The same for the same server through all its prices."""
    provider: str
    provider_slug: str
    gpu: str
    gpus_per_server: int
    amount: Decimal
    currency: str
    period: Period
    commitment: Commitment = Commitment.ON_DEMAND
    minimum_term: str | None = None
    """Such as ``1 month`` or ``24 hours``."""
    tax_included: bool | None = None
    setup_fee: Decimal | None = None
    region: str | None = None
    in_stock: bool | None = None
    observed_on: date | None = None
    """When the price was seen; None where its source has no date."""
    is_sample: bool = False
    source: str | None = None
    source_url: str | None = None
    order_url: str | None = None
    """May hold ``{gpu}``, ``{ref}`` and ``{utm}``; see :meth:`order_link`."""
    cpu: str | None = None
    cpu_count: int | None = None
    memory_gb: Decimal | None = None
    disk: str | None = None
    network: str | None = None
    software: str | None = None
    sku: str | None = None
    note: str | None = None

    @property
    def hourly_amount(self) -> Decimal:
        """Price of the whole server an hour, in ``currency``; a month has 730 hours."""
        if self.period is Period.HOUR:
            return self.amount
        return (self.amount / HOURS_PER_MONTH).quantize(_HOURLY_PLACES, ROUND_HALF_UP)

    @property
    def hourly_amount_per_gpu(self) -> Decimal:
        """Price of one card an hour, unrounded, for comparing servers of different sizes."""
        hours = HOURS_PER_MONTH if self.period is Period.MONTH else 1
        return self.amount / (hours * self.gpus_per_server)

    @property
    def minimum_hours(self) -> int:
        """The shortest time that can be rented, in hours: the minimum term, at least one price period."""
        period_hours = HOURS_PER_MONTH if self.period is Period.MONTH else 1
        return max(period_hours, term_hours(self.minimum_term) if self.minimum_term else 0)

    def order_link(self, *, ref: str = "", utm: str = "") -> str | None:
        """The order page's address with its placeholders filled in, or None where no address is known.

        ``utm`` is a finished, already encoded query fragment such as ``utm_source=blog``. A part of the query that
        waits for a campaign is left out where there is none.
        """
        if self.order_url is None:
            return None
        parts = urlsplit(self.order_url)
        without = [name for name, value in (("{ref}", ref), ("{utm}", utm)) if not value]
        kept = [part for part in parts.query.split("&") if not any(name in part for name in without)]
        link = urlunsplit(parts._replace(query="&".join(kept))) if without and parts.query else self.order_url
        link = link.replace("{gpu}", quote(self.gpu, safe="")).replace("{ref}", quote(ref, safe=""))
        return link.replace("{utm}", quote(utm, safe="=&%"))


_TERM_HOURS: Final = {"hour": 1, "day": 24, "week": 168, "month": HOURS_PER_MONTH, "year": 12 * HOURS_PER_MONTH}


def term_hours(term: str) -> int:
    """Hours in a term such as ``3 months``. Raises ``ValueError`` where it cannot be read."""
    count, _, unit = term.strip().lower().partition(" ")
    hours = _TERM_HOURS.get(unit.strip().removesuffix("s"))
    if hours is None or not count.isdecimal() or not 1 <= int(count) <= 1_000:
        raise ValueError("write a number and hours, days, weeks, months or years, such as 3 months")
    return int(count) * hours


@dataclass(frozen=True, slots=True)
class Rates:
    """Currency rates: what one unit of ``base`` buys of each other currency, on ``observed_on``."""

    base: str | None = None
    per_base: Mapping[str, Decimal] = field(default_factory=dict, hash=False)
    observed_on: date | None = None
    source: str | None = None

    def convert(self, amount: Decimal, *, source: str, target: str) -> Decimal | None:
        """``amount`` of one currency in another, unrounded; None where no rate is known."""
        if source == target:
            return amount
        source_rate, target_rate = self._rate(source), self._rate(target)
        return amount / source_rate * target_rate if source_rate and target_rate else None

    @property
    def currencies(self) -> frozenset[str]:
        """Those that can be converted into each other at rates of a known day."""
        return frozenset({self.base, *self.per_base}) if self.base and self.observed_on else frozenset()

    def comparable_with(self, target: str) -> frozenset[str]:
        """``target``, and every currency that has a dated rate to it."""
        known = self.currencies
        return known if target in known else frozenset({target})

    def _rate(self, currency: str) -> Decimal | None:
        return Decimal(1) if currency == self.base else self.per_base.get(currency)
