"""What a widget's address says beside the run: looks, language, where clicks come from, and what a table lists."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final
from urllib.parse import quote, urlencode

from babel import Locale, localedata

from app.request import CompareRequest, RecommendRequest, names_of
from app.settings import Settings
from app.web.embed.colour import brand_css_path, hex_digits
from app.web.formatting import Formatter
from app.web.language import formatter, language_of, prefix_of, unit_of


class Theme(StrEnum):
    """Light unless the site says otherwise; ``auto`` follows the visitor's system."""

    LIGHT = "light"
    DARK = "dark"
    AUTO = "auto"


class TableRows(StrEnum):
    """What a table has a row for."""

    METHODS = "methods"
    MODELS = "models"
    CARDS = "cards"


UTM_NAMES: Final = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id")
_REF: Final = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_MAX_UTM_LENGTH: Final = 100
_PRINTABLE: Final = re.compile(r"[^\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Campaign:
    """Where a click comes from, as the site that embeds us wants to see it in its order page's address."""

    ref: str = ""
    utm: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "Campaign":
        """Read ``ref`` and ``utm_…``; what does not look like one is left out."""
        ref = values.get("ref", "").strip()
        utm = tuple(
            (name, values[name].strip())
            for name in UTM_NAMES
            if 0 < len(values.get(name, "").strip()) <= _MAX_UTM_LENGTH and _PRINTABLE.fullmatch(values[name].strip())
        )
        return cls(ref=ref if _REF.fullmatch(ref) else "", utm=utm)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All of it as a query's pairs."""
        return (*((("ref", self.ref),) if self.ref else ()), *self.utm)

    @property
    def utm_query(self) -> str:
        """The ``utm_…`` pairs, encoded."""
        return urlencode(self.utm, quote_via=quote)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedQuery:
    """One widget's address, read."""

    pairs: tuple[tuple[str, str], ...]
    """The pairs that belong to the run or the table."""
    theme: Theme
    brand: str
    """Six hexadecimal digits, or empty for the product's own colour."""
    fmt: Formatter
    campaign: Campaign
    rows: TableRows | None
    language_prefix: str
    """What the addresses of pages in the widget's language begin with."""
    kept: Mapping[str, str]
    """What a link from this frame to another of its kind carries on, beside the run."""

    @property
    def data_theme(self) -> str:
        """The root's ``data-theme``; empty lets the system decide."""
        return "" if self.theme is Theme.AUTO else self.theme.value

    @property
    def brand_css_url(self) -> str:
        """The style sheet with the brand's two properties, or empty."""
        return brand_css_path(self.brand) if self.brand else ""


_TABLE_NAMES: Final = frozenset({"models", "methods", "gpus_allowed"})
_KEPT_NAMES: Final = ("theme", "brand", "locale", "units", "rows", "ref", *UTM_NAMES)


@cache
def _known_names() -> frozenset[str]:
    return frozenset({*names_of(CompareRequest), *names_of(RecommendRequest)})


def _locale_name(asked: str, default: str) -> str:
    """The locale asked for, or its language where the region is unknown, else the operator's."""
    parts = [part for part in re.split(r"[-_]", asked.strip()) if part.isalnum()]
    if not 1 <= len(parts) <= 3 or len(asked) > 20:
        return default
    named = [parts[0].lower(), *(part.title() if len(part) == 4 else part.upper() for part in parts[1:])]
    candidates = ("_".join(named), named[0])
    found = next((name for name in candidates if localedata.exists(name)), None)
    return str(Locale.parse(found)) if found else default


def read_query(pairs: Iterable[tuple[str, str]], settings: Settings) -> EmbedQuery:
    """Read an address. Nothing in it is an error here: what is unknown or out of range counts as not given."""
    given = [(key, text.strip()) for key, text in pairs if text.strip()]
    values = dict(reversed(given))
    if "lang" in values:
        values.setdefault("locale", values["lang"])
    theme, rows = values.get("theme", "").lower(), values.get("rows", "").lower()
    unit = unit_of(values.get("units", "").lower(), settings.units)
    locale = _locale_name(values["locale"], settings.locale) if "locale" in values else settings.locale
    known = _known_names()
    return EmbedQuery(
        pairs=tuple((key, text) for key, text in given if key in known),
        theme=Theme(theme) if theme in set(Theme) else Theme.LIGHT,
        brand=hex_digits(values.get("brand", "")) or hex_digits(settings.brand_colour or "") or "",
        fmt=formatter(locale.replace("_", "-"), unit),
        campaign=Campaign.of(values),
        rows=TableRows(rows) if rows in set(TableRows) else None,
        language_prefix=prefix_of(language_of(locale), settings.locale),
        kept={name: values[name] for name in _KEPT_NAMES if name in values},
    )
