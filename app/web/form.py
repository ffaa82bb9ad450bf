"""The calculator's form, generated from the field registry: what each control shows, offers and complains about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from app.memory.optimizers import OPTIMIZERS
from app.messages import mark
from app.request import FIELDS, THEME_TITLES, FieldError, FieldSpec, Kind, Run, Theme, text_of
from app.request.fields import Choice
from app.stacks import STACKS
from app.web.components import FieldView, Fold, Link, Option, Ruler
from app.web.formatting import Formatter
from app.web.glossary import FIELD_TERMS
from app.web.glossary import PATH as GLOSSARY_PATH
from app.web.links import page_link

ESSENTIALS: Final = ("model", "sequence_length", "micro_batch_size", "gpu", "num_examples", "epochs")

FOLDS: Final[Mapping[str, tuple[str, ...]]] = {
    THEME_TITLES[Theme.SAVING]: ("gradient_checkpointing", "loss_kernel", "attention", "keep_logits"),
    THEME_TITLES[Theme.ADAPTER]: (
        "lora_rank",
        "lora_target_modules",
        "lora_alpha",
        "lora_dropout",
        "use_dora",
        "modules_to_save",
        "adapter_dtype",
    ),
    THEME_TITLES[Theme.QUANTISATION]: ("quantization", "double_quantization", "upcast_non_quantized"),
    THEME_TITLES[Theme.NUMBERS]: ("precision", "optimizer", "embedding_state_32bit", "max_grad_norm"),
    mark("Batch and data"): (
        "gradient_accumulation_steps",
        "global_batch_size",
        "packing",
        "tokens_per_example",
        "max_steps",
    ),
    THEME_TITLES[Theme.CLUSTER]: (
        "num_gpus",
        "strategy",
        "offload",
        "offload_target",
        "gpus_per_node",
        "interconnect",
        "network_gbit_per_second",
        "tensor_parallel",
        "pipeline_parallel",
        "context_parallel",
        "expert_parallel",
    ),
    mark("Software and market"): ("stack", "currency", "region", "provider", "spot"),
}
"""The folded groups, each with its fields in reading order; the first two give the fold its summary."""

SUMMARY_FIELDS: Final = 2

LONGEST_KEPT: Final = 64
"""Letters of a text whose control is kept for the next page: what visitors send must not fill a worker's memory."""

DERIVED: Final = frozenset({"gradient_accumulation_steps", "quantization"})
"""Fields that another field can derive: shown as a hint, never filled in, so that they cannot contradict."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Choices:
    """The closed lists that come from the catalogue: value and words. One object for a catalogue and day."""

    models: tuple[tuple[str, str], ...]
    model_options: Markup
    """The models as options of a datalist, rendered once for a catalogue."""
    gpus: tuple[tuple[str, str], ...]
    labels: Mapping[str, str]
    """What each card is sold as, by slug."""
    currencies: tuple[str, ...]
    regions: tuple[str, ...]
    providers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FormState:
    """What the form shows: texts as given (by field), the run with every field filled in, and what is wrong with it."""

    texts: Mapping[str, str]
    run: Run | None
    errors: Mapping[str, FieldError]


def state_of(texts: Mapping[str, str], run: Run | None, errors: Sequence[FieldError]) -> FormState:
    """Bring texts and errors that may be keyed by aliases under the fields' own names (the first error a field)."""
    aliases = {alias: name for name, spec in FIELDS.items() for alias in spec.aliases}
    by_field: dict[str, FieldError] = {}
    for error in errors:
        by_field.setdefault(aliases.get(error.field, error.field), error)
    return FormState(
        texts={aliases.get(name, name): text for name, text in texts.items() if text.strip()}, run=run, errors=by_field
    )


def _choice_text(choice: Choice, fmt: Formatter) -> str:
    """A choice's words; a value that has none stands as it is."""
    return choice.value if choice.label == choice.value else fmt.gettext(choice.label)


def choice_label(spec: FieldSpec, value: object, fmt: Formatter) -> str:
    """The words for a value of a field: its choice's label, else the value itself."""
    text = text_of(value)
    if spec.name == "stack" and text in STACKS:
        return fmt.gettext(STACKS[text].title)
    if spec.name == "optimizer" and text in OPTIMIZERS:
        return text
    return next((_choice_text(choice, fmt) for choice in spec.choices if choice.value == text), text)


class _Said(NamedTuple):
    """All that a control's look depends on, but for its errors: few runs differ in any one field."""

    given: str
    effective: Any
    """The field's value in the run; None without one."""
    is_run: bool


def _said(name: str, state: FormState) -> _Said:
    run = state.run
    return _Said(state.texts.get(name, ""), getattr(run, name, None) if run is not None else None, run is not None)


def _default_text(spec: FieldSpec, effective: Any, fmt: Formatter) -> str:
    """The words for what applies when the field is left empty."""
    _ = fmt.gettext
    if spec.name == "gpu":
        return _("Any card")
    if spec.name in {"region", "provider"}:
        return _("Any")
    if effective is None or effective == ():
        return _("Not set")
    return choice_label(spec, effective, fmt)


def _options(spec: FieldSpec, said: _Said, choices: Choices, fmt: Formatter) -> tuple[Option, ...]:
    _ = fmt.gettext
    closed: Mapping[str, tuple[tuple[str, str], ...]] = {
        "gpu": choices.gpus,
        "stack": tuple((name, _(stack.title)) for name, stack in STACKS.items()),
        "optimizer": tuple((name, name) for name in OPTIMIZERS),
        "currency": tuple((code, code) for code in choices.currencies),
        "region": tuple((name, name) for name in choices.regions),
        "provider": tuple((name, name) for name in choices.providers),
    }
    pairs = closed.get(spec.name) or tuple((choice.value, _choice_text(choice, fmt)) for choice in spec.choices)
    if not pairs:
        return ()
    given = said.given
    if spec.kind is Kind.BOOLEAN and said.is_run and given:
        given = text_of(said.effective)
    default = "" if spec.set_by_stack or spec.name in DERIVED or spec.default is None else text_of(spec.default)
    options = []
    if not default:
        applies = _default_text(spec, said.effective, fmt)
        words = _("As the stack: {value}").format(value=applies) if spec.set_by_stack else applies
        if spec.name == "quantization":
            words = _("As the method: {value}").format(value=applies)
        options.append(Option(id=f"{spec.name}-default", value="", text=words, is_selected=not given))
    known = {value for value, _text in pairs}
    for value, text in pairs:
        options.append(
            Option(
                id=None,
                value="" if value == default else value,
                text=text,
                is_selected=value == given or (value == default and not given),
            )
        )
    if given and given not in known:
        options.append(Option(id=None, value=given, text=given, is_selected=True))
    return tuple(options)


def error_text(spec: FieldSpec, error: FieldError, written: str, fmt: Formatter) -> str:
    """A field's error in a sentence or three: what is wrong, what is allowed, what was written."""
    _ = fmt.gettext
    sentences = [f"{_(spec.label)} {_(error.message)}"]
    if error.allowed:
        sentences.append(_("It takes {allowed}.").format(allowed=_(error.allowed)))
    if written and written not in error.message:
        sentences.append(_("You wrote {text}.").format(text=_("“{quote}”").format(quote=written[:60])))
    return " ".join(sentences)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=256)
def _control(name: str, said: _Said, choices: Choices, fmt: Formatter) -> FieldView:
    """A control without an error."""
    _ = fmt.gettext
    spec = FIELDS[name]
    given, effective = said.given, said.effective
    fills = spec.default is not None and not spec.set_by_stack and name not in DERIVED and spec.default != ()
    default = text_of(spec.default) if fills else ""
    is_numeric = spec.kind in {Kind.INTEGER, Kind.NUMBER}
    value = given or (text_of(effective) if fills and effective is not None else default)
    options = _options(spec, said, choices, fmt)
    return FieldView(
        id=f"f-{name}",
        name=name,
        label=_(spec.label),
        unit=_(spec.unit) if spec.unit else "",
        hint=_(spec.help),
        options=options,
        value=value,
        default=default,
        placeholder="" if options or default else _default_text(spec, effective, fmt),
        input_type="number" if is_numeric and (not value or _is_number(value)) else "text",
        input_mode={Kind.INTEGER: "numeric", Kind.NUMBER: "decimal"}.get(spec.kind, ""),
        minimum=text_of(spec.minimum) if spec.minimum is not None and is_numeric and not spec.minimum_excluded else "",
        maximum=text_of(spec.maximum) if spec.maximum is not None and is_numeric else "",
        step="any" if spec.kind is Kind.NUMBER else "",
        list_id="models" if name == "model" else "",
        error="",
        suggestions=(),
        term_url=f"{GLOSSARY_PATH}#{FIELD_TERMS[name]}" if name in FIELD_TERMS else "",
        described_by=f"f-{name}-error f-{name}-hint",
        ruler=None,
    )


def field_view(name: str, state: FormState, choices: Choices, fmt: Formatter) -> FieldView:
    """One control: its value as given, or its default; what applies when left empty as the placeholder."""
    said = _said(name, state)
    view = (_control if len(said.given) <= LONGEST_KEPT else _control.__wrapped__)(name, said, choices, fmt)
    error = state.errors.get(name)
    if error is None:
        return view
    return replace(
        view,
        error=error_text(FIELDS[name], error, said.given, fmt),
        suggestions=tuple(
            Link(text=suggestion, url=page_link(dict(state.texts), {name: suggestion}))
            for suggestion in error.suggestions
        ),
    )


def _summary(names: Sequence[str], said: Sequence[_Said], fmt: Formatter) -> str:
    """What applies in a folded group, by its first fields."""
    _ = fmt.gettext
    parts = []
    for name, of_field in list(zip(names, said, strict=True))[:SUMMARY_FIELDS]:
        label = _(FIELDS[name].label)
        applies = _default_text(FIELDS[name], of_field.effective, fmt)
        named = _("{label} {value}").format(label=fmt.within(label), value=applies)
        parts.append(named if of_field.is_run else label)
    return " · ".join(parts)


def _fold(title: str, fields: tuple[FieldView, ...], summary: str, *, is_open: bool, fmt: Formatter) -> Fold:
    index = list(FOLDS).index(title)
    return Fold(id=f"fold-{index}", title=fmt.gettext(title), summary=summary, fields=fields, is_open=is_open)


@lru_cache(maxsize=128)
def _closed_fold(title: str, said: tuple[_Said, ...], choices: Choices, fmt: Formatter) -> Fold:
    """A group without an error."""
    names = FOLDS[title]
    fields = tuple(_control(name, of_field, choices, fmt) for name, of_field in zip(names, said, strict=True))
    return _fold(title, fields, _summary(names, said, fmt), is_open=False, fmt=fmt)


def folds(state: FormState, choices: Choices, fmt: Formatter) -> tuple[Fold, ...]:
    """The folded groups; one with an error stands open."""
    views = []
    for title, names in FOLDS.items():
        said = tuple([_said(name, state) for name in names])
        is_open = not state.errors.keys().isdisjoint(names)
        if is_open or max(len(of_field.given) for of_field in said) > LONGEST_KEPT:
            fields = tuple(field_view(name, state, choices, fmt) for name in names)
            views.append(_fold(title, fields, _summary(names, said, fmt), is_open=is_open, fmt=fmt))
        else:
            views.append(_closed_fold(title, said, choices, fmt))
    return tuple(views)


def with_ruler(view: FieldView, ruler: Ruler | None) -> FieldView:
    """The control with links to common values, each with its verdict."""
    return replace(view, ruler=ruler)


def named_errors(state: FormState, fmt: Formatter) -> tuple[Link, ...]:
    """Every error in a sentence, linked to its control where the form has one."""
    _ = fmt.gettext
    known = {"method", *ESSENTIALS, *(name for names in FOLDS.values() for name in names)}
    return tuple(
        Link(
            text=error_text(FIELDS[name], error, state.texts.get(name, ""), fmt)
            if name in FIELDS
            else f"{name} {_(error.message)}",
            url=f"#f-{name}" if name in known else "",
        )
        for name, error in state.errors.items()
    )
