"""Single values of a price list: read strictly, each refusal saying what is allowed."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final
from urllib.parse import urlsplit

from babel.numbers import list_currencies

from app.catalogue.facts import Commitment, Period, term_hours

MAX_AMOUNT: Final = Decimal(10_000_000)
MAX_DECIMAL_PLACES: Final = 9
_CURRENCIES: Final = frozenset(list_currencies())
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_PLACEHOLDERS: Final = frozenset({"gpu", "ref", "utm"})
_HOURS: Final = dict.fromkeys(("hour", "hourly", "h", "hr"), Period.HOUR)
_MONTHS: Final = dict.fromkeys(("month", "monthly", "mo"), Period.MONTH)
_PERIODS: Final = _HOURS | _MONTHS
_BOOLEANS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class FieldError(ValueError):
    """What is wrong with one value, and what was perhaps meant."""

    def __init__(self, message: str, suggestions: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.suggestions = tuple(suggestions)


def read_text(raw: object, limit: int = 1_000) -> str:
    """Trimmed text on one line. Raises :class:`FieldError`."""
    if isinstance(raw, bool | Mapping | list) or raw is None:
        raise FieldError("write text")
    text = str(raw).strip()
    if len(text) > limit:
        raise FieldError(f"is longer than {limit} characters")
    if _CONTROL.search(text):
        raise FieldError("must not hold line breaks or control characters")
    return text


def read_date(raw: object, today: date) -> date:
    """A day that is not in the future. Raises :class:`FieldError`."""
    try:
        day = date.fromisoformat(read_text(raw, 40))
    except ValueError as error:
        raise FieldError("write a date such as 2026-05-24") from error
    if day > today + timedelta(days=1):
        raise FieldError("lies in the future")
    return day


def short_reader(limit: int) -> Callable[[object], str | None]:
    """A reader of text of at most ``limit`` characters; None for blanks."""
    return lambda raw: read_text(raw, limit) or None


def _decimal(raw: object) -> Decimal:
    if isinstance(raw, bool | float | Mapping | list):
        raise FieldError("write a number such as 0.35")
    try:
        value = Decimal(read_text(raw, 40))
    except InvalidOperation as error:
        hint = " (a point, not a comma)" if "," in str(raw) else ""
        raise FieldError(f"write a number such as 0.35{hint}") from error
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or value.copy_abs() > MAX_AMOUNT:
        raise FieldError(f"must be at most {MAX_AMOUNT:,}")
    if -exponent > MAX_DECIMAL_PLACES:
        raise FieldError(f"has more than {MAX_DECIMAL_PLACES} decimal places")
    return Decimal(f"{value:f}")


def read_positive(raw: object) -> Decimal:
    """An exact number above 0. Raises :class:`FieldError`."""
    value = _decimal(raw)
    if value <= 0:
        raise FieldError("must be more than 0")
    return value


def read_not_negative(raw: object) -> Decimal:
    """An exact number, 0 or more. Raises :class:`FieldError`."""
    value = _decimal(raw)
    if value < 0:
        raise FieldError("must not be negative")
    return value


def count_reader(limit: int) -> Callable[[object], int]:
    """A reader of whole numbers from 1 to ``limit``."""

    def read(raw: object) -> int:
        text = read_text(raw, 20)
        if not re.fullmatch(r"\d{1,9}(\.0+)?", text) or not 1 <= int(text.partition(".")[0]) <= limit:
            raise FieldError(f"must be a whole number from 1 to {limit:,}")
        return int(text.partition(".")[0])

    return read


def read_currency(raw: object) -> str:
    """A currency that there is, in capitals. Raises :class:`FieldError`."""
    text = read_text(raw, 40).upper()
    if text not in _CURRENCIES:
        raise FieldError("must be a three-letter currency such as USD, EUR or GBP")
    return text


def read_period(raw: object) -> Period:
    """Hour or month. Raises :class:`FieldError`."""
    period = _PERIODS.get(read_text(raw, 40).lower())
    if period is None:
        raise FieldError("must be hour or month")
    return period


def read_commitment(raw: object) -> Commitment:
    """On demand, spot or reserved. Raises :class:`FieldError`."""
    try:
        return Commitment(re.sub(r"[\s-]+", "_", read_text(raw, 40).lower()))
    except ValueError as error:
        raise FieldError("must be on_demand, spot or reserved") from error


def read_boolean(raw: object) -> bool:
    """Yes or no. Raises :class:`FieldError`."""
    value = raw if isinstance(raw, bool) else _BOOLEANS.get(read_text(raw, 10).lower())
    if not isinstance(value, bool):
        raise FieldError("must be true or false")
    return value


def read_term(raw: object) -> str:
    """A term such as ``3 months``. Raises ``ValueError``."""
    text = " ".join(read_text(raw, 20).lower().split())
    term_hours(text)
    return text


def read_link(raw: object) -> str:
    """A plain web address. Raises :class:`FieldError`."""
    text = read_text(raw)
    parts = urlsplit(text)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.username
        or re.search(r"[\s<>\"'\\`]", text)
    ):
        raise FieldError("must be a web address such as https://example.com/order")
    return text


def read_order_link(raw: object) -> str:
    """A web address that may hold placeholders after its host. Raises :class:`FieldError`."""
    text = read_text(raw)
    unknown = sorted(set(_PLACEHOLDER.findall(text)) - _PLACEHOLDERS)
    if unknown or re.search(r"[{}]", _PLACEHOLDER.sub("", text)):
        raise FieldError("may hold {gpu}, {ref} and {utm}, and no other braces")
    read_link(_PLACEHOLDER.sub("x", text))
    if _PLACEHOLDER.search(text.partition("://")[2].partition("/")[0].partition("?")[0]):
        raise FieldError("must name its host without placeholders")
    return text
