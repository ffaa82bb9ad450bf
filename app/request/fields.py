"""The field registry: what forms, the OpenAPI document, the command line and embeds are generated from."""

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.memory.inputs import LoraTargetPreset
from app.messages import mark, message
from app.request.about import About, Theme
from app.request.model import Run

STACK_FIELDS: frozenset[str] = frozenset(
    {
        "precision",
        "adapter_dtype",
        "upcast_non_quantized",
        "gradient_checkpointing",
        "attention",
        "optimizer",
        "embedding_state_32bit",
        "max_grad_norm",
        "loss_kernel",
        "keep_logits",
        "packing",
    }
)
"""The only fields that a stack sets; every other field has one default under every stack."""


class Kind(StrEnum):
    """The shape of a field's value."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    TEXT = "text"
    LIST = "list"
    OBJECT = "object"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One value of a closed set and the words for it."""

    value: str
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldSpec:
    """One field of the request, as views see it."""

    name: str
    label: str
    help: str
    theme: Theme
    kind: Kind
    unit: str | None
    minimum: float | None
    maximum: float | None
    minimum_excluded: bool
    choices: tuple[Choice, ...]
    """The values of a closed set; for ``lora_target_modules`` the presets, beside free names. Booleans have two."""
    item_choices: tuple[Choice, ...]
    """The values a list may hold, where that is a closed set."""
    default: object
    """The ``plain`` column's value."""
    set_by_stack: bool
    aliases: tuple[str, ...]
    about: About
    body_only: bool

    @property
    def attribute(self) -> str:
        """The field's name as an HTML attribute or a command line flag: hyphens for underscores."""
        return self.name.replace("_", "-")

    @property
    def allowed(self) -> str:
        """What the field takes, in words, for an error message."""
        if self.kind is Kind.BOOLEAN:
            return mark("true or false")
        if self.item_choices:
            return message("a list of {names}", names=", ".join(choice.value for choice in self.item_choices))
        if self.kind is Kind.LIST and self.choices:
            presets = ", ".join(choice.value for choice in self.choices)
            return message("{presets}, or a list of module names", presets=presets)
        if self.choices:
            return ", ".join(choice.value for choice in self.choices)
        if self.kind in {Kind.INTEGER, Kind.NUMBER}:
            return self._allowed_number()
        return {Kind.LIST: mark("a list of names"), Kind.OBJECT: mark("an object")}.get(self.kind, mark("text"))

    def _allowed_number(self) -> str:
        is_whole = self.kind is Kind.INTEGER
        if self.minimum is None or self.maximum is None:
            return mark("a whole number") if is_whole else mark("a number")
        bounds = {"minimum": round(self.minimum), "maximum": round(self.maximum)}
        if self.minimum_excluded:
            return message("a number above {minimum} and up to {maximum}", **bounds)
        if is_whole:
            return message("a whole number from {minimum} to {maximum}", **bounds)
        return message("a number from {minimum} to {maximum}", **bounds)


def _members(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a type, without None and without annotations."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if origin in {types.UnionType, typing.Union}:
        return tuple(
            inner for part in typing.get_args(annotation) for inner in _members(part) if inner is not type(None)
        )
    return (annotation,)


def _kind(members: tuple[Any, ...]) -> Kind:
    if any(typing.get_origin(member) is tuple for member in members):
        return Kind.LIST
    only = members[0]
    if typing.get_origin(only) is dict:
        return Kind.OBJECT
    if isinstance(only, type) and issubclass(only, StrEnum):
        return Kind.CHOICE
    return {bool: Kind.BOOLEAN, int: Kind.INTEGER, float: Kind.NUMBER, Decimal: Kind.NUMBER}.get(only, Kind.TEXT)


def _choices(members: tuple[Any, ...], kind: Kind, about: About) -> tuple[Choice, ...]:
    if about.choices:
        return tuple(Choice(value=value, label=label) for value, label in about.choices.items())
    if kind is Kind.BOOLEAN:
        values = ["true", "false"]
    else:
        values = [
            str(value)
            for member in members
            if isinstance(member, type) and issubclass(member, StrEnum)
            for value in member
        ]
    return tuple(Choice(value=value, label=about.labels.get(value, value)) for value in values)


def _item_choices(members: tuple[Any, ...], about: About) -> tuple[Choice, ...]:
    items = tuple(typing.get_args(member)[0] for member in members if typing.get_origin(member) is tuple)
    return _choices(items, Kind.LIST, about)


def _bounds(info: FieldInfo) -> tuple[float | None, float | None, bool]:
    low: Any = None
    high: Any = None
    excluded = False
    for constraint in info.metadata:
        if isinstance(constraint, Ge):
            low = constraint.ge
        elif isinstance(constraint, Gt):
            low, excluded = constraint.gt, True
        elif isinstance(constraint, Le):
            high = constraint.le
    return low, high, excluded


def _spec(name: str, info: FieldInfo) -> FieldSpec:
    about = next(item for item in info.metadata if isinstance(item, About))
    members = _members(info.annotation)
    kind = Kind.CHOICE if about.choices else _kind(members)
    low, high, excluded = _bounds(info)
    return FieldSpec(
        name=name,
        label=about.label,
        help=info.description or "",
        theme=about.theme,
        kind=kind,
        unit=about.unit,
        minimum=low,
        maximum=high,
        minimum_excluded=excluded,
        choices=_choices(members, kind, about),
        item_choices=_item_choices(members, about),
        default=info.default,
        set_by_stack=name in STACK_FIELDS,
        aliases=(*about.aliases, *about.switches),
        about=about,
        body_only=about.body_only,
    )


@lru_cache
def fields_of(model: type[BaseModel]) -> Mapping[str, FieldSpec]:
    """The registry of a request model, in the model's order."""
    return types.MappingProxyType({name: _spec(name, info) for name, info in model.model_fields.items()})


@lru_cache
def names_of(model: type[BaseModel]) -> Mapping[str, FieldSpec]:
    """Every accepted key of a request model, aliases included, with the field it stands for."""
    known = dict(fields_of(model))
    for spec in fields_of(model).values():
        for alias in spec.aliases:
            known.setdefault(alias, spec)
    return types.MappingProxyType(known)


FIELDS: Mapping[str, FieldSpec] = fields_of(Run)
"""Every field of a run, by name."""

TARGET_PRESETS: frozenset[str] = frozenset(LoraTargetPreset)
