"""Runs the migrations on the database of the settings, one process at a time."""

from alembic import context
from sqlalchemy import text
from sqlmodel import SQLModel

from app.catalogue import tables  # noqa: F401  (registers the tables)
from app.catalogue.database import Database
from app.settings import Settings

_MIGRATION_LOCK = 7_238_060


def run() -> None:
    database: Database | None = context.config.attributes.get("database")
    own = database is None
    database = database or Database(Settings().database_url)
    try:
        with database.engine.connect().execution_options(write=True) as connection:
            context.configure(
                connection=connection,
                target_metadata=SQLModel.metadata,
                render_as_batch=database.is_sqlite,
                compare_type=True,
            )
            with context.begin_transaction():
                if not database.is_sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
                context.run_migrations()
    finally:
        if own:
            database.close()


run()
