"""Addresses: a run as a query string that carries only what was chosen."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from app.request import FIELDS, Run, text_of

RunFields = Mapping[str, Any]
"""What a visitor chose, by field name."""


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


def run_query(fields: RunFields, changes: RunFields | None = None) -> str:
    """Fields with ``changes`` applied (None takes one out) as a query string, in the registry's order."""
    merged = {**fields, **(changes or {})}
    names = [*FIELDS, *(name for name in merged if name not in FIELDS)]
    pairs = [(name, text_of(merged[name])) for name in names if merged.get(name) is not None]
    return urlencode(pairs, quote_via=quote, safe=",/:")


def page_link(fields: RunFields, changes: RunFields | None = None, path: str = "/") -> str:
    """A page's address for a run, relative to the host."""
    query = run_query(fields, changes)
    return f"{path}?{query}" if query else path
