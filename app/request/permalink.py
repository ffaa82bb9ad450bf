"""A run as the query string that asks for it again: only what was given, in the registry's order."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel

from app.request.fields import FIELDS, fields_of


def text_of(value: object) -> str:
    """A field's value as a query string, a form or a command line writes it; ``None`` is the empty string."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    return str(value)


def permalink_pairs(given: BaseModel, changes: Mapping[str, Any] | None = None) -> list[tuple[str, str]]:
    """The pairs of a permalink: the fields that were given, with ``changes`` put in (``None`` takes one out)."""
    values = {name: getattr(given, name) for name in given.model_fields_set}
    values.update(changes or {})
    return [
        (name, text_of(values[name]))
        for name in fields_of(type(given))
        if values.get(name) not in (None, ()) and not (name in FIELDS and FIELDS[name].body_only)
    ]


def permalink(given: BaseModel, changes: Mapping[str, Any] | None = None) -> str:
    """The query string of a permalink, without the question mark."""
    return urlencode(permalink_pairs(given, changes), safe=",:/")
