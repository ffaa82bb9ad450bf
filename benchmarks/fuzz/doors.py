"""What an input is sent to: each door takes one and raises only what nobody is meant to see."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, quote_plus, urlencode

from pydantic import BaseModel

from app.catalogue.importing import FileFormat, ImportRefusedError, read_price_list
from app.catalogue.offer_files import FileError
from app.catalogue.offer_rows import RowReader
from app.catalogue.rates import import_rates
from app.catalogue.snapshot import Snapshot
from app.request import CompareRequest, RecommendRequest, RequestError, Run, parse_json, parse_query, permalink
from app.services.estimate import estimate
from benchmarks.fuzz.service import TODAY, Service

REQUESTS: Final = (Run, RecommendRequest, CompareRequest)
JSON: Final = {"content-type": "application/json"}
FORM: Final = {"content-type": "application/x-www-form-urlencoded"}

Door = Callable[[Any], None]


class Kind(StrEnum):
    """What there is to send, with the name it has in the record."""

    CONFIG = "config.json, read and estimated"
    QUERY = "queries and bodies of every request, parsed and written again"
    PAGE = "pages and lists with any query"
    ESTIMATE = "bodies of POST /api/v1/estimate"
    PASTE = "texts pasted as a config.json"
    OFFERS = "lists of offers, read as CSV, JSON, gpuhunt's and rates"
    RATES = "lists of rates, read as the same"
    GPUHUNT = "gpuhunt's lists, read as the same"
    CHAIN = "chains of API calls (schemathesis, stateful)"


def _config(snapshot: Snapshot, config: dict[str, Any]) -> None:
    """As a pasted configuration is taken: read, and computed with where it can be."""
    with suppress(RequestError):
        estimate(parse_json({"config": config, "method": "lora", "gpus": "none"}), snapshot, TODAY)


def _query(model: type[BaseModel], pairs: list[tuple[str, str]]) -> None:
    """Read, written as a permalink and read again, which must come to the same."""
    with suppress(RequestError):
        text = permalink(parse_query(pairs, ignore_unknown=True, model=model))
        assert permalink(parse_query(parse_qsl(text), model=model)) == text


def _strict_query(model: type[BaseModel], pairs: list[tuple[str, str]]) -> None:
    """As an API takes it, from what a browser would make of the pairs."""
    with suppress(RequestError):
        parse_query(parse_qsl(urlencode([*pairs, *pairs[:1]], errors="replace")), model=model)


def _json(model: type[BaseModel], pairs: list[tuple[str, str]]) -> None:
    """The same names and values as a decoded body."""
    with suppress(RequestError):
        parse_json(dict(pairs), model=model)


def _offers(snapshot: Snapshot, file_format: FileFormat, content: bytes) -> None:
    with suppress(FileError):
        rows = read_price_list(content, file_format).rows
        RowReader(snapshot=snapshot, provider="Example Hosting", today=TODAY, observed_on=TODAY).read(rows)


def _rates(service: Service, is_json: bool, content: bytes) -> None:
    with suppress(FileError, ImportRefusedError):
        import_rates(service.database, content, is_json=is_json, actor="fuzz", today=TODAY, dry_run=True)


def _page(service: Service, given: tuple[str, list[tuple[str, str]]]) -> None:
    path, pairs = given
    service.ask("GET", f"{path}?{urlencode(pairs, errors='replace')}", headers={"accept": "text/html"})


def _paste(service: Service, content: bytes) -> None:
    service.ask("POST", "/config", f"config={quote_plus(content)}&run=method%3Dqlora".encode(), FORM)


def _estimate(service: Service, content: bytes) -> None:
    service.ask("POST", "/api/v1/estimate", content, JSON)


def doors(service: Service) -> Mapping[Kind, Sequence[Door]]:
    """All that each kind is sent to; a chain is sent to the service itself."""
    snapshot = Snapshot.bundled()
    files = (
        *(partial(_offers, snapshot, file_format) for file_format in FileFormat),
        *(partial(_rates, service, is_json) for is_json in (False, True)),
    )
    return {
        Kind.CONFIG: (partial(_config, snapshot),),
        Kind.QUERY: tuple(partial(door, model) for door in (_query, _strict_query, _json) for model in REQUESTS),
        Kind.PAGE: (partial(_page, service),),
        Kind.ESTIMATE: (partial(_estimate, service),),
        Kind.PASTE: (partial(_paste, service),),
        Kind.OFFERS: files,
        Kind.RATES: files,
        Kind.GPUHUNT: files,
    }
