"""Currency rates from a file: ``base, currency, rate, observed_on`` and, if you like, ``source``."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from app.catalogue import repository
from app.catalogue.database import Database
from app.catalogue.facts import Rates
from app.catalogue.importing import ImportRefusedError
from app.catalogue.offer_files import FileError, RawRow, read_csv, read_json
from app.catalogue.offer_rows import RowError
from app.catalogue.tables import AuditEntry
from app.catalogue.values import FieldError, read_currency, read_date, read_positive, read_text


@dataclass(frozen=True, kw_only=True, slots=True)
class RatesReport:
    """What an import of rates changed, or with ``dry_run`` would change."""

    rates: Rates
    changed: Mapping[str, tuple[Decimal | None, Decimal]]
    """By currency: the rate before (None: there was none) and after."""
    dry_run: bool
    version: int | None


def import_rates(
    database: Database, content: bytes, *, is_json: bool, actor: str, today: date, dry_run: bool = False
) -> RatesReport:
    """Import rates against one base currency; earlier ones stay as history. Raises ``FileError`` for a file of another
    kind and ``ImportRefusedError`` for bad rows; both change nothing.
    """
    rates = _read(read_json(content) if is_json else read_csv(content), today)
    with database.changing_catalogue() as session:
        current = repository.read_rates(session)
        known = current.per_base if current.base == rates.base else {}
        changed = {
            currency: (known.get(currency), rate)
            for currency, rate in sorted(rates.per_base.items())
            if known.get(currency) != rate or current.observed_on != rates.observed_on
        }
        version = None
        if changed and not dry_run:
            summary = f"{len(changed)} currency rates of {rates.observed_on}"
            version = repository.add_version(session, actor=actor, summary=summary, facts_changed=True)
            repository.insert_rates(session, rates, version=version)
            session.add(
                AuditEntry(
                    at=version.created_at,
                    actor=actor,
                    action="rates.import",
                    subject=summary,
                    detail={"base": rates.base, "rates": {name: f"{rate:f}" for name, (_, rate) in changed.items()}},
                    catalogue_version=version.number,
                )
            )
        number = version.number if version else None
    return RatesReport(rates=rates, changed=changed, dry_run=dry_run, version=number)


def _read(rows: Sequence[RawRow], today: date) -> Rates:
    errors: list[RowError] = []
    read = [_row(row, today, errors) for row in rows]
    for name in ("base", "observed_on"):
        if len({values.get(name) for values in read}) > 1:
            errors.append(RowError(row=rows[-1].number, field=name, message="must be the same in all rows"))
    currencies = [values.get("currency") for values in read]
    named = Counter(currencies)
    errors += [
        RowError(row=row.number, field="currency", message="stands in the list more than once")
        for row, currency in zip(rows, currencies, strict=True)
        if currency and named[currency] > 1
    ]
    if errors:
        raise ImportRefusedError(errors)
    if not read:
        raise FileError("holds no rates")
    return Rates(
        base=read[0]["base"],
        per_base={values["currency"]: values["rate"] for values in read},
        observed_on=read[0]["observed_on"],
        source=read[0].get("source"),
    )


def _row(row: RawRow, today: date, errors: list[RowError]) -> dict[str, Any]:
    readers: dict[str, Callable[[object], Any]] = {
        "base": read_currency,
        "currency": read_currency,
        "rate": read_positive,
        "observed_on": lambda raw: read_date(raw, today),
        "source": read_text,
    }
    values: dict[str, Any] = {}
    for name, raw in row.values.items():
        try:
            if name not in readers:
                raise FieldError("is not a column of a list of rates")
            values[name] = readers[name](raw)
        except ValueError as error:
            errors.append(RowError(row=row.number, field=name, message=str(error)))
    errors += [
        RowError(row=row.number, field=name, message="is missing")
        for name in ("base", "currency", "rate", "observed_on")
        if name not in row.values
    ]
    return values
