"""What a job costs with a server's price, exact in ``Decimal``.

An hourly server is paid for the time the job takes, to the second, and for its minimum term at least. A monthly server
is paid for whole months. Money is rounded once, to the currency's minor unit, half up.
"""

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from math import ceil
from typing import Final, Protocol

from app.messages import mark, message

HOURS_PER_MONTH: Final = 730
"""365 × 24 / 12, as the cloud providers' price calculators count."""
SECONDS_PER_HOUR: Final = 3600

MINOR_DIGITS: Final = {"JPY": 0, "KRW": 0, "CLP": 0, "ISK": 0, "VND": 0, "BHD": 3, "KWD": 3, "OMR": 3, "TND": 3}
"""Decimal places of currencies that do not have two (ISO 4217)."""
RATE_DIGITS: Final = 4
"""Of a rate in words."""


class ServerPrice(Protocol):
    """What is read of an offer; ``period`` is ``hour`` or ``month``, and the amount is the whole server's."""

    @property
    def amount(self) -> Decimal: ...
    @property
    def currency(self) -> str: ...
    @property
    def period(self) -> str: ...
    @property
    def gpus_per_server(self) -> int: ...
    @property
    def minimum_term(self) -> str | None: ...
    @property
    def minimum_hours(self) -> int: ...
    @property
    def setup_fee(self) -> Decimal | None: ...
    @property
    def tax_included(self) -> bool | None: ...


class CurrencyRates(Protocol):
    """The operator's dated rates; ``convert`` answers None where it has none."""

    @property
    def observed_on(self) -> date | None: ...
    def convert(self, amount: Decimal, *, source: str, target: str) -> Decimal | None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What is paid for a job, set-up fee included; the interval is the job's time's."""

    amount: Decimal
    amount_low: Decimal
    amount_high: Decimal
    currency: str
    servers: int
    period: str
    """``hour`` or ``month``."""
    periods: Decimal
    """Periods paid for on each server."""
    period_amount: Decimal
    """One period of all the servers, in ``currency``."""
    runs_in_periods: int
    """How many such jobs the paid time holds, at least 1."""
    setup_amount: Decimal
    """The set-up fee in ``amount``."""
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSeconds:
    """A job's time and its interval."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """How amounts in a price's currency are shown in ``currency``."""

    currency: str
    factor: Decimal = Decimal(1)
    """Units of ``currency`` for one of the price's."""
    observed_on: date | None = None
    """The rate's day; None where nothing is converted."""
    notes: tuple[str, ...] = ()


def conversion_of(source: str, target: str, rates: CurrencyRates) -> Conversion:
    """From one currency to another at the operator's dated rate; without one nothing is converted, and a note says
    so."""
    if target == source:
        return Conversion(currency=source)
    factor, day = rates.convert(Decimal(1), source=source, target=target), rates.observed_on
    if factor is None or day is None:
        note = message(
            "No rate from {source} to {target} is set, so the cost stays in {source}.", source=source, target=target
        )
        return Conversion(currency=source, notes=(note,))
    note = message(
        "Converted at 1 {source} = {rate} {target}, the operator's rate of {day}.",
        source=source,
        rate=shown_rate(factor),
        target=target,
        day=day,
    )
    return Conversion(currency=target, factor=factor, observed_on=day, notes=(note,))


def shown_rate(factor: Decimal) -> Decimal:
    """A rate as texts show it: four decimals, or four digits where that is more."""
    return factor.quantize(Decimal(1).scaleb(min(-RATE_DIGITS, factor.adjusted() + 1 - RATE_DIGITS)))


def servers_needed(num_gpus: int, gpus_per_server: int) -> int:
    """Whole servers that so many cards take."""
    return -(-num_gpus // gpus_per_server)


def run_cost(seconds: JobSeconds, price: ServerPrice, num_gpus: int, conversion: Conversion | None = None) -> Cost:
    """The cost of a job on as many servers as ``num_gpus`` cards need.

    In the price's own currency unless a conversion is given. Tax is neither added nor taken off.
    """
    servers = servers_needed(num_gpus, price.gpus_per_server)
    converted = conversion or Conversion(currency=price.currency)
    target, factor = converted.currency, converted.factor
    periods = _periods(seconds.expected, price)
    setup = (price.setup_fee or Decimal(0)) * servers * factor
    paid_seconds = periods * _period_seconds(price)
    return Cost(
        amount=_paid(seconds.expected, price, servers, factor, target),
        amount_low=_paid(seconds.low, price, servers, factor, target),
        amount_high=_paid(seconds.high, price, servers, factor, target),
        currency=target,
        servers=servers,
        period=str(price.period),
        periods=periods,
        period_amount=to_minor_unit(price.amount * servers * factor, target),
        runs_in_periods=max(1, int(paid_seconds // max(1, ceil(seconds.expected)))),
        setup_amount=to_minor_unit(setup, target),
        notes=(*converted.notes, *_price_notes(price, servers, num_gpus)),
    )


def paid_amount(job_seconds: float, price: ServerPrice, num_gpus: int, conversion: Conversion | None = None) -> Decimal:
    """The ``amount`` of :func:`run_cost` alone: to find the cheapest of several."""
    converted = conversion or Conversion(currency=price.currency)
    servers = servers_needed(num_gpus, price.gpus_per_server)
    return _paid(job_seconds, price, servers, converted.factor, converted.currency)


def _paid(job_seconds: float, price: ServerPrice, servers: int, factor: Decimal, currency: str) -> Decimal:
    setup = price.setup_fee or Decimal(0)
    return to_minor_unit((price.amount * _periods(job_seconds, price) + setup) * servers * factor, currency)


def to_minor_unit(amount: Decimal, currency: str) -> Decimal:
    """``amount`` rounded half up to the currency's smallest coin."""
    return amount.quantize(Decimal(1).scaleb(-MINOR_DIGITS.get(currency, 2)), ROUND_HALF_UP)


def _period_seconds(price: ServerPrice) -> int:
    return SECONDS_PER_HOUR * (HOURS_PER_MONTH if price.period == "month" else 1)


def _periods(job_seconds: float, price: ServerPrice) -> Decimal:
    """Periods to pay on one server: started seconds by the hour, started months by the month, the minimum term at
    least."""
    period = Decimal(_period_seconds(price))
    exact = Decimal(ceil(job_seconds)) / period
    minimum = Decimal(price.minimum_hours * SECONDS_PER_HOUR) / period if price.minimum_term else Decimal(0)
    if price.period == "month":
        return Decimal(max(1, ceil(exact), ceil(minimum)))
    return max(exact, minimum)


def _price_notes(price: ServerPrice, servers: int, num_gpus: int) -> tuple[str, ...]:
    notes: list[str] = []
    if servers > 1:
        notes.append(message("{servers} servers of {cards} cards.", servers=servers, cards=price.gpus_per_server))
    elif price.gpus_per_server > num_gpus:
        notes.append(
            message(
                "The server has {cards} cards and is paid for whole; the run uses {used}.",
                cards=price.gpus_per_server,
                used=num_gpus,
            )
        )
    if price.period == "month":
        notes.append(mark("Paid by whole months."))
    if price.minimum_term:
        notes.append(message("The minimum term of {term} is counted.", term=price.minimum_term))
    if price.setup_fee:
        notes.append(mark("The set-up fee is included."))
    tax = {True: mark("Tax is included."), False: mark("Tax is not included.")}
    unstated = mark("Whether tax is included is not stated.")
    notes.append(unstated if price.tax_included is None else tax[price.tax_included])
    return tuple(notes)
