"""How values become text."""

from datetime import date
from decimal import Decimal

import pytest
from babel import Locale
from babel.numbers import format_currency, format_decimal, format_percent
from hypothesis import given
from hypothesis import strategies as st

from app.units import GB, GIB
from app.web.formatting import BRITISH, Formatter, MemoryUnit, between, largest_remainder

BRITON = Formatter(locale=BRITISH)
GERMAN = Formatter(locale=Locale("de"))


@given(st.lists(st.integers(0, 2**45), min_size=1, max_size=12), st.integers(0, 10_000))
def test_rounded_parts_sum_to_the_rounded_total(parts: list[int], total: int) -> None:
    rounded = largest_remainder(parts, total)
    assert sum(rounded) == (total if sum(parts) else 0)
    assert all(
        abs(part * total / sum(parts) - shown) < 1 for part, shown in zip(parts, rounded, strict=True) if sum(parts)
    )


@given(st.lists(st.integers(0, 40 * GIB), min_size=1, max_size=12), st.sampled_from(list(MemoryUnit)))
def test_memory_parts_add_up_to_the_total_shown(parts: list[int], unit: MemoryUnit) -> None:
    fmt = BRITON.in_unit(unit)

    def number(text: str) -> Decimal:
        return Decimal(0) if text.startswith("<") else Decimal(text.replace(",", ""))

    assert sum(number(text) for text in fmt.memory_parts(parts)) == number(fmt.memory(sum(parts)))


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (0, "0.0"),
        (1, "< 0.1"),
        (GIB // 20, "< 0.1"),
        (GIB // 20 + 1, "0.1"),
        (int(11.04 * GIB), "11.0"),
        (int(99.94 * GIB), "99.9"),
        (int(99.96 * GIB), "100"),
        (int(118.2 * GIB), "118"),
        (1200 * GIB, "1,200"),
    ],
)
def test_memory_has_one_decimal_below_a_hundred(size_bytes: int, shown: str) -> None:
    assert BRITON.memory(size_bytes) == shown


def test_a_difference_is_that_of_the_figures_shown() -> None:
    usable, needs = int(23.649 * GIB), int(11.049 * GIB)
    assert (BRITON.memory(usable), BRITON.memory(needs)) == ("23.6", "11.0")
    assert BRITON.memory_difference(usable, needs) == "12.6"


def test_units_differ_by_seven_percent() -> None:
    assert BRITON.memory_with_unit(24 * GIB) == "24.0\u00a0GiB"
    assert BRITON.in_unit(MemoryUnit.GB).memory_with_unit(24 * GIB) == "25.8\u00a0GB"
    assert BRITON.in_unit(MemoryUnit.GB).memory(int(58.04 * GB)) == "58.0"


def test_money_names_its_currency_and_drops_cents_from_a_thousand() -> None:
    assert BRITON.money(Decimal("0.17"), "USD") == "US$0.17"
    assert BRITON.money(Decimal("0.005"), "GBP") in {"£0.00", "£0.01"}
    assert BRITON.money(Decimal("21000.50"), "GBP") == "£21,000"
    assert GERMAN.money(Decimal("0.82"), "EUR") == "0,82\u00a0€"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(42, "42 s"), (90, "2 min"), (1980, "33 min"), (17280, "4.8 h"), (100_000, "28 h"), (300_000, "3.5 days")],
)
def test_durations_use_the_unit_that_reads_best(seconds: float, shown: str) -> None:
    assert BRITON.duration(seconds).replace("\u00a0", " ") == shown


def test_counts_and_dates() -> None:
    assert BRITON.parameters(1_026_408_232_448) == "1.03 trillion"
    assert BRITON.parameters(8_030_261_248) == "8.03 billion"
    assert BRITON.parameters(13_631_488) == "13.6 million"
    assert BRITON.parameters(512) == "512"
    assert BRITON.date(date(2026, 5, 24)) == "24\u00a0May\u00a02026"
    assert GERMAN.decimal(1234.5) == "1.234,5"
    assert BRITON.percent(0.9674, 1) == "96.7%"


LOCALES = [Locale.parse(name) for name in ("en_GB", "de_DE", "de_CH", "fr_FR", "sv_SE", "pl_PL", "en_IN", "hi_IN")]


@given(
    st.sampled_from(LOCALES),
    st.one_of(st.integers(0, 10**9), st.floats(-1e6, 1e9), st.decimals(0, 10**9, places=4)),
    st.integers(0, 4),
)
def test_numbers_are_written_as_babel_writes_them(locale: Locale, value: int | float | Decimal, digits: int) -> None:
    fmt, decimals = Formatter(locale=locale), "." + "0" * digits if digits else ""
    assert fmt.decimal(value, digits) == format_decimal(Decimal(value), format=f"#,##0{decimals}", locale=locale)
    share = float(value) / 1e6
    pattern = locale.percent_formats[None].pattern.replace("##0", f"##0{decimals}")
    assert fmt.percent(share, digits) == format_percent(share, format=pattern, locale=locale)


@given(
    st.sampled_from(LOCALES),
    st.decimals(-100, 10**6, places=2),
    st.sampled_from(("USD", "EUR", "GBP", "CHF", "JPY", "INR", "SEK")),
)
def test_money_is_written_as_babel_writes_it(locale: Locale, amount: Decimal, currency: str) -> None:
    number = "##0" if amount >= 1000 else "##0.00"
    pattern = locale.currency_formats["standard"].pattern.replace("##0.00", number)
    expected = format_currency(amount, currency, format=pattern, locale=locale, currency_digits=False)
    assert Formatter(locale=locale).money(amount, currency) == expected


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (BRITON.duration(1260), BRITON.duration(2040), "21–34\u00a0min"),
        (BRITON.duration(3000), BRITON.duration(9000), "50\u00a0min–2.5\u00a0h"),
        (BRITON.money(Decimal("0.05"), "USD"), BRITON.money(Decimal("1234.5"), "USD"), "US$0.05–1,234"),
        (GERMAN.money(Decimal("0.05"), "USD"), GERMAN.money(Decimal("0.08"), "USD"), "0,05–0,08\u00a0$"),
        (GERMAN.percent(0.64), GERMAN.percent(0.74), "64–74\u00a0%"),
        ("< 0.1", "0.3", "< 0.1–0.3"),
        ("4\u00a0min", "4\u00a0min", "4\u00a0min"),
    ],
)
def test_a_range_says_once_what_its_ends_share(low: str, high: str, shown: str) -> None:
    assert between(low, high) == shown
