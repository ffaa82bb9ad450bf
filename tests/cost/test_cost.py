"""Money is exact to the minor unit."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import pytest

from app.catalogue.facts import HOURS_PER_MONTH as CATALOGUE_HOURS_PER_MONTH
from app.catalogue.facts import Commitment, Offer, Period, Rates
from app.speed.cost import HOURS_PER_MONTH, Conversion, JobSeconds, conversion_of, paid_amount, run_cost, to_minor_unit

RATES = Rates(
    base="USD",
    per_base={"GBP": Decimal("0.8"), "EUR": Decimal("0.9"), "JPY": Decimal("151")},
    observed_on=date(2026, 11, 1),
)


def offer(amount: str, period: Period = Period.HOUR, **fields: object) -> Offer:
    values: dict[str, object] = {
        "id": "1",
        "provider": "P",
        "provider_slug": "p",
        "gpu": "rtx-3090",
        "gpus_per_server": 1,
        "currency": "USD",
        "commitment": Commitment.ON_DEMAND,
        **fields,
    }
    return Offer(amount=Decimal(amount), period=period, **values)  # type: ignore[arg-type]


def seconds(expected: float, low: float | None = None, high: float | None = None) -> JobSeconds:
    return JobSeconds(expected=expected, low=expected if low is None else low, high=expected if high is None else high)


@dataclass(frozen=True)
class Case:
    name: str
    seconds: JobSeconds
    offer: Offer
    num_gpus: int
    amount: str
    low: str
    high: str
    currency: str = "USD"
    wanted: str | None = None
    notes: tuple[str, ...] = field(default=())


HOUR = 3600.0
CASES = (
    Case("an hour and a half", seconds(1.5 * HOUR, HOUR, 2 * HOUR), offer("0.35"), 1, "0.53", "0.35", "0.70"),
    Case("half a cent rounds up", seconds(0.5 * HOUR), offer("0.01"), 1, "0.01", "0.01", "0.01"),
    Case("half a cent of thirds rounds up", seconds(7), offer("18.00"), 1, "0.04", "0.04", "0.04"),
    Case("a started second is paid", seconds(35.5), offer("36.00"), 1, "0.36", "0.36", "0.36"),
    Case(
        "a minimum term of a day",
        seconds(2 * HOUR, HOUR, 30 * HOUR),
        offer("0.50", minimum_term="24 hours"),
        1,
        "12.00",
        "12.00",
        "15.00",
        notes=("The minimum term of 24 hours is counted.",),
    ),
    Case(
        "a month",
        seconds(18 * HOUR, 15 * HOUR, 731 * HOUR),
        offer("159", Period.MONTH, currency="GBP", tax_included=False),
        1,
        "159.00",
        "159.00",
        "318.00",
        currency="GBP",
        notes=("Paid by whole months.", "Tax is not included."),
    ),
    Case(
        "three months at least, with a set-up fee",
        seconds(18 * HOUR),
        offer("159", Period.MONTH, currency="GBP", minimum_term="3 months", setup_fee=Decimal("49.50")),
        1,
        "526.50",
        "526.50",
        "526.50",
        currency="GBP",
        notes=("The set-up fee is included.",),
    ),
    Case(
        "twelve cards on servers of eight",
        seconds(10 * HOUR),
        offer("16.40", gpus_per_server=8, setup_fee=Decimal(5)),
        12,
        "338.00",
        "338.00",
        "338.00",
        notes=("2 servers of 8 cards.",),
    ),
    Case(
        "one card of a server of four",
        seconds(HOUR),
        offer("4.40", gpus_per_server=4),
        1,
        "4.40",
        "4.40",
        "4.40",
        notes=("The server has 4 cards and is paid for whole; the run uses 1.",),
    ),
    Case(
        "pounds shown in dollars",
        seconds(HOUR),
        offer("159", Period.MONTH, currency="GBP"),
        1,
        "198.75",
        "198.75",
        "198.75",
        wanted="USD",
        notes=("Converted at 1 GBP = 1.2500 USD, the operator's rate of 2026-11-01.",),
    ),
    Case(
        "pounds in euros, by way of the base",
        seconds(HOUR),
        offer("1.00", currency="GBP"),
        1,
        "1.13",
        "1.13",
        "1.13",
        currency="EUR",
        wanted="EUR",
    ),
    Case(
        "no rate, no conversion",
        seconds(HOUR),
        offer("1.00"),
        1,
        "1.00",
        "1.00",
        "1.00",
        wanted="CHF",
        notes=("No rate from USD to CHF is set, so the cost stays in USD.",),
    ),
    Case(
        "pounds in yen have no minor unit",
        seconds(HOUR),
        offer("1.00", currency="GBP"),
        1,
        "189",
        "189",
        "189",
        currency="JPY",
        wanted="JPY",
    ),
    Case(
        "a small unit's rate keeps its digits",
        seconds(HOUR),
        offer("1000", currency="JPY"),
        1,
        "6.62",
        "6.62",
        "6.62",
        wanted="USD",
        notes=("Converted at 1 JPY = 0.006623 USD, the operator's rate of 2026-11-01.",),
    ),
    Case("yen have no minor unit", seconds(1.5 * HOUR), offer("151", currency="JPY"), 1, "227", "227", "227", "JPY"),
)


def conversion(case: Case) -> Conversion | None:
    return conversion_of(case.offer.currency, case.wanted, RATES) if case.wanted else None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cost_is_exact(case: Case) -> None:
    cost = run_cost(case.seconds, case.offer, case.num_gpus, conversion(case))
    assert (str(cost.amount), str(cost.amount_low), str(cost.amount_high)) == (case.amount, case.low, case.high)
    assert cost.tariff.currency == case.currency
    for note in case.notes:
        assert note in cost.tariff.notes


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_amount_alone_is_that_of_the_whole_cost(case: Case) -> None:
    assert str(paid_amount(case.seconds.expected, case.offer, case.num_gpus, conversion(case))) == case.amount


def test_a_month_says_how_many_runs_it_holds() -> None:
    cost = run_cost(seconds(18.25 * HOUR), offer("159", Period.MONTH, currency="GBP"), 1)
    assert (cost.tariff.period_amount, cost.periods, cost.runs_in_periods) == (Decimal("159.00"), Decimal(1), 40)


def test_every_cost_says_whether_tax_is_in_it() -> None:
    for included, note in (
        (True, "Tax is included."),
        (False, "Tax is not included."),
        (None, "Whether tax is included is not stated."),
    ):
        assert note in run_cost(seconds(1), offer("1", tax_included=included), 1).tariff.notes


def test_minor_units_round_half_up() -> None:
    assert to_minor_unit(Decimal("2.345"), "USD") == Decimal("2.35")
    assert to_minor_unit(Decimal("2.3455"), "KWD") == Decimal("2.346")


def test_months_are_as_long_as_the_catalogues() -> None:
    assert HOURS_PER_MONTH == CATALOGUE_HOURS_PER_MONTH
