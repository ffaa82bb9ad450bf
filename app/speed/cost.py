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
    """What is paid for a job, set-up fee included, in the tariff's currency; the interval is the job's time's."""

    amount: Decimal
    amount_low: Decimal
    amount_high: Decimal
    periods: Decimal
    """Hours or months paid for on each server."""
    runs_in_periods: int
    """How many such jobs the paid time holds, at least 1."""
    tariff: "Tariff"


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Tariff:
    """A price for all the servers of a run: what any time on them costs, in ``currency``."""

    currency: str
    servers: int
    period: str
    """``hour`` or ``month``."""
    period_seconds: int
    period_amount: Decimal
    """One hour or month of all the servers."""
    setup_amount: Decimal
    """Their set-up fee."""
    exact_period_amount: Decimal
    exact_setup_amount: Decimal
    minimum_seconds: int
    coin: Decimal
    """The currency's smallest."""
    notes: tuple[str, ...]

    def paid_seconds(self, job_seconds: float) -> int:
        """Seconds to pay on each server: started ones by the hour, whole months by the month, the minimum term at
        least."""
        seconds = max(ceil(job_seconds), self.minimum_seconds)
        if self.period == "month":
            return max(1, -(-seconds // self.period_seconds)) * self.period_seconds
        return seconds

    def paid(self, job_seconds: float) -> Decimal:
        """What a job of so many seconds costs."""
        # Multiplied first: the division of a time by an hour need not end, and half a coin would be lost.
        exact = self.exact_period_amount * self.paid_seconds(job_seconds) / self.period_seconds
        return (exact + self.exact_setup_amount).quantize(self.coin, ROUND_HALF_UP)

    def cost(self, seconds: JobSeconds) -> Cost:
        """The cost of a job with all that is said about it."""
        paid_seconds = self.paid_seconds(seconds.expected)
        return Cost(
            amount=self.paid(seconds.expected),
            amount_low=self.paid(seconds.low),
            amount_high=self.paid(seconds.high),
            periods=Decimal(paid_seconds) / self.period_seconds,
            runs_in_periods=max(1, paid_seconds // max(1, ceil(seconds.expected))),
            tariff=self,
        )


def tariff_of(price: ServerPrice, num_gpus: int, conversion: Conversion | None = None) -> Tariff:
    """A price for as many servers as ``num_gpus`` cards need.

    In the price's own currency unless a conversion is given. Tax is neither added nor taken off.
    """
    servers = servers_needed(num_gpus, price.gpus_per_server)
    converted = conversion or Conversion(currency=price.currency)
    coin = smallest_coin(converted.currency)
    period_amount = price.amount * servers * converted.factor
    setup_amount = (price.setup_fee or Decimal(0)) * servers * converted.factor
    return Tariff(
        currency=converted.currency,
        servers=servers,
        period=str(price.period),
        period_seconds=SECONDS_PER_HOUR * (HOURS_PER_MONTH if price.period == "month" else 1),
        period_amount=period_amount.quantize(coin, ROUND_HALF_UP),
        setup_amount=setup_amount.quantize(coin, ROUND_HALF_UP),
        exact_period_amount=period_amount,
        exact_setup_amount=setup_amount,
        minimum_seconds=price.minimum_hours * SECONDS_PER_HOUR if price.minimum_term else 0,
        coin=coin,
        notes=(*converted.notes, *_price_notes(price, servers, num_gpus)),
    )


def run_cost(seconds: JobSeconds, price: ServerPrice, num_gpus: int, conversion: Conversion | None = None) -> Cost:
    """The cost of one job at a price; see :func:`tariff_of`."""
    return tariff_of(price, num_gpus, conversion).cost(seconds)


def paid_amount(job_seconds: float, price: ServerPrice, num_gpus: int, conversion: Conversion | None = None) -> Decimal:
    """The ``amount`` of :func:`run_cost` alone."""
    return tariff_of(price, num_gpus, conversion).paid(job_seconds)


def smallest_coin(currency: str) -> Decimal:
    """One minor unit of a currency."""
    return Decimal(1).scaleb(-MINOR_DIGITS.get(currency, 2))


def to_minor_unit(amount: Decimal, currency: str) -> Decimal:
    """``amount`` rounded half up to the currency's smallest coin."""
    return amount.quantize(smallest_coin(currency), ROUND_HALF_UP)


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
