"""The form of the inverse questions: the calculator's own controls, and those of the question."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from app.messages import mark
from app.request import FieldError, SolveRequest, Unknown, fields_of
from app.services.solve_report import PAGE_PATH
from app.web.components import FieldView, Link, Option
from app.web.form import Choices, FormState, error_text, field_view
from app.web.formatting import Formatter
from app.web.links import page_link

QUESTIONS: Final[Mapping[Unknown, str]] = {
    Unknown.MICRO_BATCH_SIZE: mark("Largest micro-batch"),
    Unknown.SEQUENCE_LENGTH: mark("Longest sequence"),
    Unknown.LORA_RANK: mark("Highest rank"),
    Unknown.NUM_GPUS: mark("Fewest GPUs"),
    Unknown.MODEL: mark("Largest model"),
}
OF_RUN: Final = ("model", "method", "gpu", "num_gpus", "sequence_length", "micro_batch_size", "lora_rank")
OF_JOB: Final = ("num_examples", "epochs")
LIMITS_OF_JOB: Final = ("budget", "deadline_hours")
HINTS: Final[Mapping[str, str]] = {
    "unknown": mark("Everything else stays as it is below."),
    "budget": mark("The most that the whole job may cost. Without a card, every card with an offer is looked at."),
    "deadline_hours": mark("The longest that the job may take."),
}
_FORM: Final = frozenset({"unknown", *LIMITS_OF_JOB, *OF_RUN, *OF_JOB})


def kept(texts: Mapping[str, str], unknown: Unknown) -> list[tuple[str, str]]:
    """The run's choices that the form has no control for, and the unknown's own value, kept for the other questions."""
    shown = _FORM - {unknown.value}
    return [
        (name, text)
        for name, text in texts.items()
        if name not in shown and not fields_of(SolveRequest)[name].body_only
    ]


def run_field(name: str, state: FormState, choices: Choices, fmt: Formatter) -> FieldView:
    """A control of the run, whose corrections stay on this page."""
    view = field_view(name, state, choices, fmt)
    error = state.errors.get(name)
    suggested = error.suggestions if error is not None else ()
    links = tuple(Link(text=word, url=page_link(dict(state.texts), {name: word}, PAGE_PATH)) for word in suggested)
    view = replace(view, suggestions=links)
    if name == "gpu":
        first = replace(view.options[0], text=fmt.gettext("Any, within the budget"))
        return replace(view, options=(first, *view.options[1:]))
    return view


def own_field(name: str, state: FormState, fmt: Formatter) -> FieldView:
    """A control that only this page has."""
    _ = fmt.gettext
    spec = fields_of(SolveRequest)[name]
    error, given = state.errors.get(name), state.texts.get(name, "")
    options = tuple(
        Option(id=None, value=unknown.value, text=_(QUESTIONS[unknown]), is_selected=unknown.value == given)
        for unknown in (Unknown if name == "unknown" else ())
    )
    return FieldView(
        id=f"f-{name}",
        name=name,
        label=_(spec.label),
        unit=_unit(name, state, fmt),
        hint=_(HINTS[name]),
        options=options,
        value=given,
        default="",
        placeholder="" if options else _("Not set"),
        input_type="text",
        input_mode="" if options else "decimal",
        minimum="",
        maximum="",
        step="",
        list_id="",
        error=error_text(spec, error, given, fmt) if error else "",
        suggestions=(),
        term_url="",
        described_by=f"f-{name}-error f-{name}-hint",
        ruler=None,
    )


def _unit(name: str, state: FormState, fmt: Formatter) -> str:
    """A budget is in the run's currency; other fields have their own units."""
    if name == "budget":
        return (state.run.currency if state.run is not None else None) or ""
    unit = fields_of(SolveRequest)[name].unit
    return fmt.gettext(unit) if unit else ""


def own_error(error: FieldError, texts: Mapping[str, str], fmt: Formatter) -> str:
    """An error of any field of the question, in a sentence or three."""
    spec = fields_of(SolveRequest).get(error.field)
    return (
        error_text(spec, error, texts.get(error.field, ""), fmt)
        if spec is not None
        else f"{error.field} {fmt.gettext(error.message)}"
    )
