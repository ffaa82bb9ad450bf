"""What is sent where: each target takes one input and raises only what nobody is meant to see."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, quote_plus, urlencode

from hypothesis import strategies as st
from pydantic import BaseModel

from app.catalogue.importing import FileFormat, ImportRefusedError, read_price_list
from app.catalogue.offer_files import FileError
from app.catalogue.offer_rows import RowReader
from app.catalogue.rates import import_rates
from app.catalogue.snapshot import Snapshot
from app.request import RequestError, parse_json, parse_query, permalink
from app.services.estimate import estimate
from benchmarks.fuzz import values
from benchmarks.fuzz.service import TODAY, Service

PAGES: Final = (
    "/",
    "/compare",
    "/recommend",
    "/embed/result",
    "/embed/calculator",
    "/embed/table",
    "/badge.svg",
    "/oembed",
    "/fragments/table",
    "/charts/memory.svg",
    "/embed",
    "/api/v1/estimate",
    "/api/v1/offers",
    "/api/v1/models",
    "/api/v1/gpus",
)
JSON: Final = {"content-type": "application/json"}
FORM: Final = {"content-type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of input: how many of a hundred are of it, and the doors that each is sent to."""

    name: str
    percent: float
    inputs: st.SearchStrategy[Any]
    doors: Sequence[Callable[[Any], None]]


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


def targets(service: Service) -> Sequence[Target]:
    """All but the stateful one; their percentages come to what that leaves."""
    snapshot = Snapshot.bundled()
    offers = tuple(partial(_offers, snapshot, file_format) for file_format in FileFormat)
    rates = tuple(partial(_rates, service, is_json) for is_json in (False, True))
    queries = tuple(partial(door, model) for door in (_query, _strict_query, _json) for model in values.REQUESTS)
    texts = values.configs().map(lambda config: json.dumps(config).encode())
    pages = st.tuples(st.sampled_from(PAGES), st.sampled_from(values.REQUESTS).flatmap(values.pairs))
    return (
        Target(
            name="config.json, read and estimated",
            percent=0.8,
            inputs=values.configs(),
            doors=[partial(_config, snapshot)],
        ),
        Target(
            name="queries and bodies of every request, parsed and written again",
            percent=52.3,
            inputs=st.sampled_from(values.REQUESTS).flatmap(values.pairs),
            doors=queries,
        ),
        Target(name="pages and lists with any query", percent=0.3, inputs=pages, doors=[partial(_page, service)]),
        Target(
            name="bodies of POST /api/v1/estimate",
            percent=0.4,
            inputs=values.bodies(),
            doors=[partial(_estimate, service)],
        ),
        Target(
            name="texts pasted as a config.json",
            percent=0.1,
            inputs=values.damaged(texts),
            doors=[partial(_paste, service)],
        ),
        Target(
            name="lists of offers, read as CSV, JSON, gpuhunt's and rates",
            percent=24,
            inputs=values.OFFER_FILES,
            doors=(*offers, *rates),
        ),
        Target(name="lists of rates, read as the same", percent=13, inputs=values.RATE_FILES, doors=(*offers, *rates)),
        Target(
            name="gpuhunt's lists, read as the same", percent=5.1, inputs=values.GPUHUNT_FILES, doors=(*offers, *rates)
        ),
    )
