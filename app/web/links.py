"""Addresses: a run as a query string that carries only what was chosen."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from app.request import FIELDS, Run, text_of

RunFields = Mapping[str, Any]
"""What a visitor chose, by field name."""

UNQUOTED: Final = ",/:"
"""Left as they are in queries, where they are allowed and read better."""

_PLACES: Final = {name: place for place, name in enumerate(FIELDS)}


def chosen_fields(given: Run) -> dict[str, Any]:
    """What a request chose: the fields given, without those that say no more than the one default under every stack.

    A form sends every control; a link that repeats the defaults would be unreadable. The method stays in any case.
    """
    chosen: dict[str, Any] = {}
    for name, spec in FIELDS.items():
        if name not in given.model_fields_set or spec.body_only:
            continue
        value = getattr(given, name)
        says_no_more = value == spec.default and not spec.set_by_stack and name != "method"
        if value not in {None, ()} and not says_no_more:
            chosen[name] = value
    return chosen


LONGEST_KEPT: Final = 128
"""Letters of a text that is kept encoded: what visitors send must not fill a worker's memory."""


@lru_cache(maxsize=512)
def _pair(name: str, text: str) -> str:
    """A field as it stands in a query; kept, since a page writes the same run some twenty times."""
    return f"{quote(name, safe=UNQUOTED)}={quote(text, safe=UNQUOTED)}"


@lru_cache(maxsize=256)
def _in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """Fields in the registry's order, others after them."""
    return tuple(sorted(names, key=lambda name: _PLACES.get(name, len(_PLACES))))


def run_query(fields: RunFields, changes: RunFields | None = None) -> str:
    """Fields with ``changes`` applied (None takes one out) as a query string, in the registry's order."""
    merged = {**fields, **changes} if changes else fields
    given = [(name, text_of(merged[name])) for name in _in_order(tuple(merged)) if merged[name] is not None]
    return "&".join(
        [_pair(name, text) if len(text) <= LONGEST_KEPT else _pair.__wrapped__(name, text) for name, text in given]
    )


def page_link(fields: RunFields, changes: RunFields | None = None, path: str = "/") -> str:
    """A page's address for a run, relative to the host."""
    query = run_query(fields, changes)
    return f"{path}?{query}" if query else path
