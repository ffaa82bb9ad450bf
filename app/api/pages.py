"""Pages of a list: slices, entity tags, and the same rows as CSV."""

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.responses import Response

Row = TypeVar("Row")
Item = TypeVar("Item")

CSV = "text/csv"


class PageQuery(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(100, ge=1, le=500, description="Most items returned.")
    offset: int = Field(0, ge=0, le=10**9, description="Items left out before the first.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[Item]):
    """Part of a list; ``next`` is the address of the following part, if there is one."""

    items: tuple[Item, ...]
    total: int
    limit: int
    offset: int
    next: str | None


def entity_tag(request: Request, *parts: str) -> str:
    """A strong tag of what was asked and what it was answered from."""
    asked = f"{request.url.path}?{request.url.query}|{request.headers.get('accept', '')}|{'|'.join(parts)}"
    return f'"{hashlib.sha256(asked.encode()).hexdigest()[:24]}"'


def not_modified(request: Request, tag: str) -> Response | None:
    """The 304 that a caller with this tag gets."""
    known = {part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")}
    return Response(status_code=304, headers=cache_headers(tag)) if tag in known or "*" in known else None


def cache_headers(tag: str) -> dict[str, str]:
    """Callers may keep a list, and ask whether it still holds."""
    return {"etag": tag, "cache-control": "public, max-age=0, must-revalidate", "vary": "Accept"}


def wants_csv(request: Request) -> bool:
    """By the address or by the first acceptable type."""
    return (
        request.url.path.endswith(".csv")
        or request.headers.get("accept", "").split(",")[0].split(";")[0].strip() == CSV
    )


def answer(
    request: Request,
    rows: Sequence[Row],
    query: PageQuery,
    present: Callable[[Row], Item],
    adapter: TypeAdapter[Page[Item]],
    tag: str,
) -> Response:
    """A slice of ``rows`` as JSON or CSV; only the slice is presented."""
    if unchanged := not_modified(request, tag):
        return unchanged
    items = tuple(present(row) for row in rows[query.offset : query.offset + query.limit])
    page = Page(
        items=items, total=len(rows), limit=query.limit, offset=query.offset, next=_next(request, query, len(rows))
    )
    if wants_csv(request):
        return as_csv(adapter.dump_python(page, mode="json")["items"], cache_headers(tag), columns_of(adapter))
    return Response(adapter.dump_json(page), media_type="application/json", headers=cache_headers(tag))


def _next(request: Request, query: PageQuery, total: int) -> str | None:
    following = query.offset + query.limit
    if following >= total:
        return None
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name not in {"limit", "offset"}]
    return f"{request.url.path}?{urlencode([*pairs, ('limit', str(query.limit)), ('offset', str(following))])}"


def columns_of(adapter: TypeAdapter[Page[Item]]) -> tuple[str, ...]:
    """The columns of a list's CSV, which do not depend on what is in it."""
    schema = adapter.json_schema(mode="serialization")
    return tuple(_columns("", schema["properties"]["items"]["items"], schema.get("$defs", {})))


def _columns(prefix: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterable[str]:
    for option in (schema, *schema.get("anyOf", ())):
        found = definitions[option["$ref"].rpartition("/")[2]] if "$ref" in option else option
        if "properties" in found:
            for name, inner in found["properties"].items():
                yield from _columns(f"{prefix}.{name}" if prefix else name, inner, definitions)
            return
    yield prefix


def as_csv(items: Iterable[Mapping[str, Any]], headers: Mapping[str, str], columns: Sequence[str]) -> Response:
    """Rows as CSV: nested objects as dotted columns, lists separated by semicolons."""
    flat = [dict(_flat("", item)) for item in items]
    buffer = io.StringIO()
    # A nested object that is not there has no columns of its own; its dotted ones stay empty.
    writer = csv.DictWriter(buffer, fieldnames=columns, restval="", extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(flat)
    return Response(buffer.getvalue(), media_type=CSV, headers=dict(headers))


def _flat(prefix: str, item: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in item.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value)
        elif isinstance(value, list):
            yield f"{prefix}{name}", _cell("; ".join(map(str, value)))
        else:
            yield f"{prefix}{name}", _cell("" if value is None else value)


def _cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if text[:1] in {"=", "+", "@", "\t", "\r"} else text
