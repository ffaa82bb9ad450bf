"""The command ``vram-fit``: serve, migrate, and look after the catalogue."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from app import __version__
from app.catalogue.database import Database
from app.settings import Settings

app = typer.Typer(
    name="vram-fit",
    help="What a fine-tuning run needs, on which card, for how long and for how much.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
catalogue = typer.Typer(help="Models, cards and prices.", no_args_is_help=True)
app.add_typer(catalogue, name="catalogue")


def main() -> None:
    """Run the command line."""
    app()


@app.command()
def version() -> None:
    """Print the program's version."""
    typer.echo(__version__)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes.")] = None,
) -> None:
    """Serve the pages and the API. The database must be migrated and the catalogue loaded."""
    import uvicorn

    settings = _settings()
    host, port = host or settings.host, settings.port if port is None else port
    typer.echo(f"VRAM Fit {__version__} on http://{host}:{port}", err=True)
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=host,
        port=port,
        workers=workers or settings.workers,
        log_level=settings.log_level,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=list(settings.trusted_proxies),
    )


@app.command()
def migrate() -> None:
    """Create the tables, or bring them up to date."""
    from app.catalogue import migrate as migrations

    with _database() as database:
        migrations.migrate(database)


@catalogue.command("load")
def load() -> None:
    """Load the bundled models, cards and sample prices. A second time changes nothing."""
    from app.catalogue.loading import load_bundled

    with _database() as database:
        changed = load_bundled(database)
    typer.echo(f"Loaded {changed}" if changed else "The bundled catalogue is loaded already")


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"]) or "settings"
            typer.echo(f"{name}: {problem['msg'].removeprefix('Value error, ')}", err=True)
        _fail("The settings are not usable.")


@contextmanager
def _database() -> Iterator[Database]:
    database = Database(_settings().database_url)
    try:
        yield database
    except SQLAlchemyError as error:
        _fail(f"The database did not do that; nothing was changed. {_first_line(error)}")
    finally:
        database.close()


def _first_line(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    sys.exit(1)
