"""Price lists as files: rows of named values, read from and written to CSV and JSON.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@`` as a formula. Such cells are written with an
apostrophe before them, which reading takes off again, so that a list survives the round trip unchanged.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from app.catalogue.facts import Offer
from app.strict_json import RepeatedKeyError, distinct

COLUMNS: Final = (
    "provider",
    "gpu",
    "gpus_per_server",
    "amount",
    "currency",
    "period",
    "commitment",
    "minimum_term",
    "setup_fee",
    "tax_included",
    "region",
    "in_stock",
    "observed_on",
    "order_url",
    "cpu",
    "cpu_count",
    "memory_gb",
    "disk",
    "network",
    "software",
    "sku",
    "source",
    "source_url",
    "note",
    "is_sample",
)
"""The columns of a price list, each named as in :class:`~app.catalogue.facts.Offer`."""

SYNONYMS: Final = {
    "price": "amount",
    "gpu_count": "gpus_per_server",
    "gpus": "gpus_per_server",
    "date": "observed_on",
    "url": "order_url",
    "vcpus": "cpu_count",
    "ram_gb": "memory_gb",
    "location": "region",
}

_RUN_BY_SPREADSHEETS: Final = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED: Final = re.compile(r"'+[=+\-@\t\r]")


class FileError(ValueError):
    """A file that is no price list at all; the message says why."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as it stands in the file. ``number`` is the line of a CSV file (its header is 1) or a place in a list."""

    number: int
    values: Mapping[str, Any]


def read_csv(content: bytes) -> list[RawRow]:
    """Rows of a CSV file in UTF-8 with a header; commas, semicolons or tabs separate. Raises :class:`FileError`."""
    text = _decode(content)
    header_line = text.lstrip("\n").partition("\n")[0]
    delimiter = max(",;\t", key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [_column(name) for name in next(reader, [])]
        if not any(header):
            raise FileError("the file is empty; it needs a header such as gpu,gpus_per_server,amount,currency,period")
        repeated = sorted({name for name in header if name and header.count(name) > 1})
        if repeated:
            raise FileError(f"the column {repeated[0]} stands in the header more than once")
        return list(_csv_rows(reader, header))
    except csv.Error as error:
        raise FileError(f"line {reader.line_num}: {error}") from error


def _csv_rows(reader: Any, header: Sequence[str]) -> Iterator[RawRow]:
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        values: dict[str, Any] = {
            name: _unescape(cell.strip()) for name, cell in zip(header, cells, strict=False) if name and cell.strip()
        }
        if len(cells) > len(header):
            values["(beyond the header)"] = cells[len(header)]
        yield RawRow(reader.line_num, values)


def read_json(content: bytes) -> list[RawRow]:
    """Rows of a JSON list of objects, or of an object whose ``offers`` is one. Raises :class:`FileError`."""
    text = _decode(content)
    try:
        loaded = json.loads(text, parse_float=_number, parse_constant=_refuse_constant, object_pairs_hook=distinct)
    except RecursionError as error:
        raise FileError("the JSON is nested too deeply") from error
    except ValueError as error:
        raise FileError(f"not JSON: {error}") from error
    return rows_of(loaded)


def rows_of(loaded: object) -> list[RawRow]:
    """Rows of what was read from JSON already. Raises :class:`FileError`."""
    rows = loaded.get("offers") if isinstance(loaded, Mapping) else loaded
    if not isinstance(rows, list):
        raise FileError('expected a list of offers, or an object such as {"offers": […]}')
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise FileError(f"offer {number} is not an object")
    return [RawRow(number, _columns(number, row)) for number, row in enumerate(rows, start=1)]


def _columns(number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    given = [(_column(name), value) for name, value in row.items() if value is not None and value != ""]
    try:
        return distinct(given)
    except RepeatedKeyError as error:
        raise FileError(f"offer {number}: {error}") from error


def write_csv(offers: Iterable[Offer]) -> str:
    """A price list that :func:`read_csv` takes back unchanged, safe to open in a spreadsheet."""
    output = io.StringIO(newline="")
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(COLUMNS)
    for offer in offers:
        writer.writerow(_escape(_text(getattr(offer, name))) for name in COLUMNS)
    return output.getvalue()


def write_json(offers: Iterable[Offer]) -> str:
    """A price list that :func:`read_json` takes back unchanged; amounts are strings, so that none is rounded."""
    rows = [
        {name: value for name in COLUMNS if (value := _json_value(getattr(offer, name))) is not None}
        for offer in offers
    ]
    return json.dumps({"offers": rows}, ensure_ascii=False, indent=1) + "\n"


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"not UTF-8 at byte {error.start}; save the file as UTF-8") from error


def _column(name: str) -> str:
    plain = re.sub(r"[\s-]+", "_", name.strip().lower())
    return SYNONYMS.get(plain, plain)


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:  # an exponent of nineteen digits or more
        raise ValueError(f"the number {text[:20]}… has too long an exponent") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _json_value(value: object) -> object:
    return value if value is None or isinstance(value, bool | int) else _text(value)


def _escape(cell: str) -> str:
    return f"'{cell}" if _RUN_BY_SPREADSHEETS.match(cell) else cell


def _unescape(cell: str) -> str:
    return cell[1:] if _ESCAPED.match(cell) else cell
