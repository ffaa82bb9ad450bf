"""Forms of requests that are no training run: the same controls, from the same registry of fields."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from app.request import FieldError, FieldSpec, Kind, fields_of, names_of, text_of
from app.web.components import FieldView, Link, Option
from app.web.form import Choices, error_text
from app.web.formatting import Formatter
from app.web.links import page_link

INPUT_MODES: Final = {Kind.INTEGER: "numeric", Kind.NUMBER: "decimal"}


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallForm:
    """What a visitor wrote, by field, and what is wrong with it."""

    model: type[BaseModel]
    path: str
    """The page's own address, which suggestions lead back to."""
    texts: Mapping[str, str]
    errors: Mapping[str, FieldError]

    def other_errors(self, fmt: Formatter) -> tuple[str, ...]:
        """What no control shows, in the reader's language."""
        known = fields_of(self.model)
        others = (error for name, error in self.errors.items() if name not in known)
        return tuple(f"{error.field} {fmt.gettext(error.message)}" for error in others)


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallFormView:
    """The form as a page shows it: some controls open, the others folded away."""

    errors: tuple[str, ...]
    fields: tuple[FieldView, ...]
    folded: tuple[FieldView, ...]
    folded_open: bool
    model_options: str


def texts_of(pairs: Iterable[tuple[str, str]], model: type[BaseModel]) -> dict[str, str]:
    """The known fields of a query or a form under their own names; repeated keys are joined by commas."""
    known = names_of(model)
    gathered: dict[str, list[str]] = {}
    for key, text in pairs:
        spec = known.get(key)
        # An alias with a vocabulary of its own keeps its name: what it says is only known when it is read.
        if spec is not None and text.strip():
            gathered.setdefault(key if key in spec.about.switches else spec.name, []).append(text.strip())
    return {key: ",".join(texts) for key, texts in gathered.items()}


def small_form(
    model: type[BaseModel], path: str, texts: Mapping[str, str], errors: Sequence[FieldError] = ()
) -> SmallForm:
    """The form with its errors under the fields' own names, the first of each."""
    known = names_of(model)
    by_field: dict[str, FieldError] = {}
    for error in errors:
        spec = known.get(error.field)
        by_field.setdefault(spec.name if spec else error.field, error)
    return SmallForm(model=model, path=path, texts=texts, errors=by_field)


def small_form_view(
    form: SmallForm, shown: Sequence[str], folded: Sequence[str], choices: Choices, fmt: Formatter
) -> SmallFormView:
    """The controls of the fields ``shown`` and ``folded``; a fold with a mistake in it is open."""
    return SmallFormView(
        errors=form.other_errors(fmt),
        fields=tuple(small_field(form, name, choices, fmt) for name in shown),
        folded=tuple(small_field(form, name, choices, fmt) for name in folded),
        folded_open=any(name in form.errors for name in folded),
        model_options=choices.model_options,
    )


def small_field(form: SmallForm, name: str, choices: Choices, fmt: Formatter) -> FieldView:
    """One control: its value as given, or its default."""
    _ = fmt.gettext
    spec = fields_of(form.model)[name]
    error = form.errors.get(name)
    given = form.texts.get(name, "")
    default = text_of(spec.default) if spec.default not in (None, ()) else ""
    options = _options(spec, given, default, choices, fmt)
    numeric = spec.kind in INPUT_MODES and not spec.minimum_excluded
    return FieldView(
        id=f"f-{name}",
        name=name,
        label=_(spec.label),
        unit=_(spec.unit) if spec.unit else "",
        hint=_(spec.help),
        options=options,
        value=given or default,
        default=default,
        placeholder="",
        input_type="text",
        input_mode=INPUT_MODES.get(spec.kind, ""),
        minimum=text_of(spec.minimum) if numeric and spec.minimum is not None else "",
        maximum=text_of(spec.maximum) if numeric and spec.maximum is not None else "",
        step="",
        list_id="models" if name == "model" else "",
        error=error_text(spec, error, given, fmt) if error else "",
        suggestions=tuple(
            Link(text=suggestion, url=page_link({**form.texts, name: suggestion}, path=form.path))
            for suggestion in (error.suggestions if error else ())
        ),
        term_url="",
        described_by=f"f-{name}-error f-{name}-hint",
        ruler=None,
    )


def _same(values: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Names that are their own values."""
    return tuple((value, value) for value in values)


def _options(spec: FieldSpec, given: str, default: str, choices: Choices, fmt: Formatter) -> tuple[Option, ...]:
    _ = fmt.gettext
    listed = {
        "gpu": choices.gpus,
        "currency": _same(choices.currencies),
        "region": _same(choices.regions),
        "provider": _same(choices.providers),
    }
    pairs = listed.get(spec.name) or tuple((choice.value, _(choice.label)) for choice in spec.choices)
    if not pairs:
        return ()
    chosen = given or default
    options = [] if default else [Option(id=None, value="", text=_("Any"), is_selected=not chosen)]
    options += [Option(id=None, value=value, text=text, is_selected=value == chosen) for value, text in pairs]
    if chosen and chosen not in {value for value, _text in pairs}:
        options.append(Option(id=None, value=chosen, text=chosen, is_selected=True))
    return tuple(options)
