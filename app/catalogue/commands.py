"""``vram-fit catalogue …``: load, import, export, rates, history."""

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from app.catalogue import repository
from app.catalogue.bundled import slugify
from app.catalogue.changes import Difference, Mode
from app.catalogue.database import Database
from app.catalogue.facts import Offer
from app.catalogue.importing import (
    FileFormat,
    ImportRefusedError,
    ImportReport,
    export_offers,
    import_offers,
    read_price_list,
)
from app.catalogue.loading import load_bundled
from app.catalogue.offer_files import FileError
from app.catalogue.rates import import_rates
from app.settings import Settings

LISTED_ERRORS: Final = 50
LISTED_CHANGES: Final = 200

commands = typer.Typer(help="Models, cards and prices.", no_args_is_help=True)


@commands.command("load")
def load() -> None:
    """Load the bundled models, cards and sample prices. A second time changes nothing."""
    with opened_database() as database:
        changed = load_bundled(database)
    typer.echo(f"Loaded {changed}" if changed else "The bundled catalogue is loaded already")


@commands.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A CSV or JSON price list, or - for standard input.")],
    provider: Annotated[str, typer.Option(help="Whose offers these are.")],
    mode: Annotated[Mode, typer.Option(help="replace also withdraws what the list does not name.")] = Mode.MERGE,
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="Taken from the file's name unless given.")
    ] = None,
    observed_on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day of rows that state none.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference and change nothing.")] = False,
) -> None:
    """Bring in one provider's price list: all of it or, if a row is wrong, nothing."""
    content = _read(file)
    with opened_database() as database:
        report = import_offers(
            database,
            read_price_list(content, file_format or _format_of(file)),
            provider=provider,
            mode=mode,
            actor=command_line_actor(),
            today=datetime.now(UTC).date(),
            observed_on=observed_on.date() if observed_on else None,
            dry_run=dry_run,
        )
    _print_report(report)


@commands.command("export")
def export(
    provider: Annotated[str | None, typer.Option(help="Only this provider's offers.")] = None,
    file_format: Annotated[FileFormat, typer.Option("--format", help="csv or json.")] = FileFormat.CSV,
    samples: Annotated[bool, typer.Option(help="Also the bundled samples.")] = False,
) -> None:
    """Print the current offers as a price list that import takes back."""
    with opened_database() as database, database.reading() as session:
        offers = repository.read_offers(session, provider=slugify(provider) if provider else None)
    wanted = sorted(
        (offer for offer in offers if samples or not offer.is_sample),
        key=lambda offer: (offer.provider, offer.gpu, offer.id),
    )
    sys.stdout.write(export_offers(wanted, file_format))


@commands.command("rates")
def rates(
    file: Annotated[Path, typer.Argument(help="CSV or JSON: base, currency, rate, observed_on, source.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference and change nothing.")] = False,
) -> None:
    """Bring in currency rates; without them nothing is ranked across currencies."""
    with opened_database() as database:
        report = import_rates(
            database,
            _read(file),
            is_json=_format_of(file) is FileFormat.JSON,
            actor=command_line_actor(),
            today=datetime.now(UTC).date(),
            dry_run=dry_run,
        )
    for currency, (before, after) in report.changed.items():
        typer.echo(f"1 {report.rates.base} = {after:f} {currency}" + (f" (was {before:f})" if before else ""))
    _print_outcome(bool(report.changed), dry_run=dry_run, version=report.version)


@commands.command("history")
def history(offer: Annotated[str, typer.Argument(help="An offer's id.")]) -> None:
    """Print all prices that one server has had: when, and by whom."""
    with opened_database() as database, database.reading() as session:
        records = repository.offer_history(session, offer)
    if not records:
        _fail(f"There is no offer {offer}.")
    for record in records:
        ended = (
            f"until {record.retired_at:%Y-%m-%d %H:%M:%S} by {record.retired_by}" if record.retired_at else "current"
        )
        typer.echo(
            f"{record.recorded_at:%Y-%m-%d %H:%M:%S}  {_describe(record.offer)}  by {record.recorded_by}, {ended}"
        )


def current_settings() -> Settings:
    """The settings, or an end that says what is wrong with them."""
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"]) or "settings"
            typer.echo(f"{name}: {problem['msg'].removeprefix('Value error, ')}", err=True)
        _fail("The settings are not usable.")


@contextmanager
def opened_database() -> Iterator[Database]:
    """The database of the settings; what goes wrong with it, or with a file, ends the program with a sentence."""
    database = Database(current_settings().database_url)
    try:
        yield database
    except ImportRefusedError as refusal:
        for problem in refusal.errors[:LISTED_ERRORS]:
            typer.echo(str(problem), err=True)
        more = len(refusal.errors) - LISTED_ERRORS
        if more > 0:
            typer.echo(f"… and {more} more", err=True)
        count = len(refusal.errors)
        _fail(f"{count} {'error' if count == 1 else 'errors'}. Nothing was changed.")
    except FileError as error:
        _fail(f"This price list cannot be used: {error}. Nothing was changed.")
    except SQLAlchemyError as error:
        _fail(f"The database refused: {_first_line(error)}. Nothing was changed.")
    finally:
        database.close()


def command_line_actor() -> str:
    """Who history names for a change made here."""
    try:
        return f"command line ({getpass.getuser()})"
    except (KeyError, OSError):
        return "command line"


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        _fail(f"{file}: {error.strerror}")


def _format_of(file: Path) -> FileFormat:
    return FileFormat.JSON if file.suffix.lower() == ".json" else FileFormat.CSV


def _print_report(report: ImportReport) -> None:
    for reason in report.left_out:
        typer.echo(f"left out: {reason}")
    _print_difference(report.difference)
    typer.echo(f"{report.provider}: {report.difference.summary}")
    _print_outcome(not report.difference.is_empty, dry_run=report.dry_run, version=report.version)


def _print_difference(change: Difference) -> None:
    lines = [f"+ {_describe(offer)}" for offer in change.added]
    lines += [f"~ {_describe(before)} -> {_price(after)}{_other(before, after)}" for before, after in change.changed]
    lines += [f"- {_describe(offer)}" for offer in change.withdrawn]
    for line in lines[:LISTED_CHANGES]:
        typer.echo(line)
    if len(lines) > LISTED_CHANGES:
        typer.echo(f"… and {len(lines) - LISTED_CHANGES} more")


def _print_outcome(changes: bool, *, dry_run: bool, version: int | None) -> None:
    if dry_run:
        typer.echo("Nothing was changed: this was a dry run." if changes else "Nothing would change.")
    else:
        typer.echo(f"This is version {version} of the catalogue." if version else "Nothing changed.")


def _describe(offer: Offer) -> str:
    place = f", {offer.region}" if offer.region else ""
    return f"{offer.id} {offer.gpus_per_server} x {offer.gpu}{place}, {offer.commitment}: {_price(offer)}"


def _price(offer: Offer) -> str:
    return f"{offer.amount:f} {offer.currency}/{offer.period}"


def _other(before: Offer, after: Offer) -> str:
    day: date | None = after.observed_on
    return f" (observed {day})" if day != before.observed_on and day else ""


def _first_line(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    sys.exit(1)
