"""Pasted configurations keep their permalink, within bounds, on both databases."""

from pathlib import Path

from app.catalogue.configs import StoredConfigs
from app.catalogue.database import Database
from app.catalogue.migrate import migrate


def test_a_kept_configuration_is_found_by_another_replica(database: Database) -> None:
    StoredConfigs(database, limit=10).put("a" * 32, {"model_type": "llama", "hidden_size": 8})
    assert StoredConfigs(database, limit=10).get("a" * 32) == {"model_type": "llama", "hidden_size": 8}
    assert StoredConfigs(database, limit=10).get("b" * 32) is None


def test_beyond_the_limit_the_least_recently_used_goes(database: Database) -> None:
    for number in range(5):
        StoredConfigs(database, limit=3).put(f"{number:032d}", {"number": number})
        StoredConfigs(database, limit=3).put(f"{0:032d}", {"number": 0})
    kept = [number for number in range(5) if StoredConfigs(database, limit=3).get(f"{number:032d}") is not None]
    assert kept == [0, 3, 4]


def test_a_lost_database_does_not_lose_what_was_put(tmp_path: Path) -> None:
    store = StoredConfigs(Database(f"sqlite:///{tmp_path / 'never-migrated.db'}"), limit=3)
    store.put("a" * 32, {"hidden_size": 8})
    assert store.get("a" * 32) == {"hidden_size": 8}
    assert store.get("b" * 32) is None


def test_what_was_put_while_the_database_was_away_is_written_once_it_is_back(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'catalogue.db'}")
    store = StoredConfigs(database, limit=3)
    store.put("a" * 32, {"number": 1})
    assert StoredConfigs(database, limit=3).get("a" * 32) is None
    migrate(database)
    store.put("b" * 32, {"number": 2})
    assert StoredConfigs(database, limit=3).get("a" * 32) == {"number": 1}
    assert StoredConfigs(database, limit=3).get("b" * 32) == {"number": 2}
    database.close()
