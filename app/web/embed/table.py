"""The ``table`` widget and the server-side fragment: methods, models or cards as rows, one view model for both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.memory.device import Verdict
from app.memory.inputs import MethodKind
from app.messages import mark
from app.request import FieldError
from app.services.cards import smallest_that_fits
from app.services.results import Card, CompareResult, CompareRow, EstimateResult
from app.web.charts import StackedBar, grouped_bytes, stacked_bar
from app.web.components import Link, Tag
from app.web.embed.offers import OfferLine, best_cards, card_title, offer_line
from app.web.embed.query import Campaign, EmbedQuery, TableRows
from app.web.embed.result import FrameMeta
from app.web.formatting import Formatter
from app.web.links import page_link
from app.web.memory_view import peak_parts
from app.web.outcome import Outcome
from app.web.wording import METHODS, TONES, VERDICTS

METHOD_ORDER: Final = tuple(reversed(tuple(MethodKind)))
"""The least memory first, as buyers ask."""

MOST_CARDS: Final = 8

_BASES: Final[Mapping[MethodKind, str]] = {
    MethodKind.QLORA: mark("4‑bit frozen base"),
    MethodKind.LORA: mark("16‑bit frozen base"),
    MethodKind.FULL: mark("every weight"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A heading; ``kind`` (text, bar, number, order) says how its cells are set."""

    text: str
    kind: str = "text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One cell: a figure or name with a line of detail, and what it may carry beside."""

    text: str
    detail: str = ""
    url: str = ""
    tag: Tag | None = None
    bar: StackedBar | None = None
    order: OfferLine | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row under its name."""

    name: str
    detail: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TableView:
    """A table of runs as text. With ``errors`` there is nothing but them."""

    layout: str
    title: str
    setting: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str
    turn_to: tuple[Link, ...]
    change_url: str
    change_text: str
    data: str
    errors: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFrame:
    """The framed page of a table."""

    meta: FrameMeta
    table: TableView


def layout_of(query: EmbedQuery) -> TableRows:
    """What the rows are: as asked, else by what the address lists."""
    given = {key for key, _ in query.pairs}
    if query.rows is not None:
        return query.rows
    if "models" in given:
        return TableRows.MODELS
    return TableRows.CARDS if "gpus_allowed" in given else TableRows.METHODS


def batch_text(result: EstimateResult, fmt: Formatter) -> str:
    """The batch and the data: ``512 tokens × 4, 10,000 examples, 3 epochs``."""
    _ = fmt.gettext
    run = result.run
    tokens = _("{tokens} tokens × {batch}").format(
        tokens=fmt.integer(run.sequence_length), batch=fmt.integer(run.micro_batch_size)
    )
    if run.max_steps is not None:
        return _("{batch}, {count} steps").format(batch=tokens, count=fmt.integer(run.max_steps))
    return _("{batch}, {examples} examples, {epochs} epochs").format(
        batch=tokens, examples=fmt.integer(run.num_examples), epochs=fmt.plain(run.epochs)
    )


def methods_table(outcome: Outcome, campaign: Campaign, fmt: Formatter) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    """The run by each method, with the cheapest card that holds it."""
    _ = fmt.gettext
    by_method = {result.run.method: result for result in outcome.methods}
    columns = (
        Column(text=_("Method")),
        Column(text=_("Card")),
        Column(text=_("Memory needed"), kind="bar"),
        Column(text=_("Time"), kind="number"),
        Column(text=_("Price"), kind="number"),
        Column(text=_("Job"), kind="number"),
        Column(text=_("Order"), kind="order"),
    )
    rows = tuple(
        Row(
            name=_(METHODS[kind]),
            detail=_(_BASES[kind]),
            cells=_method_cells(by_method[kind], outcome, campaign, fmt),
        )
        for kind in METHOD_ORDER
        if kind in by_method
    )
    return columns, rows


def _method_cells(result: EstimateResult, outcome: Outcome, campaign: Campaign, fmt: Formatter) -> tuple[Cell, ...]:
    _ = fmt.gettext
    needs = result.memory.required_bytes
    card = next(iter(best_cards(outcome.cards_of(result), None)), None) or outcome.cards_of(result).smallest_that_fits
    sizes = grouped_bytes(peak_parts(result.memory))
    if card is None:
        bar = stacked_bar(sizes, scale_bytes=needs)
        return (
            Cell(text=_("no single card")),
            Cell(text=_("{needs} needed").format(needs=fmt.memory_with_unit(needs)), bar=bar),
            *(Cell(text="–") for _column in range(3)),
            Cell(text=""),
        )
    line = offer_line(card, outcome, campaign, fmt) if card.offer else None
    name, size = card_title(card, outcome.labels)
    return (
        Cell(text=name, detail=size),
        Cell(
            text=_("{needs} of {usable} usable").format(
                needs=fmt.memory(needs), usable=fmt.memory_with_unit(card.usable_bytes)
            ),
            bar=stacked_bar(sizes, scale_bytes=card.usable_bytes),
        ),
        Cell(text=fmt.duration(card.time.total_seconds) if card.time else "–"),
        Cell(text=line.price if line else "–", detail=line.note if line else ""),
        Cell(text=fmt.money(card.cost.amount, card.cost.currency) if card.cost else "–"),
        Cell(text="", order=line if line and line.order_url else None),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Naming:
    """What a cell of the models' table takes beside its own estimate."""

    labels: Mapping[str, str]
    """What each card is sold as, by slug."""
    shared: Mapping[str, object]
    """What a cell's link carries beside model and method."""


def models_table(
    compared: CompareResult, names: Mapping[str, str], naming: Naming, fmt: Formatter
) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    """Models by method: what each needs, and the cheapest card that holds it."""
    _ = fmt.gettext
    by_model: dict[str, dict[str, CompareRow]] = {}
    for entry in compared.rows:
        by_model.setdefault(entry.model, {})[entry.method] = entry
    kinds = [kind for kind in METHOD_ORDER if any(kind in cells for cells in by_model.values())]
    columns = (Column(text=_("Model")), *(Column(text=_(METHODS[kind]), kind="number") for kind in kinds))
    rows = tuple(
        Row(
            name=names.get(model, model),
            detail="",
            cells=tuple(_model_cell(cells.get(kind), naming, fmt) for kind in kinds),
        )
        for model, cells in by_model.items()
    )
    return columns, rows


def _model_cell(entry: CompareRow | None, naming: Naming, fmt: Formatter) -> Cell:
    _ = fmt.gettext
    if entry is None or entry.estimate is None:
        return Cell(text="–", detail=entry.error or "" if entry else "")
    result = entry.estimate
    card = next(iter(best_cards(result.gpus, None)), None) or smallest_that_fits(result.gpus)
    chosen = {**naming.shared, "model": entry.model, "method": entry.method}
    return Cell(
        text=fmt.memory_with_unit(result.memory.required_bytes),
        detail=_card_text(card, naming.labels, fmt),
        url=page_link(chosen),
    )


def _card_text(card: Card | None, labels: Mapping[str, str], fmt: Formatter) -> str:
    if card is None:
        return fmt.gettext("no single card")
    return ", ".join(text for text in card_title(card, labels) if text)


def cards_table(
    outcome: Outcome, slugs: Sequence[str], campaign: Campaign, fmt: Formatter
) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    """Cards by method: does each hold the run, with how much to spare, and what it costs to rent."""
    _ = fmt.gettext
    kinds = [kind for kind in METHOD_ORDER if any(result.run.method is kind for result in outcome.methods)]
    fits = {result.run.method: {card.slug: card for card in outcome.cards_of(result)} for result in outcome.methods}
    columns = (
        Column(text=_("Card")),
        *(Column(text=_(METHODS[kind]), kind="verdict") for kind in kinds),
        Column(text=_("Price"), kind="number"),
        Column(text=_("Order"), kind="order"),
    )
    rows = tuple(_card_row([fits[kind][slug] for kind in kinds], outcome, campaign, fmt) for slug in slugs)
    return columns, rows


def _card_row(cards: Sequence[Card], outcome: Outcome, campaign: Campaign, fmt: Formatter) -> Row:
    _ = fmt.gettext
    priced = next((card for card in cards if card.offer is not None), None)
    line = offer_line(priced, outcome, campaign, fmt) if priced else None
    name, size = card_title(cards[0], outcome.labels)
    return Row(
        name=name,
        detail=size,
        cells=(
            *(Cell(text=_verdict_text(card, fmt), tag=Tag(tone=TONES[card.verdict], text=_(VERDICTS[card.verdict])))
              for card in cards),
            Cell(text=line.price if line else "–", detail=line.note if line else ""),
            Cell(text="", order=line if line and line.order_url else None),
        ),
    )  # fmt: skip


def _verdict_text(card: Card, fmt: Formatter) -> str:
    _ = fmt.gettext
    if card.verdict is Verdict.UNSUPPORTED:
        return ""
    if card.headroom_bytes >= 0:
        free = fmt.memory_difference(card.usable_bytes, card.usable_bytes - card.headroom_bytes)
        return _("{free} {unit} free").format(free=free, unit=fmt.unit.label)
    over = fmt.memory_difference(card.usable_bytes - card.headroom_bytes, card.usable_bytes)
    return _("{over} {unit} over").format(over=over, unit=fmt.unit.label)


def listed_cards(outcome: Outcome) -> tuple[str, ...]:
    """The cards worth a row where none are named: priced ones that hold the run by some method, cheapest first."""
    found: dict[str, Card] = {}
    for kind in METHOD_ORDER:
        for result in outcome.methods:
            if result.run.method is kind:
                for card in best_cards(outcome.cards_of(result), None):
                    found.setdefault(card.slug, card)
    if not found:
        return tuple(card.slug for card in outcome.cards if card.verdict is Verdict.FITS)[:MOST_CARDS]
    return tuple(found)[:MOST_CARDS]


def problem_texts(errors: Sequence[FieldError], fmt: Formatter) -> tuple[str, ...]:
    """What is wrong with a table's address, a sentence an error."""
    _ = fmt.gettext
    return tuple(
        f"{error.field} {_(error.message)}"
        + (" " + _("It takes {allowed}.").format(allowed=_(error.allowed)) if error.allowed else "")
        for error in errors
    )
