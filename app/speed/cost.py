"""What a job costs with a server's price, exact in ``Decimal``.

An hourly server is paid for the time the job takes, to the second, and for its minimum term at least. A monthly server
is paid for whole months. Money is rounded once, to the currency's minor unit, half up.
"""

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from math import ceil
from typing import Final, Protocol

HOURS_PER_MONTH: Final = 730
"""365 × 24 / 12, as the cloud providers' price calculators count."""
SECONDS_PER_HOUR: Final = 3600

MINOR_DIGITS: Final = {"JPY": 0, "KRW": 0, "CLP": 0, "ISK": 0, "VND": 0, "BHD": 3, "KWD": 3, "OMR": 3, "TND": 3}
"""Decimal places of currencies that do not have two (ISO 4217)."""


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


def run_cost(
    seconds: JobSeconds,
    price: ServerPrice,
    num_gpus: int,
    *,
    currency: str | None = None,
    rates: CurrencyRates | None = None,
) -> Cost:
    """The cost of a job on as many servers as ``num_gpus`` cards need.

    In the price's own currency, unless ``currency`` names another for which there is a dated rate; without a rate it
    stays in its own, and a note says so. Tax is neither added nor taken off.
    """
    servers = -(-num_gpus // price.gpus_per_server)
    target, factor, notes = _conversion(price.currency, currency, rates)
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
        notes=(*notes, *_price_notes(price, servers, num_gpus)),
    )


def paid_amount(job_seconds: float, price: ServerPrice, num_gpus: int) -> Decimal:
    """The ``amount`` of :func:`run_cost` in the price's own currency: to find the cheapest of several."""
    return _paid(job_seconds, price, -(-num_gpus // price.gpus_per_server), Decimal(1), price.currency)


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


def _conversion(source: str, target: str | None, rates: CurrencyRates | None) -> tuple[str, Decimal, tuple[str, ...]]:
    if target is None or target == source:
        return source, Decimal(1), ()
    factor = None if rates is None else rates.convert(Decimal(1), source=source, target=target)
    if rates is None or factor is None:
        return source, Decimal(1), (f"No rate from {source} to {target} is set, so the cost stays in {source}.",)
    day = f" of {rates.observed_on.isoformat()}" if rates.observed_on else ""
    return target, factor, (f"Converted at 1 {source} = {factor:.4f} {target}, the operator's rate{day}.",)


def _price_notes(price: ServerPrice, servers: int, num_gpus: int) -> tuple[str, ...]:
    notes = []
    if servers > 1:
        notes.append(f"{servers} servers of {price.gpus_per_server} cards.")
    elif price.gpus_per_server > num_gpus:
        notes.append(f"The server has {price.gpus_per_server} cards and is paid for whole; the run uses {num_gpus}.")
    if price.period == "month":
        notes.append("Paid by whole months.")
    if price.minimum_term:
        notes.append(f"The minimum term of {price.minimum_term} is counted.")
    if price.setup_fee:
        notes.append("The set-up fee is included.")
    tax = {True: "Tax is included.", False: "Tax is not included."}
    notes.append("Whether tax is included is not stated." if price.tax_included is None else tax[price.tax_included])
    return tuple(notes)
