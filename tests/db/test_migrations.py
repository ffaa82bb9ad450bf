"""The same migrations, up and down, on both databases."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect
from sqlmodel import SQLModel

from app.catalogue.database import Database
from app.catalogue.migrate import is_current, migrate, migrate_back


def test_the_migrations_make_the_tables_that_the_program_uses(database: Database) -> None:
    assert is_current(database)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []


def test_migrating_twice_changes_nothing_and_back_leaves_nothing(database: Database) -> None:
    migrate(database)
    migrate_back(database)
    assert not is_current(database)
    assert set(inspect(database.engine).get_table_names()) == {"alembic_version"}
    migrate(database)
    assert is_current(database)
