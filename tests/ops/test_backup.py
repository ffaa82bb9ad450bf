"""A backup holds everything, and putting it back undoes what came later."""

import os
import subprocess
from pathlib import Path

import pytest

from app.catalogue.database import Database
from app.catalogue.service import CatalogueService
from tests.ops.serving import command

PRICES = "gpu,price,currency,period\nrtx-4090,0.42,USD,hour\n"


def _vram_fit(url: str, directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        env=os.environ | {"DATABASE_URL": url},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def offers(catalogue_database_url: str) -> set[str]:
    return _offers(catalogue_database_url)


def _offers(url: str) -> set[str]:
    database = Database(url)
    try:
        return {offer.id for offer in CatalogueService(database).snapshot.offers()}
    finally:
        database.close()


def test_what_was_backed_up_comes_back(catalogue_database_url: str, tmp_path: Path, offers: set[str]) -> None:
    url, file = catalogue_database_url, tmp_path / "nightly.backup"
    made = _vram_fit(url, tmp_path, "backup", str(file))
    assert made.returncode == 0, made.stderr
    (tmp_path / "prices.csv").write_text(PRICES)
    imported = _vram_fit(url, tmp_path, "catalogue", "import", "prices.csv", "--provider", "Example")
    assert imported.returncode == 0, imported.stderr + imported.stdout
    assert _offers(url) != offers
    restored = _vram_fit(url, tmp_path, "restore", str(file), "--yes")
    assert restored.returncode == 0, restored.stderr
    assert _offers(url) == offers


def test_nothing_is_overwritten_and_nothing_else_restored(catalogue_database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(PRICES)
    again = _vram_fit(catalogue_database_url, tmp_path, "backup", str(file))
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert file.read_text() == PRICES
    before = _offers(catalogue_database_url)
    refused = _vram_fit(catalogue_database_url, tmp_path, "restore", str(file), "--yes")
    assert refused.returncode == 1
    assert "Nothing was changed" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert _offers(catalogue_database_url) == before


def test_a_restore_asks_first(catalogue_database_url: str, tmp_path: Path) -> None:
    asked = subprocess.run(
        command("restore", "any"), input="n\n", capture_output=True, text=True, check=False,
        env=os.environ | {"DATABASE_URL": catalogue_database_url}, cwd=tmp_path,
    )  # fmt: skip
    assert asked.returncode == 1
    assert "Go on?" in asked.stdout
