"""The models are pure: no I/O, no clock, no framework, no settings — read from the syntax tree of every file."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PURE = ("app/memory", "app/speed", "app/planning", "app/serving")

FORBIDDEN = {
    "fastapi": "a framework",
    "starlette": "a framework",
    "pydantic": "a framework",
    "pydantic_settings": "settings",
    "sqlmodel": "a database",
    "sqlalchemy": "a database",
    "psycopg": "a database",
    "sqlite3": "a database",
    "redis": "a database",
    "httpx": "the network",
    "requests": "the network",
    "urllib": "the network",
    "socket": "the network",
    "logging": "logging",
    "structlog": "logging",
    "time": "the clock",
    "random": "chance",
    "secrets": "chance",
    "os": "the operating system",
    "sys": "the operating system",
    "io": "I/O",
    "pathlib": "I/O",
    "importlib": "I/O",
    "shutil": "I/O",
    "tempfile": "I/O",
    "subprocess": "processes",
    "threading": "processes",
    "asyncio": "processes",
}
FORBIDDEN_CALLS = {"open", "print", "input", "exec", "eval", "__import__"}
CLOCK = {"today", "now", "utcnow"}
"""Dates are values; reading today's is not."""

OF_THE_PROJECT = {
    "app/memory": ("app.memory", "app.messages", "app.units"),
    "app/speed": ("app.speed", "app.memory", "app.messages", "app.units"),
    "app/planning": ("app.planning", "app.speed", "app.memory", "app.messages", "app.units"),
    "app/serving": ("app.serving", "app.memory", "app.units"),
}


def files() -> list[Path]:
    return [path for folder in PURE for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_pure_module_reaches_nothing_outside(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = "/".join(path.relative_to(ROOT).parts[:2])
    for name in imported(tree):
        top = name.partition(".")[0]
        if top == "app":
            assert name.startswith(OF_THE_PROJECT[package]), f"{name} is outside {package}'s reach"
        else:
            assert top not in FORBIDDEN, f"{name} is {FORBIDDEN.get(top)}"
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not {call.func.id for call in calls if isinstance(call.func, ast.Name)} & FORBIDDEN_CALLS
    assert not {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)} & CLOCK


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_pure_module_knows_no_path_but_its_own_data_s(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Path":
            assert [ast.unparse(argument) for argument in node.args] == ["__file__"]


def test_there_is_something_to_read() -> None:
    packages = {path.relative_to(ROOT).parts[1] for path in files()}
    assert {"memory", "speed"} <= packages


@pytest.mark.parametrize(
    "source", ["import os", "import time", "import fastapi.routing", "from app.settings import Settings"]
)
def test_the_reading_notices(source: str) -> None:
    (name,) = imported(ast.parse(source))
    top = name.partition(".")[0]
    assert top in FORBIDDEN or not name.startswith(OF_THE_PROJECT["app/memory"])
