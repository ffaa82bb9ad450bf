"""A backup holds everything, and putting it back undoes what came later."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.catalogue.database import Database
from app.catalogue.service import CatalogueService
from app.cli import app

PRICES = "gpu,price,currency,period\nrtx-4090,0.42,USD,hour\n"


def _vram_fit(url: str, directory: Path, *words: str, typed: str = "") -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        patch.chdir(directory)
        return CliRunner().invoke(app, list(words), input=typed)


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
    assert made.exit_code == 0, made.stderr
    (tmp_path / "prices.csv").write_text(PRICES)
    imported = _vram_fit(url, tmp_path, "catalogue", "import", "prices.csv", "--provider", "Example")
    assert imported.exit_code == 0, imported.stderr + imported.stdout
    assert _offers(url) != offers
    restored = _vram_fit(url, tmp_path, "restore", str(file), "--yes")
    assert restored.exit_code == 0, restored.stderr
    assert _offers(url) == offers


def test_nothing_is_overwritten_and_nothing_else_restored(catalogue_database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(PRICES)
    again = _vram_fit(catalogue_database_url, tmp_path, "backup", str(file))
    assert again.exit_code == 1
    assert "exists already" in again.stderr
    assert file.read_text() == PRICES
    before = _offers(catalogue_database_url)
    refused = _vram_fit(catalogue_database_url, tmp_path, "restore", str(file), "--yes")
    assert refused.exit_code == 1
    assert "Nothing was changed" in refused.stderr
    assert isinstance(refused.exception, SystemExit)
    assert _offers(catalogue_database_url) == before


def test_a_restore_asks_first(catalogue_database_url: str, tmp_path: Path) -> None:
    asked = _vram_fit(catalogue_database_url, tmp_path, "restore", "any", typed="n\n")
    assert asked.exit_code == 1
    assert "Go on?" in asked.stdout
