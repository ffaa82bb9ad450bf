"""Results to JSON bytes, once and without Python code for each value."""

from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from pydantic_core import SchemaSerializer, core_schema

Result = TypeVar("Result")


class Serialiser(Generic[Result]):
    """Writes one type of result.

    pydantic asks every enumeration member for its ``value`` through Python, and a result holds more than a hundred.
    All of ours are ``StrEnum``, strings themselves, so they are written as such: the same bytes in two thirds of the
    time. Validation and the OpenAPI document are untouched.
    """

    def __init__(self, kind: Any) -> None:
        schema = TypeAdapter(kind).core_schema
        _write_as_strings(schema, set())
        self._serializer = SchemaSerializer(schema)

    def __call__(self, result: Result) -> bytes:
        """The result as JSON."""
        return self._serializer.to_json(result)


def _write_as_strings(schema: Any, seen: set[int]) -> None:
    if id(schema) in seen:
        return
    seen.add(id(schema))
    if isinstance(schema, dict):
        if _is_string_enum(schema) or _is_union_of_them(schema):
            schema["serialization"] = core_schema.simple_ser_schema("str")
        for part in schema.values():
            _write_as_strings(part, seen)
    elif isinstance(schema, list | tuple):
        for part in schema:
            _write_as_strings(part, seen)


def _is_string_enum(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "enum" and schema.get("sub_type") == "str"


def _is_union_of_them(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "union" and all(_is_string_enum(choice) for choice in schema["choices"])
