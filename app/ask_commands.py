"""``vram-fit solve``: an inverse question at the command line, over the catalogue in the database."""

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Final, NoReturn

import typer

from app.api.serialise import Serialiser
from app.catalogue.commands import current_settings, opened_database
from app.catalogue.service import CatalogueService
from app.request import FieldError, RequestError, SolveRequest, Unknown, parse_query
from app.services.policy import Policy
from app.services.report import gib
from app.services.solve import solve as answer
from app.services.solved import SolveResult
from app.settings import Settings

FREE_FLAGS: Final = {"allow_extra_args": True, "ignore_unknown_options": True}
_JSON: Final = Serialiser[SolveResult](SolveResult)


def solve(
    context: typer.Context,
    unknown: Annotated[Unknown, typer.Argument(help="What to find.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's whole answer.")] = False,
) -> None:
    """Find the largest micro_batch_size, sequence_length, lora_rank or model, or the smallest num_gpus, that fits.

    Any field of the API's /solve is an option: vram-fit solve sequence_length --model llama-3-8b --method qlora
    --gpu rtx-4090. Say --gpu, --budget or both.
    """
    settings = current_settings()
    with opened_database() as database:
        snapshot = CatalogueService(database).snapshot
    if not snapshot.models:
        _fail("The catalogue is empty: run vram-fit catalogue load.")
    try:
        given = parse_query([("unknown", unknown.value), *_pairs(context.args)], model=SolveRequest)
        result = answer(given, snapshot, datetime.now(UTC).date(), _policy(settings))
    except RequestError as problem:
        _fail(*(_sentence(error) for error in problem.errors))
    if as_json:
        typer.echo(json.dumps(json.loads(_JSON(result)), indent=2, ensure_ascii=False))
        return
    for line in _lines(result):
        typer.echo(line)


def _pairs(arguments: list[str]) -> list[tuple[str, str]]:
    """``--gpu rtx-4090`` and ``--gpu=rtx-4090`` as pairs; hyphens in names stand for underscores."""
    pairs: list[tuple[str, str]] = []
    waiting = list(arguments)
    while waiting:
        flag, has_value, value = waiting.pop(0).partition("=")
        if not flag.startswith("--") or flag == "--":
            _fail(f"{flag} is neither an option nor the value of one.")
        if not has_value:
            if not waiting:
                _fail(f"{flag} needs a value.")
            value = waiting.pop(0)
        pairs.append((flag.removeprefix("--").replace("-", "_"), value))
    return pairs


def _policy(settings: Settings) -> Policy:
    """The operator's market; models are those of the catalogue."""
    return Policy(
        currency=settings.currency,
        offer_max_age_days=settings.offer_max_age_days,
        include_spot=settings.include_spot,
        include_samples=not settings.hide_samples,
    )


def _lines(result: SolveResult) -> list[str]:
    memory = result.memory
    lines = [
        result.sentence,
        result.limit.text,
        f"Needs {gib(memory.required_bytes)} GiB, likely {gib(memory.required_low_bytes)} to "
        f"{gib(memory.required_high_bytes)}; {result.verdict.gpu_name} gives {gib(result.verdict.usable_bytes)}.",
    ]
    if result.cost is not None and result.time is not None:
        lines.append(
            f"The job takes {result.time.total_seconds / 3600:.1f} hours and costs {result.cost.amount} "
            f"{result.cost.currency} with {result.cost.offer.provider}."
        )
    if result.suggestion is not None:
        lines.append(result.suggestion.text)
    return lines


def _sentence(error: FieldError) -> str:
    allowed = f" It takes {error.allowed}." if error.allowed else ""
    return f"{error.field} {error.message}{allowed}"


def _fail(*messages: str) -> NoReturn:
    for message in messages:
        typer.echo(message, err=True)
    sys.exit(1)
