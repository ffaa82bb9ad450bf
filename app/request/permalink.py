"""A run as the query string that asks for it again: only what was given, in the registry's order."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from app.request.fields import fields_of


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
    if changes:
        values.update(changes)
    place = _places(type(given))
    return [
        (name, text_of(value))
        for name, value in sorted(values.items(), key=lambda item: place[item[0]])
        if value is not None and value != () and name != "config"
    ]


@lru_cache
def _places(model: type[BaseModel]) -> Mapping[str, int]:
    return {name: place for place, name in enumerate(fields_of(model))}


def permalink(given: BaseModel, changes: Mapping[str, Any] | None = None) -> str:
    """The query string of a permalink, without the question mark."""
    return "&".join([f"{name}={_quoted(text)}" for name, text in permalink_pairs(given, changes)])


def _quoted(text: str) -> str:
    return text if text.isalnum() and text.isascii() else quote(text, safe=",:/")
