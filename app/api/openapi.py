"""OpenAPI fragments generated from the field registry: the run as a body and as query parameters."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel

from app.ops.problem import MEDIA_TYPE
from app.request import FIELDS, FieldSpec, Kind, Run, fields_of, text_of

PROBLEM_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "allowed": {"type": "string"},
                    "suggestions": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}

_DESCRIPTIONS: Mapping[int, str] = {
    400: "The body is not valid JSON.",
    401: "No key was sent, or one that is not known.",
    403: "The key does not open this.",
    404: "There is no such thing.",
    405: "The address does not take this method.",
    406: "No representation that the caller accepts.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "Fields have errors; each is named, with what is allowed.",
    429: "Too soon: Retry-After says when.",
    503: "Not ready.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses=`` entries of problem documents."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _DESCRIPTIONS[status], "content": content} for status in statuses}


def field_schema(spec: FieldSpec) -> dict[str, Any]:
    """The JSON schema of one field, without "not given"."""
    schema: dict[str, Any]
    if spec.kind is Kind.LIST:
        schema = {
            "type": "array",
            "items": {"type": "string", "pattern": "^[A-Za-z0-9_.]+$", "maxLength": 80},
            "maxItems": 64,
        }
    elif spec.kind is Kind.CHOICE:
        schema = {"type": "string", "enum": [choice.value for choice in spec.choices]}
    elif spec.kind is Kind.OBJECT:
        schema = {"type": "object"}
    elif spec.kind is Kind.BOOLEAN:
        schema = {"type": "boolean"}
    elif spec.kind is Kind.TEXT:
        schema = {"type": "string", "maxLength": 200}
    else:
        schema = {"type": str(spec.kind)}
        if spec.minimum is not None:
            schema["exclusiveMinimum" if spec.minimum_excluded else "minimum"] = spec.minimum
        if spec.maximum is not None:
            schema["maximum"] = spec.maximum
    return schema


def _described(spec: FieldSpec, schema: dict[str, Any]) -> dict[str, Any]:
    notes = [spec.help]
    if spec.unit:
        notes.append(f"Unit: {spec.unit}.")
    if spec.set_by_stack:
        notes.append("Set by the stack unless given.")
    if spec.aliases:
        notes.append(f"Also accepted as {', '.join(spec.aliases)}.")
    schema["description"] = " ".join(notes)
    plain = spec.default.value if isinstance(spec.default, Enum) else spec.default
    if not spec.set_by_stack and plain not in (None, ()):
        schema["default"] = plain
    return schema


def _body_property(spec: FieldSpec) -> dict[str, Any]:
    shapes = [field_schema(spec)]
    if spec.name == "gradient_checkpointing":
        shapes.append({"type": "boolean"})
    if spec.kind is Kind.LIST:
        shapes.append({"type": "string", "description": "A preset, or names separated by commas."})
    return _described(spec, {"anyOf": [*shapes, {"type": "null"}]})


def body_schema(model: type[BaseModel] = Run) -> dict[str, Any]:
    """The JSON schema of a request's body."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _body_property(spec) for name, spec in fields_of(model).items()},
    }


def query_parameters(model: type[BaseModel] = Run, *, example: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The same request as query parameters; lists as repeated keys or commas."""
    shown = example or {}
    parameters = []
    for name, spec in fields_of(model).items():
        if spec.body_only:
            continue
        schema = _described(spec, field_schema(spec))
        entry: dict[str, Any] = {"name": name, "in": "query", "required": False, "schema": schema}
        entry["description"] = schema.pop("description")
        if spec.kind is Kind.LIST:
            entry |= {"style": "form", "explode": True}
            schema.pop("default", None)
        if name in shown:
            entry["example"] = shown[name]
        parameters.append(entry)
    return parameters


def json_body(schema: dict[str, Any], examples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A required JSON body with named examples."""
    return {"required": True, "content": {"application/json": {"schema": schema, "examples": dict(examples)}}}


def example_query(values: Mapping[str, Any]) -> str:
    """A run written as the query string of an example."""
    return "&".join(f"{name}={text_of(value)}" for name, value in values.items() if name in FIELDS)
