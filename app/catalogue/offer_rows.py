"""From a row of a price list to an offer, or to errors that name the row, the field and what is allowed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from app.catalogue.bundled import offer_id, slugify
from app.catalogue.facts import Commitment, Offer
from app.catalogue.offer_files import COLUMNS, RawRow
from app.catalogue.snapshot import Snapshot
from app.catalogue.values import (
    FieldError,
    count_reader,
    read_boolean,
    read_commitment,
    read_currency,
    read_date,
    read_link,
    read_not_negative,
    read_order_link,
    read_period,
    read_positive,
    read_term,
    read_text,
    short_reader,
)

MAX_GPUS_PER_SERVER: Final = 1_024
_REQUIRED: Final = ("gpu", "amount", "currency", "period")
_NEVER_EMPTY: Final = frozenset({*_REQUIRED, "gpus_per_server", "commitment", "is_sample", "provider"})
_NO_COLUMN: Final = "is not a column of a price list"
_IDENTITY: Final = (
    "gpu",
    "gpus_per_server",
    "region",
    "currency",
    "period",
    "commitment",
    "minimum_term",
    "cpu",
    "cpu_count",
    "memory_gb",
    "disk",
    "network",
    "software",
)
"""What makes two rows the same server where they have no ``sku``: all but the price and what is said about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowError:
    """What is wrong with one field of one row."""

    row: int
    field: str
    message: str
    suggestions: tuple[str, ...] = ()

    def __str__(self) -> str:
        hint = f". Did you mean {' or '.join(self.suggestions)}?" if self.suggestions else ""
        return f"row {self.row}, {self.field}: {self.message}{hint}"


@dataclass(frozen=True, kw_only=True)
class RowReader:
    """Reads rows of one provider. ``today`` bounds dates; ``observed_on`` stands in where a row has none."""

    snapshot: Snapshot
    provider: str
    today: date
    observed_on: date | None = None

    def read(self, rows: Iterable[RawRow]) -> tuple[list[Offer], list[RowError]]:
        """The offers of all good rows, and every error of the others."""
        offers: list[Offer] = []
        errors: list[RowError] = []
        first_rows: dict[str, int] = {}
        find_gpu = cache(self._gpu)
        for row in rows:
            values, problems = self._values(row, find_gpu)
            errors += problems
            if problems:
                continue
            offer = self._offer(values)
            first = first_rows.setdefault(offer.id, row.number)
            if first != row.number:
                message = f"this is the same server as in row {first}; give each its own sku"
                errors.append(RowError(row=row.number, field="sku", message=message))
            offers.append(offer)
        return offers, errors

    def revise(self, offer: Offer, changes: Mapping[str, Any]) -> tuple[Offer, list[RowError]]:
        """The same server (same id) with some fields changed; None or an empty text clears a field."""
        filled = {name: raw for name, raw in changes.items() if raw is not None and raw != ""}
        cleared = changes.keys() - filled.keys()
        values, errors = self._parse(RawRow(1, filled), self._gpu)
        errors += [RowError(row=1, field=name, message="must not be empty") for name in sorted(cleared & _NEVER_EMPTY)]
        errors += [RowError(row=1, field=name, message=_NO_COLUMN) for name in sorted(cleared - set(COLUMNS))]
        if errors:
            return offer, errors
        known: dict[str, Any] = dict.fromkeys(cleared) | values | {"provider": offer.provider}
        return replace(offer, **known), []

    def _values(self, row: RawRow, find_gpu: Callable[[str], str]) -> tuple[dict[str, Any], list[RowError]]:
        values, errors = self._parse(row, find_gpu)
        missing = [name for name in _REQUIRED if name not in row.values]
        return values, errors + [RowError(row=row.number, field=name, message="is missing") for name in missing]

    def _parse(self, row: RawRow, find_gpu: Callable[[str], str]) -> tuple[dict[str, Any], list[RowError]]:
        values: dict[str, Any] = {}
        errors: list[RowError] = []
        for name, raw in row.values.items():
            try:
                values[name] = find_gpu(read_text(raw)) if name == "gpu" else self._value(name, raw)
            except ValueError as error:
                suggestions = getattr(error, "suggestions", ())
                errors.append(RowError(row=row.number, field=name, message=str(error), suggestions=suggestions))
        return values, errors

    def _value(self, name: str, raw: object) -> Any:
        if name == "provider":
            return self._same_provider(read_text(raw))
        if name == "observed_on":
            return read_date(raw, self.today)
        parser = _PARSERS.get(name)
        if parser is None:
            raise FieldError(_NO_COLUMN, get_close_matches(name, COLUMNS, n=1))
        return parser(raw)

    def _offer(self, values: Mapping[str, Any]) -> Offer:
        known: dict[str, Any] = {
            "gpus_per_server": 1,
            "commitment": Commitment.ON_DEMAND,
            "observed_on": self.observed_on,
            **values,
            "provider": self.provider,
            "provider_slug": slugify(self.provider),
        }
        identity = known.get("sku") or "|".join(_identity_part(known.get(name)) for name in _IDENTITY)
        return Offer(id=offer_id(known["provider_slug"], identity), **known)

    def _same_provider(self, text: str) -> str:
        if slugify(text) != slugify(self.provider):
            raise FieldError(f"this list is of {self.provider}; import other providers' offers on their own")
        return text

    def _gpu(self, text: str) -> str:
        found = self.snapshot.gpu(text)
        if found is not None:
            return found.slug
        near = [gpu.slug for gpu in self.snapshot.nearest_gpus(text)]
        raise FieldError(f"no card is called {text[:60]!r}", near)


def _identity_part(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value or "")


_PARSERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "gpus_per_server": count_reader(MAX_GPUS_PER_SERVER),
    "amount": read_positive,
    "currency": read_currency,
    "period": read_period,
    "commitment": read_commitment,
    "minimum_term": read_term,
    "setup_fee": read_not_negative,
    "tax_included": read_boolean,
    "region": short_reader(120),
    "in_stock": read_boolean,
    "order_url": read_order_link,
    "cpu": short_reader(120),
    "cpu_count": count_reader(100_000),
    "memory_gb": read_positive,
    "disk": short_reader(120),
    "network": short_reader(120),
    "software": short_reader(500),
    "sku": short_reader(120),
    "source": short_reader(500),
    "source_url": read_link,
    "note": short_reader(1_000),
    "is_sample": read_boolean,
}
