"""How numbers, memory, money, time and dates are written: the one place where a value becomes text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, lru_cache
from gettext import NullTranslations
from typing import Final

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent, get_decimal_symbol, get_group_symbol

from app.messages import Message, Sum, Value
from app.units import GB, GIB

NO_BREAK: Final = "\u00a0"
EN_DASH: Final = "–"


def plain(text: str) -> str:
    """A text for search engines and titles, where every space is an ordinary one."""
    return text.replace(NO_BREAK, " ")


_FIGURE: Final = re.compile(r"(\D*)(\d(?:.*\d)?)(\D*)", re.DOTALL)


def bounds(low: str, high: str) -> tuple[str, str]:
    """Two figures as they stand on either side of a dash: what they share, a currency or a unit, is said once.

    ``21 min`` and ``34 min`` are ``21`` and ``34 min``; ``US$0.05`` and ``US$0.08`` are ``US$0.05`` and ``0.08``.
    """
    first, second = _FIGURE.fullmatch(low), _FIGURE.fullmatch(high)
    if first is None or second is None or (first[1], first[3]) != (second[1], second[3]):
        return low, high
    return first[1] + first[2], second[2] + second[3]


def between(low: str, high: str) -> str:
    """Two figures as a range: ``21–34 min``; one of them where they read the same."""
    return high if low == high else EN_DASH.join(bounds(low, high))


class MemoryUnit(StrEnum):
    """The unit a page counts memory in; a page uses one of them throughout."""

    GIB = "gib"
    GB = "gb"

    @property
    def label(self) -> str:
        """The unit as written beside a number."""
        return "GiB" if self is MemoryUnit.GIB else "GB"

    @property
    def size_bytes(self) -> int:
        """Bytes in one unit."""
        return GIB if self is MemoryUnit.GIB else GB


def largest_remainder(parts: Sequence[int], total: int) -> list[int]:
    """Whole numbers that sum to ``total`` and stay within one of each part's exact share of ``sum(parts)``.

    ``parts`` are in any unit, ``total`` is their sum already rounded to the unit shown (Hamilton's method).
    """
    whole = sum(parts)
    if whole <= 0:
        return [0] * len(parts)
    exact = [part * total for part in parts]
    floors = [value // whole for value in exact]
    by_remainder = sorted(range(len(parts)), key=lambda index: (-(exact[index] % whole), index))
    for index in by_remainder[: total - sum(floors)]:
        floors[index] += 1
    return floors


@lru_cache(maxsize=32)
def _separators(locale: str) -> Mapping[int, str]:
    """What a locale writes for the comma between thousands and for the decimal point, where it is something else."""
    written = {",": get_group_symbol(locale), ".": get_decimal_symbol(locale)}
    return {ord(sign): own for sign, own in written.items() if own != sign}


def _fixed(value: float | Decimal, digits: int, locale: str) -> str:
    """A number with exactly ``digits`` decimals, as Babel's ``#,##0.0`` writes it in a twentieth of the time."""
    number, separators = f"{value:,.{digits}f}", _separators(locale)
    return number.translate(separators) if separators else number


@lru_cache(maxsize=4096)
def _tenths(steps: int, locale: str) -> str:
    """Tenths below a hundred: a page writes some sixty, and there are only a thousand of them."""
    return _fixed(steps / 10, 1, locale)


@lru_cache(maxsize=256)
def _around(pattern: str, number: str) -> tuple[str, str] | None:
    """What stands before and after a number of a pattern; None where its digits are grouped in another way."""
    before, found, after = pattern.partition(number)
    return None if not found or before.endswith(",") or before.endswith("#") else (before, after)


@lru_cache(maxsize=256)
def _money_pattern(currency: str, locale: str) -> tuple[str, str] | None:
    """What stands before and after an amount; None where a locale groups digits in its own way."""
    pattern = Locale.parse(locale).currency_formats["standard"].pattern
    around = _around(pattern, "#,##0.00")
    if around is None:
        return None
    written = format_currency(Decimal(0), currency, format="0".join(around), locale=locale, currency_digits=False)
    before, _zero, after = str(written).partition("0")
    return before, after


def _money(amount: Decimal, currency: str, locale: str) -> str:
    digits = 0 if amount >= 1000 else 2
    around = _money_pattern(currency, locale) if amount >= 0 else None
    if around is not None:
        return around[0] + _fixed(amount, digits, locale) + around[1]
    pattern = Locale.parse(locale).currency_formats["standard"].pattern
    if not digits:
        pattern = pattern.replace("##0.00", "##0")
    return str(format_currency(amount, currency, format=pattern, locale=locale, currency_digits=False))


@lru_cache(maxsize=4_096)
def _date(day: date, locale: str) -> str:
    return str(format_date(day, format="medium", locale=locale)).replace(" ", NO_BREAK)


@dataclass(frozen=True, kw_only=True)
class Formatter:
    """One reader's locale and memory unit, and the texts in their language."""

    locale: Locale
    unit: MemoryUnit = MemoryUnit.GIB
    translations: NullTranslations = field(default_factory=NullTranslations)

    @cached_property
    def locale_name(self) -> str:
        """The locale as Babel writes it, such as ``en_GB``."""
        return str(self.locale)

    @cached_property
    def _hash(self) -> int:
        return hash((self.locale_name, self.unit))

    def __hash__(self) -> int:
        """Made once: readers are part of many keys, and a locale's own hash is slow."""
        return self._hash

    def in_unit(self, unit: MemoryUnit) -> "Formatter":
        """The same reader on a page that counts in ``unit``."""
        return replace(self, unit=unit)

    def gettext(self, message: str) -> str:
        """``message`` in the reader's language, with the values it knows in the reader's way."""
        if isinstance(message, Message):
            return self._say(message)
        return self.translations.gettext(message) if message else message

    def _say(self, message: Message) -> str:
        template = (
            self.translations.ngettext(message.template, message.plural, message.number)
            if message.plural
            else self.translations.gettext(message.template)
        )
        return template.format_map({name: self._value(value) for name, value in message.values.items()})

    def _value(self, value: Value) -> str:
        if isinstance(value, str):
            return self._say(value) if isinstance(value, Message) else value
        if isinstance(value, date):
            return self.date(value)
        if isinstance(value, Sum):
            return self.money(value.amount, value.currency)
        digits = value.as_tuple().exponent if isinstance(value, Decimal) else 0
        return self.decimal(value, max(0, -digits) if isinstance(digits, int) else 0)

    def within(self, words: str) -> str:
        """Words that begin a line elsewhere, as they stand within a sentence: German keeps its capitals."""
        return words if self.locale.language == "de" else words.lower()

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """The form of a message that goes with ``number``, in the reader's language."""
        return self.translations.ngettext(singular, plural, number)

    # Numbers -----------------------------------------------------------------------------------------------

    def integer(self, value: int) -> str:
        """``8192`` as ``8,192``."""
        return _fixed(Decimal(value), 0, self.locale_name)

    def decimal(self, value: float | Decimal, digits: int = 1) -> str:
        """A number with exactly ``digits`` decimals."""
        return _fixed(value, digits, self.locale_name)

    def plain(self, value: float | Decimal) -> str:
        """A number with as few decimals as it needs, at most three."""
        return str(format_decimal(value, format="#,##0.###", locale=self.locale))

    def percent(self, share: float, digits: int = 0) -> str:
        """A share of one as a percentage."""
        pattern = self._percent_pattern
        around = _around(pattern, "#,##0") if share >= 0 else None
        if around is None:
            pattern = pattern.replace("##0", "##0" + ("." + "0" * digits if digits else ""))
            return str(format_percent(share, format=pattern, locale=self.locale))
        return around[0] + _fixed(Decimal(str(share)).scaleb(2), digits, self.locale_name) + around[1]

    @cached_property
    def _percent_pattern(self) -> str:
        return str(self.locale.percent_formats[None].pattern)

    def parameters(self, count: int) -> str:
        """A parameter count in words: ``8.03 billion``, ``13.6 million``, ``512``."""
        _ = self.gettext
        if count >= 10**12:
            return _("{number} trillion").format(number=self.decimal(count / 1e12, 2))
        if count >= 10**9:
            return _("{number} billion").format(number=self.decimal(count / 1e9, 2))
        if count >= 10**6:
            return _("{number} million").format(number=self.decimal(count / 1e6, 1))
        return self.integer(count)

    # Memory ------------------------------------------------------------------------------------------------

    def _digits(self, size_bytes: int) -> int:
        return 0 if self._steps(abs(size_bytes), 1) >= 1000 else 1

    def _steps(self, size_bytes: int, digits: int) -> int:
        """``size_bytes`` in the smallest step that ``digits`` can show, rounded half up."""
        scale, unit_bytes = 10 if digits else 1, self._unit_bytes
        return (2 * size_bytes * scale + unit_bytes) // (2 * unit_bytes)

    @cached_property
    def _unit_bytes(self) -> int:
        return self.unit.size_bytes

    def _from_steps(self, steps: int, digits: int, *, present: bool) -> str:
        if steps == 0 and present:
            return "< " + self._from_steps(1, digits, present=True)
        return self.decimal(steps / 10 if digits else steps, digits)

    def memory(self, size_bytes: int) -> str:
        """Bytes in the page's unit without its name: one decimal below 100, none above; ``< 0.1`` for a trace."""
        tenths = self._steps(size_bytes, 1)
        if 0 < tenths < 1000:
            return _tenths(tenths, self.locale_name)
        digits = self._digits(size_bytes)
        return self._from_steps(self._steps(size_bytes, digits), digits, present=size_bytes > 0)

    def memory_with_unit(self, size_bytes: int) -> str:
        """Bytes in the page's unit with its name, which stays on the number's line."""
        return self.memory(size_bytes) + NO_BREAK + self.unit.label

    def memory_range(self, low_bytes: int, high_bytes: int) -> str:
        """``10.6–12.3 GiB``."""
        return self.memory(low_bytes) + EN_DASH + self.memory_with_unit(high_bytes)

    def memory_parts(self, parts_bytes: Sequence[int]) -> tuple[str, ...]:
        """Parts rounded so that what is shown adds up to :meth:`memory` of their sum."""
        total = sum(parts_bytes)
        digits = self._digits(total)
        steps = largest_remainder(parts_bytes, self._steps(total, digits))
        return tuple(
            self._from_steps(step, digits, present=part > 0) for step, part in zip(steps, parts_bytes, strict=True)
        )

    def memory_difference(self, larger_bytes: int, smaller_bytes: int) -> str:
        """What is left when the two figures, as shown, are subtracted: ``23.6`` less ``11.0`` is ``12.6``."""
        digits = self._digits(larger_bytes)
        return self._from_steps(
            self._steps(larger_bytes, digits) - self._steps(smaller_bytes, digits),
            digits,
            present=larger_bytes > smaller_bytes,
        )

    # Money, time, dates ------------------------------------------------------------------------------------

    def money(self, amount: Decimal, currency: str) -> str:
        """An amount with its currency; whole units from 1,000 on."""
        return _money(amount, currency, self.locale_name)

    def duration(self, seconds: float) -> str:
        """Seconds, minutes, hours or days: the unit in which the figure reads best."""
        _ = self.gettext
        if seconds < 90:
            return _("{number} s").format(number=self.decimal(seconds, 0)).replace(" ", NO_BREAK)
        if seconds < 90 * 60:
            return _("{number} min").format(number=self.decimal(seconds / 60, 0)).replace(" ", NO_BREAK)
        hours = seconds / 3600
        if hours < 72:
            return _("{number} h").format(number=self.decimal(hours, 1 if hours < 24 else 0)).replace(" ", NO_BREAK)
        return _("{number} days").format(number=self.decimal(hours / 24, 1)).replace(" ", NO_BREAK)

    def date(self, day: date) -> str:
        """``24 May 2026``."""
        return _date(day, self.locale_name)


BRITISH: Final = Locale("en", "GB")
