"""``/docs``: the OpenAPI document as a page of this site, without scripts from elsewhere."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.state import state_of
from app.request import THEME_TITLES, FieldSpec, Kind, Theme, fields_of, text_of
from app.request.model import Run
from app.stacks import STACKS
from app.web.components import PageMeta
from app.web.pages import page_context, respond
from app.web.shell import PageContext, page_meta
from app.web.templating import render

router = APIRouter(include_in_schema=False)

_METHODS: Final = ("get", "post")


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldRow:
    """One field of a run."""

    name: str
    help: str
    allowed: str
    default: str
    aliases: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldGroup:
    """The fields of one theme."""

    title: str
    rows: tuple[FieldRow, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A call to paste."""

    title: str
    command: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A query parameter that is no field of a run."""

    name: str
    help: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One operation of the API."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    takes_run: bool
    parameters: tuple[Parameter, ...]
    statuses: tuple[Parameter, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StackRow:
    """What a stack sets one field to, and where that was read."""

    field: str
    value: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StackView:
    """One stack."""

    name: str
    title: str
    version: str
    summary: str
    rows: tuple[StackRow, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DocsPage:
    """Everything the page shows."""

    meta: PageMeta
    operations: tuple[Operation, ...]
    fields: tuple[FieldGroup, ...]
    stacks: tuple[StackView, ...]
    base_url: str


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The API's reference."""
    context = page_context(request, state_of(request))
    page = docs_page(context, request.app.openapi())
    return respond(render("docs.html", page, context.fmt.translations).encode())


def docs_page(context: PageContext, document: Mapping[str, Any]) -> DocsPage:
    """The page of an OpenAPI document, for a site at the context's address."""
    return DocsPage(
        meta=page_meta(
            context,
            path="/docs",
            title="API",
            description="Every address, field and default of the API, with calls to paste.",
        ),
        operations=tuple(_operations(document, context.base_url)),
        fields=tuple(_groups()),
        stacks=tuple(_stacks()),
        base_url=context.base_url,
    )


def _operations(document: Mapping[str, Any], base_url: str) -> Iterator[Operation]:
    own = fields_of(Run)
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method not in item:
                continue
            operation = item[method]
            parameters = operation.get("parameters", [])
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            named = [(entry["name"], entry.get("description", "")) for entry in parameters]
            named += [
                (name, schema.get("description", ""))
                for name, schema in body.get("schema", {}).get("properties", {}).items()
            ]
            yield Operation(
                anchor=operation["operationId"].replace("_", "-"),
                method=method.upper(),
                path=path,
                summary=operation["summary"],
                description=operation.get("description", "").replace("``", ""),
                takes_run=any(name == "lora_rank" for name, _ in named),
                parameters=tuple(Parameter(name=name, help=text) for name, text in named if name not in own),
                statuses=tuple(
                    Parameter(name=status, help=response["description"])
                    for status, response in operation["responses"].items()
                ),
                examples=tuple(_examples(base_url, path, method, parameters, body)),
            )


def _examples(
    base_url: str, path: str, method: str, parameters: list[dict[str, Any]], body: Mapping[str, Any]
) -> Iterator[Example]:
    url = base_url + path.replace("{slug}", "llama-3-8b" if "models" in path else "rtx-4090")
    for example in body.get("examples", {}).values():
        sent = json.dumps(example["value"], ensure_ascii=False)
        command = f"curl {shlex.quote(url)} -H 'Content-Type: application/json' -d {shlex.quote(sent)}"
        yield Example(title=example["summary"], command=command)
    if method == "get":
        pairs = [(entry["name"], entry["example"]) for entry in parameters if "example" in entry]
        query = "&".join(f"{name}={quote(text_of(value), safe=',:/')}" for name, value in pairs)
        yield Example(title="As an address", command=f"curl {shlex.quote(f'{url}?{query}' if query else url)}")


def _groups() -> Iterator[FieldGroup]:
    for theme in Theme:
        rows = tuple(_row(spec) for spec in fields_of(Run).values() if spec.theme is theme)
        yield FieldGroup(title=THEME_TITLES[theme], rows=rows)


def _row(spec: FieldSpec) -> FieldRow:
    default = "by the stack" if spec.set_by_stack else text_of(spec.default) or "not given"
    unit = f", in {spec.unit}" if spec.unit and spec.kind in {Kind.INTEGER, Kind.NUMBER} else ""
    return FieldRow(
        name=spec.name,
        help=spec.help,
        allowed=spec.allowed + unit,
        default=default,
        aliases=", ".join(spec.aliases),
    )


def _stacks() -> Iterator[StackView]:
    for stack in STACKS.values():
        rows = [
            StackRow(field=name, value=text_of(entry.value), source=entry.source)
            for name, entry in stack.values.items()
        ]
        rows += [
            StackRow(field=f"{name} ({method})", value=text_of(entry.value), source=entry.source)
            for method, entries in stack.by_method.items()
            for name, entry in entries.items()
        ]
        yield StackView(
            name=stack.name, title=stack.title, version=stack.version, summary=stack.summary, rows=tuple(rows)
        )
