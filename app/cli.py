"""The command ``vram-fit``: serve, migrate, look after the catalogue, and ask what fits."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from app import __version__
from app.admin.commands import commands as key_commands
from app.admin.commands import print_new_key
from app.ask_commands import FREE_FLAGS, solve
from app.catalogue.commands import commands as catalogue_commands
from app.catalogue.commands import current_settings, opened_database

app = typer.Typer(
    name="vram-fit",
    help="What a fine-tuning run needs, on which card, for how long and for how much.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(catalogue_commands, name="catalogue")
app.add_typer(key_commands, name="key")
app.command("solve", context_settings=dict(FREE_FLAGS))(solve)


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

    from app.ops.logs import log_config

    settings = current_settings()
    host, port = host or settings.host, settings.port if port is None else port
    if (workers or settings.workers) > 1 and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        # Read by prometheus_client when the workers import it: /metrics then tells of all of them.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="vram-fit-metrics-")
    typer.echo(f"VRAM Fit {__version__} on http://{host}:{port}", err=True)
    uvicorn.run(
        "app.main:service",
        factory=True,
        host=host,
        port=port,
        workers=workers or settings.workers,
        log_config=log_config(settings.log_level, settings.log_format),
        limit_concurrency=settings.max_connections,
        timeout_graceful_shutdown=settings.drain_seconds,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=list(settings.trusted_proxies),
    )


@app.command()
def migrate() -> None:
    """Create the tables, or bring them up to date. The first time it prints a key to the operator's pages."""
    from app.admin.keys import create_first_key
    from app.catalogue.migrate import migrate as bring_up_to_date

    with opened_database() as database:
        bring_up_to_date(database)
        first = create_first_key(database) if current_settings().admin_enabled else None
    if first is not None:
        typer.echo("Sign in to /admin with this key, and keep it safe.")
        print_new_key(first)


@app.command()
def backup(target: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")]) -> None:
    """Copy the whole database to a file, while it is in use."""
    from app.ops.backup import BackupError, back_up

    try:
        back_up(current_settings().database_url, target)
    except BackupError as error:
        _fail(f"{error} No backup was made.")
    typer.echo(f"Wrote {target} ({target.stat().st_size:,} bytes)")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A file that backup wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Replace everything in the database by a backup. Migrate and restart the service afterwards."""
    from app.ops.backup import BackupError
    from app.ops.backup import restore as put_back

    if not yes:
        typer.confirm("This replaces everything in the database. Go on?", abort=True)
    try:
        put_back(current_settings().database_url, source)
    except BackupError as error:
        _fail(f"{error} Nothing was changed.")
    typer.echo(f"Restored {source}. Run vram-fit migrate, then restart the service.")


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    sys.exit(1)
