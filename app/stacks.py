"""Named stacks: the defaults of a training software, each value with the place it was read at (``stacks.toml``)."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from app.memory.inputs import MethodKind
from app.request.fields import STACK_FIELDS
from app.request.model import Run

_DATA = Path(__file__).with_name("stacks.toml")


@dataclass(frozen=True, kw_only=True, slots=True)
class StackValue:
    """A default and where it was read."""

    value: Any
    source: str


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The defaults of one training software; ``by_method`` holds what differs for a method."""

    name: str
    title: str
    version: str
    summary: str
    values: Mapping[str, StackValue]
    by_method: Mapping[MethodKind, Mapping[str, StackValue]]

    def sourced_for(self, method: MethodKind) -> Mapping[str, StackValue]:
        """Every field the stack sets for a method, with its source."""
        return {**self.values, **self.by_method.get(method, {})}

    def values_for(self, method: MethodKind) -> Mapping[str, Any]:
        """Every field the stack sets for a method."""
        return _plain_values(self.name, method)


@lru_cache
def _plain_values(name: str, method: MethodKind) -> Mapping[str, Any]:
    return MappingProxyType({field: entry.value for field, entry in STACKS[name].sourced_for(method).items()})


def _typed(raw: Mapping[str, Mapping[str, Any]]) -> Mapping[str, StackValue]:
    """Give the file's words the request's types; a value the request would refuse stops the start."""
    run = Run.model_validate({name: entry["value"] for name, entry in raw.items()})
    return MappingProxyType(
        {name: StackValue(value=getattr(run, name), source=entry["source"]) for name, entry in raw.items()}
    )


def _load() -> Mapping[str, Stack]:
    stacks: dict[str, Stack] = {}
    for name, table in tomllib.loads(_DATA.read_text(encoding="utf-8")).items():
        values = _typed(table["values"])
        if set(values) != STACK_FIELDS:
            raise ValueError(f"stack {name} must set exactly {sorted(STACK_FIELDS)}")
        by_method = {kind: _typed(table[kind]) for kind in MethodKind if kind in table}
        stacks[name] = Stack(
            name=name,
            title=table["title"],
            version=table["version"],
            summary=table["summary"],
            values=values,
            by_method=MappingProxyType(by_method),
        )
    return MappingProxyType(stacks)


STACKS: Mapping[str, Stack] = _load()
"""Every stack by name."""
