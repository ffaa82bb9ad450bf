"""Pages that answer one question each, for people who come from a search: a model, a card, the best card."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from app.catalogue.facts import CatalogueGpu, CatalogueModel
from app.catalogue.snapshot import Snapshot
from app.memory.inputs import MethodKind
from app.request import RequestError, Run
from app.services.assess import Assessment
from app.services.cards import card_on_run
from app.services.policy import Policy
from app.services.results import Card
from app.web.components import Tag

POPULAR: Final = (
    "llama-3.2-1b",
    "qwen2.5-1.5b",
    "qwen2.5-3b",
    "mistral-7b-v0.1",
    "llama-3-8b",
    "qwen2.5-14b",
    "qwen2.5-32b",
    "llama-3-70b",
)
"""From small to large, one of each common size; those that the catalogue lacks are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A question people ask and its answer in a sentence or two."""

    question: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A figure in a table, linked to its run, with a verdict where there is one."""

    text: str
    url: str
    tag: Tag | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row of a table: its head, linked where it has a page, and its cells."""

    name: str
    url: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Market:
    """What the answers are computed from."""

    snapshot: Snapshot
    today: date
    policy: Policy
    labels: Mapping[str, str]


def fit_on(market: Market, model: str, method: MethodKind, gpu: CatalogueGpu, **fields: int) -> Card | None:
    """One run on one card; None where the run cannot be."""
    try:
        run = Run.model_validate({"model": model, "method": method, "gpu": gpu.slug, **fields})
        return card_on_run(Assessment.of(run, market.snapshot, market.today, market.policy), gpu)
    except RequestError:
        return None


def popular(snapshot: Snapshot) -> tuple[CatalogueModel, ...]:
    """The usual sizes, of those the catalogue has."""
    return tuple(model for slug in POPULAR if (model := snapshot.model(slug)) is not None)
