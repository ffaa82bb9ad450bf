"""Which parts may know of which: the models are pure, the services know no web, and only the repository speaks SQL."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parents[2] / "app"
FRAMEWORKS = ("fastapi", "starlette", "sqlmodel", "sqlalchemy", "pydantic_settings", "httpx", "jinja2", "uvicorn")
WORLD = ("logging", "structlog", "time", "os", "socket", "random", "app.settings")
VIEWS = ("app.api", "app.web", "app.main", "app.cli", "app.ops")

RULES = {
    "memory": (*FRAMEWORKS, *WORLD, *VIEWS, "pydantic", "app.services", "app.catalogue", "app.request", "app.speed"),
    "speed": (*FRAMEWORKS, *WORLD, *VIEWS, "pydantic", "app.services", "app.catalogue", "app.request"),
    "request": (*FRAMEWORKS, *WORLD, *VIEWS, "app.services", "app.catalogue"),
    "services": (*FRAMEWORKS, *WORLD, *VIEWS),
    "api": ("sqlmodel", "sqlalchemy", "app.catalogue.database", "app.catalogue.repository", "app.catalogue.tables"),
    "web": ("sqlmodel", "sqlalchemy", "app.catalogue.database", "app.catalogue.repository", "app.catalogue.tables"),
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", RULES)
def test_a_part_imports_nothing_it_should_not_know(package: str) -> None:
    files = sorted((APP / package).rglob("*.py"))
    assert files
    for path in files:
        known = [f"{name}." for name in imports(path)]
        found = [(name, rule) for name in known for rule in RULES[package] if name.startswith(f"{rule}.")]
        assert not found, path.name
