"""The ``calculator`` widget: the form in small above its result, inside a frame that may not submit forms."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from app.api.state import AppState
from app.request import FIELDS, text_of
from app.web.answer import Answer, choices
from app.web.components import FieldView, Link, Option
from app.web.embed.query import EmbedQuery
from app.web.embed.result import FrameMeta, ResultWidget, result_widget
from app.web.form import FormState, field_view
from app.web.links import page_link
from app.web.wording import METHOD_BLURBS, METHODS

PATH: Final = "/embed/calculator"

SHOWN: Final = ("model", "gpu", "sequence_length", "micro_batch_size", "num_examples", "epochs")
"""Beside the method: what a buyer knows about their job."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CalculatorFrame:
    """The framed page of the calculator."""

    meta: FrameMeta
    path: str
    kept: tuple[tuple[str, str], ...]
    """What the form sends along unseen: the site's own choices, looks and campaign."""
    method_options: tuple[Option, ...]
    method_hint: str
    method_error: str
    fields: Mapping[str, FieldView]
    models: tuple[tuple[str, str], ...]
    result: ResultWidget


def calculator_frame(found: Answer, query: EmbedQuery, parts: AppState, meta: FrameMeta) -> CalculatorFrame:
    """The form with what was chosen, and the answer."""
    fmt = query.fmt
    _ = fmt.gettext
    state = found.state
    lists = choices(parts.snapshot(), parts.today())
    kept = _kept(state, query)
    current = (
        state.run.method.value
        if state.run is not None
        else state.texts.get("method", text_of(FIELDS["method"].default))
    )
    error = state.errors.get("method")
    return CalculatorFrame(
        meta=meta,
        path=PATH,
        kept=kept,
        method_options=tuple(
            Option(id=None, value=kind.value, text=_(METHODS[kind]), is_selected=kind.value == current)
            for kind in METHODS
        ),
        method_hint=_(METHOD_BLURBS[state.run.method]) if state.run is not None else "",
        method_error=fmt.gettext(error.message) if error else "",
        fields={name: _within(field_view(name, state, lists, fmt), state, kept) for name in SHOWN},
        models=lists.models,
        result=result_widget(found, query, parts.settings),
    )


def _kept(state: FormState, query: EmbedQuery) -> tuple[tuple[str, str], ...]:
    """Run fields the small form does not show stay as the site chose them, and so do looks and campaign."""
    hidden = {name: text for name, text in state.texts.items() if name in FIELDS and name not in {*SHOWN, "method"}}
    return (*hidden.items(), *((name, text) for name, text in query.kept.items() if name != "rows"))


def _within(view: FieldView, state: FormState, kept: tuple[tuple[str, str], ...]) -> FieldView:
    """Suggestions stay inside the frame, and help is left out where the label says enough."""
    links = tuple(
        Link(text=link.text, url=page_link({**dict(kept), **state.texts}, {view.name: link.text}, PATH))
        for link in view.suggestions
    )
    return replace(view, suggestions=links, hint="")
