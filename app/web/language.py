"""Which language, and which unit of memory, a visitor reads."""

from functools import cache
from gettext import NullTranslations
from typing import Final

from babel import Locale

from app.web.formatting import Formatter, MemoryUnit

NO_TRANSLATION: Final = NullTranslations()


@cache
def formatter(locale_name: str, unit: str) -> Formatter:
    """The reader of a locale such as ``en-GB`` who counts in ``gib`` or ``gb``."""
    locale = Locale.parse(locale_name.replace("-", "_"))
    return Formatter(locale=locale, unit=MemoryUnit(unit), translations=NO_TRANSLATION)


def unit_of(asked: str | None, default: str) -> str:
    """The unit a visitor asked for, else the operator's."""
    return asked if asked in set(MemoryUnit) else default
