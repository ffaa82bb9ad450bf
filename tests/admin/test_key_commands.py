"""Keys on the command line, on an SQLite file."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.admin.keys import authenticate
from app.catalogue.database import Database
from app.cli import app

KEY = re.compile(r"vramfit_[0-9a-f]{12}_[\w-]{43}")


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A database that was never migrated."""
    address = f"sqlite:///{tmp_path / 'catalogue.db'}"
    monkeypatch.setenv("DATABASE_URL", address)
    monkeypatch.chdir(tmp_path)
    return address


def _run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


def test_the_first_key_is_printed_at_set_up_and_never_again(url: str) -> None:
    (first,) = KEY.findall(_run("migrate")[1])
    assert KEY.findall(_run("migrate")[1]) == []
    holder = authenticate(Database(url), first)
    assert holder is not None
    assert len(holder.scopes) == 4
    assert KEY.findall(_run("key", "list")[1]) == []
    assert _run("key", "revoke", holder.id)[0] == 0
    # Not even after it was revoked: whoever reaches the machine makes another by name.
    assert KEY.findall(_run("migrate")[1]) == []


def test_keys_are_created_with_scopes_listed_and_revoked(url: str) -> None:
    _run("migrate")
    code, output = _run("key", "create", "nightly import", "--scope", "offers", "--scope", "rates")
    (text,) = KEY.findall(output)
    assert code == 0
    holder = authenticate(Database(url), text)
    assert holder is not None
    assert holder.scopes == {"offers", "rates"}
    listed = _run("key", "list")[1]
    assert f"{holder.id}  nightly import  [offers, rates]" in listed
    assert "revoked" in _run("key", "revoke", holder.id)[1]
    assert authenticate(Database(url), text) is None
    assert "revoked 2" in _run("key", "list")[1]


def test_what_cannot_be_done_is_said(url: str) -> None:
    _run("migrate")
    assert _run("key", "revoke", "unknown") == (1, "There is no key unknown.\n")
    assert _run("key", "create", " ")[0] == 1
    assert _run("key", "create", "x", "--scope", "everything")[0] == 2


def test_without_the_operators_side_no_key_is_made(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRAM_FIT_ADMIN_ENABLED", "false")
    assert KEY.findall(_run("migrate")[1]) == []
    assert _run("key", "list")[1] == "There are no keys.\n"
