"""From a table's address to its view: which service answers it, and what its title says."""

import json
from collections.abc import Mapping
from typing import Any

from app.api.state import AppState
from app.request import CompareRequest, GpuListing, RecommendRequest, RequestError, parse_query
from app.services.compare import compare
from app.services.lookup import find_gpu
from app.web.answer import Answer, answer, card_labels
from app.web.components import Link
from app.web.embed.query import EmbedQuery, TableRows
from app.web.embed.table import (
    Column,
    Naming,
    Row,
    TableView,
    batch_text,
    cards_table,
    layout_of,
    listed_cards,
    methods_table,
    models_table,
    problem_texts,
)
from app.web.form import named_errors
from app.web.links import chosen_fields, page_link
from app.web.turn_to import turn_to


def table_view(query: EmbedQuery, parts: AppState) -> TableView:
    """The table of an address; what is wrong with it comes back as ``errors``."""
    layout = layout_of(query)
    try:
        if layout is TableRows.MODELS:
            return _models(query, parts)
        allowed = _allowed_cards(query, parts) if layout is TableRows.CARDS else None
    except RequestError as problem:
        return _unread(query, layout, problem_texts(problem.errors, query.fmt))
    run = [(key, text) for key, text in query.pairs if key not in {"gpu", "gpus_allowed", "models", "methods"}]
    found = answer(run, parts.snapshot(), parts.today(), parts.policy, {})
    if found.outcome is None:
        return _unread(query, layout, tuple(error.text for error in named_errors(found.state, query.fmt)))
    return _of_run(found, layout, allowed, query, parts)


def _of_run(
    found: Answer,
    layout: TableRows,
    allowed: tuple[str, ...] | None,
    query: EmbedQuery,
    parts: AppState,
) -> TableView:
    outcome, fmt = found.outcome, query.fmt
    assert outcome is not None
    _ = fmt.gettext
    model = outcome.result.model.name
    if layout is TableRows.CARDS:
        columns, rows = cards_table(outcome, allowed or listed_cards(outcome), query.campaign, fmt)
        title = _("Which card fine-tunes {model}?").format(model=model)
    else:
        columns, rows = methods_table(outcome, query.campaign, fmt)
        title = _("Fine-tune {model}: three methods, the cheapest card for each").format(model=model)
    orders = any(cell.order for row in rows for cell in row.cells)
    chosen = {name: value for name, value in outcome.chosen.items() if name not in {"gpu", "method"}}
    return _view(
        query,
        layout=layout,
        title=title,
        setting=batch_text(outcome.result, fmt),
        table=(columns, rows),
        turn_to=() if orders else turn_to(parts.settings, outcome, fmt),
        change=(page_link(chosen), _("Try another model")),
        data={"rows": layout.value, "model": outcome.result.run.model},
    )


def _models(query: EmbedQuery, parts: AppState) -> TableView:
    fmt, snapshot = query.fmt, parts.snapshot()
    _ = fmt.gettext
    pairs = [(key, text) for key, text in query.pairs if key != "gpus_allowed"]
    request: CompareRequest = parse_query(pairs, ignore_unknown=True, model=CompareRequest)
    listed = request.model_copy(update={"gpus": GpuListing.FITTING})
    listed.model_fields_set.add("gpus")
    compared = compare(listed, snapshot, parts.today(), parts.policy)
    names = {model.slug: model.name for model in snapshot.models}
    shared = {name: value for name, value in chosen_fields(request).items() if name not in {"model", "method"}}
    table = models_table(compared, names, Naming(labels=card_labels(snapshot), shared=shared), fmt)
    first = next((row.estimate for row in compared.rows if row.estimate is not None), None)
    slugs = tuple(dict.fromkeys(row.model for row in compared.rows))
    return _view(
        query,
        layout=TableRows.MODELS,
        title=_("GPU memory for fine-tuning, by model and method"),
        setting=batch_text(first, fmt) if first else "",
        table=table,
        turn_to=(),
        change=(page_link({**shared, "models": slugs}, path="/compare"), _("Compare other models")),
        data={"rows": TableRows.MODELS.value, "models": list(slugs)},
    )


def _allowed_cards(query: EmbedQuery, parts: AppState) -> tuple[str, ...] | None:
    """The slugs of the cards that the address names. Raises :class:`RequestError` for one we do not know."""
    pairs = [(key, text) for key, text in query.pairs if key == "gpus_allowed"]
    asked = parse_query(pairs, ignore_unknown=True, model=RecommendRequest).gpus_allowed
    found = (find_gpu(name, parts.snapshot(), field="gpus_allowed") for name in asked)
    return tuple(dict.fromkeys(gpu.slug for gpu in found)) or None


def _view(
    query: EmbedQuery,
    *,
    layout: TableRows,
    title: str,
    setting: str,
    table: tuple[tuple[Column, ...], tuple[Row, ...]],
    turn_to: tuple[Link, ...],
    change: tuple[str, str],
    data: Mapping[str, Any],
) -> TableView:
    columns, rows = table
    orders = any(cell.order for row in rows for cell in row.cells)
    if not orders:
        # An empty column of order buttons would only take room.
        kept = [index for index, column in enumerate(columns[1:]) if column.kind != "order"]
        rows = tuple(Row(name=row.name, detail=row.detail, cells=tuple(row.cells[i] for i in kept)) for row in rows)
        columns = tuple(column for column in columns if column.kind != "order")
    return TableView(
        layout=layout.value,
        title=title,
        setting=setting,
        columns=columns,
        rows=rows,
        note=query.fmt.gettext("Memory in {unit}: what a card must have.").format(unit=query.fmt.unit.label),
        turn_to=turn_to,
        change_url=change[0],
        change_text=change[1],
        data=json.dumps(data, ensure_ascii=False, separators=(",", ":")),
        errors=(),
    )


def _unread(query: EmbedQuery, layout: TableRows, errors: tuple[str, ...]) -> TableView:
    _ = query.fmt.gettext
    return TableView(
        layout=layout.value,
        title=_("This table cannot be computed"),
        setting="",
        columns=(),
        rows=(),
        note="",
        turn_to=(),
        change_url="/",
        change_text=_("Open the calculator"),
        data=json.dumps({"errors": list(errors)}, ensure_ascii=False),
        errors=errors,
    )
