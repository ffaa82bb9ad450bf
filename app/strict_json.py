"""JSON as strictly as it is meant: one value for each key, finite numbers, real text.

A parser that takes the last of two equal keys and a reader who takes the first see two documents in one; we refuse it.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from pydantic_core import from_json

_MARK: Final = "\ufeff"


class RepeatedKeyError(ValueError):
    """An object that gives a key twice."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key “{key[:60]}” stands in one object more than once")


def read_strict_json(content: bytes | str) -> Any:
    """The decoded value; a byte order mark before it is taken for what it is. Raises ``ValueError`` that says why."""
    plain = content.removeprefix(_MARK) if isinstance(content, str) else content.removeprefix(_MARK.encode())
    value = from_json(plain, allow_inf_nan=False)
    try:
        # A second reading, by the parser that shows every pair; the first is the stricter in everything else.
        json.loads(plain, object_pairs_hook=distinct)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def distinct(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """For ``object_pairs_hook``: the pairs as a dictionary. Raises :class:`RepeatedKeyError`."""
    listed = list(pairs)
    found = dict(listed)
    if len(found) < len(listed):
        seen: set[str] = set()
        for key, _ in listed:
            if key in seen:
                raise RepeatedKeyError(key)
            seen.add(key)
    return found
