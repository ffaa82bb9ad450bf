"""Bring a database's tables up to date (or back)."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.catalogue.database import Database

_MIGRATIONS: Final = Path(__file__).parents[2] / "migrations"


def migrate(database: Database, revision: str = "head") -> None:
    """Upgrade to ``revision``; nothing happens where it is reached already."""
    command.upgrade(_config(database), revision)


def migrate_back(database: Database, revision: str = "base") -> None:
    """Downgrade to ``revision``. Loses what the later tables hold."""
    command.downgrade(_config(database), revision)


def is_current(database: Database) -> bool:
    """Whether the tables are those of this program."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_heads() == tuple(_script().get_heads())


def _config(database: Database) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["database"] = database
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory(str(_MIGRATIONS))
