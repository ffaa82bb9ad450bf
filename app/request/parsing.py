"""From a query string or a JSON body to a request: aliases, blanks, lists, and errors that name field and remedy."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from app.messages import did_you_mean, mark, message
from app.request.fields import TARGET_PRESETS, FieldSpec, Kind, names_of
from app.request.model import Run

RequestModel = TypeVar("RequestModel", bound=BaseModel)

MAX_LIST_ITEMS = 64
_BOOLEANS: Mapping[str, bool] = {
    "true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldError:
    """What is wrong with one field, what it takes, and what was probably meant."""

    field: str
    message: str
    allowed: str | None = None
    suggestions: tuple[str, ...] = ()


class BadValueError(ValueError):
    """A value that cannot be, with why."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class RequestError(ValueError):
    """A request that cannot be understood; one :class:`FieldError` for each thing wrong."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


@overload
def parse_query(pairs: Iterable[tuple[str, str]], *, ignore_unknown: bool = False) -> Run: ...


@overload
def parse_query(
    pairs: Iterable[tuple[str, str]], *, ignore_unknown: bool = False, model: type[RequestModel]
) -> RequestModel: ...


def parse_query(
    pairs: Iterable[tuple[str, str]], *, ignore_unknown: bool = False, model: type[BaseModel] = Run
) -> BaseModel:
    """Read a request from the pairs of a query string or a form. Pages set ``ignore_unknown`` (``utm_…`` and the like).

    Raises :class:`RequestError`.
    """
    gathered: dict[str, list[str]] = {}
    for key, text in pairs:
        if text.strip():
            gathered.setdefault(key, []).append(text.strip())
    values: dict[str, Any] = {}
    known = names_of(model)
    errors: list[FieldError] = []
    for key, texts in gathered.items():
        spec = known.get(key)
        if spec is not None and spec.kind is Kind.LIST:
            values[key] = [part.strip() for text in texts for part in text.split(",") if part.strip()]
        elif spec is not None and len(set(texts)) > 1:
            errors.append(FieldError(field=key, message="is given more than once with different values."))
        else:
            values[key] = texts[0]
        if spec is not None and spec.body_only:
            errors.append(FieldError(field=key, message="goes in a JSON body, not in a query string."))
    return _build(values, model, errors, ignore_unknown=ignore_unknown, from_text=True)


@overload
def parse_json(payload: object) -> Run: ...


@overload
def parse_json(payload: object, *, model: type[RequestModel]) -> RequestModel: ...


def parse_json(payload: object, *, model: type[BaseModel] = Run) -> BaseModel:
    """Read a request from a decoded JSON body. Raises :class:`RequestError`."""
    if not isinstance(payload, Mapping):
        raise RequestError(
            FieldError(field="body", message="must be a JSON object.", allowed="an object of request fields")
        )
    return _build(payload, model, [], ignore_unknown=False, from_text=False)


def _build(
    payload: Mapping[str, Any],
    model: type[RequestModel],
    errors: list[FieldError],
    *,
    ignore_unknown: bool,
    from_text: bool,
) -> RequestModel:
    known = names_of(model)
    values: dict[str, Any] = {}
    given_as: dict[str, str] = {}
    for key, raw in payload.items():
        spec = known.get(key)
        if spec is None:
            if not ignore_unknown:
                errors.append(_unknown(key, known))
            continue
        try:
            value = _normalise(spec, key, raw, from_text=from_text)
        except BadValueError as problem:
            errors.append(FieldError(field=key, message=problem.text, allowed=spec.allowed))
            continue
        if value is None:
            continue
        if spec.name in values and values[spec.name] != value:
            errors.append(
                FieldError(
                    field=key,
                    message=message(
                        "contradicts {other}: both set {field}.", other=given_as[spec.name], field=spec.name
                    ),
                )
            )
        values[spec.name] = value
        given_as[spec.name] = key
    return _validate(values, model, errors, given_as)


def _validate(
    values: dict[str, Any], model: type[RequestModel], errors: list[FieldError], given_as: Mapping[str, str]
) -> RequestModel:
    try:
        request = model.model_validate(values)
    except ValidationError as problem:
        seen: set[str] = set()
        for detail in problem.errors(include_url=False, include_context=True):
            name = str(detail["loc"][0]) if detail["loc"] else "body"
            if name not in seen:
                seen.add(name)
                errors.append(
                    _explain(detail, name, given_as.get(name, name), values.get(name), names_of(model).get(name))
                )
        raise RequestError(*errors) from None
    if errors:
        raise RequestError(*errors)
    return request


def _normalise(spec: FieldSpec, key: str, raw: object, *, from_text: bool) -> Any:
    """The value that validation sees; None means "not given". Raises :class:`BadValueError` with its words."""
    if raw is None:
        return None
    if isinstance(raw, str) and not raw.strip() and (from_text or spec.kind in {Kind.TEXT, Kind.LIST}):
        return None
    if key in spec.about.switches:
        return _switch(spec.about.switches[key], raw)
    match spec.kind:
        case Kind.INTEGER | Kind.NUMBER:
            value = _number(spec, raw, from_text=from_text)
        case Kind.BOOLEAN:
            value = _boolean(raw, from_text=from_text)
        case Kind.LIST:
            value = _list(spec, raw)
        case Kind.CHOICE | Kind.TEXT:
            value = _word(spec, raw)
        case Kind.OBJECT:
            if not isinstance(raw, Mapping):
                raise BadValueError("must be a JSON object, not text or a list.")
            value = raw
    return value


def _switch(values: Mapping[str, str | None], raw: object) -> str | None:
    word = str(raw).strip().lower()
    if word in _BOOLEANS and "true" in values:
        word = "true" if _BOOLEANS[word] else "false"
    if not isinstance(raw, (str, bool, int)) or word not in values:
        raise BadValueError(message("takes {values}.", values=" | ".join(values)))
    return values[word]


def _number(spec: FieldSpec, raw: object, *, from_text: bool) -> Any:
    if isinstance(raw, str):
        if raw.strip().lower() in spec.about.empty_words:
            return None
        if not from_text:
            raise BadValueError("is text; a number goes here, without quotation marks.")
        return raw.strip()
    if isinstance(raw, bool):
        raise BadValueError("is true or false; a number goes here.")
    return raw


def _boolean(raw: object, *, from_text: bool) -> Any:
    if isinstance(raw, bool):
        return raw
    if from_text and isinstance(raw, str) and raw.lower() in _BOOLEANS:
        return _BOOLEANS[raw.lower()]
    raise BadValueError("is neither true nor false.")


def _word(spec: FieldSpec, raw: object) -> Any:
    if isinstance(raw, bool) and spec.kind is Kind.CHOICE:
        raw = str(raw).lower()
    if not isinstance(raw, str):
        raise BadValueError("must be text.")
    word = raw.strip()
    lowered = word.lower()
    if lowered in spec.about.empty_words:
        return None
    if lowered in spec.about.synonyms:
        return spec.about.synonyms[lowered]
    return lowered if any(choice.value == lowered for choice in spec.choices) else word


def _list(spec: FieldSpec, raw: object) -> Any:
    items = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise BadValueError("must be a list of names.")
    if not isinstance(raw, str) and not all(item.strip() for item in items):
        raise BadValueError("has an entry that is blank.")
    if len(items) > MAX_LIST_ITEMS:
        raise BadValueError(message("has more than {count} names.", count=MAX_LIST_ITEMS))
    names = tuple(dict.fromkeys(item.strip() for item in items if item.strip()))
    if len(names) == 1:
        word = spec.about.synonyms.get(names[0].lower(), names[0])
        if word in spec.about.empty_words:
            return ()
        if word in TARGET_PRESETS and spec.choices:
            return word
    presets = [name for name in names if name in TARGET_PRESETS and spec.name == "lora_target_modules"]
    if presets:
        raise BadValueError(
            message("mixes the preset {name} with other names; give one or the other.", name=presets[0])
        )
    return names or None


def _unknown(key: str, known: Mapping[str, FieldSpec]) -> FieldError:
    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=3, cutoff=0.6)
    names = tuple(dict.fromkeys(known[name].name for name in near))
    problem = did_you_mean(mark("is not a field of this request."), names)
    return FieldError(field=key[:100], message=problem, suggestions=names)


def _explain(detail: ErrorDetails, name: str, key: str, value: object, spec: FieldSpec | None) -> FieldError:
    allowed = spec.allowed if spec is not None else None
    kind = detail["type"]
    if kind in {"greater_than_equal", "greater_than", "less_than_equal"}:
        text = mark("is too small.") if kind.startswith("greater") else mark("is too large.")
    elif kind in {
        "int_from_float",
        "int_parsing",
        "int_parsing_size",
        "float_parsing",
        "decimal_parsing",
        "decimal_type",
        "finite_number",
        "int_type",
        "float_type",
    }:
        is_whole = spec is not None and spec.kind is Kind.INTEGER
        text = mark("is not a whole number.") if is_whole else mark("is not a number.")
    elif kind == "missing":
        text = mark("is required.")
    elif spec is not None and spec.kind is Kind.CHOICE:
        words = [choice.value for choice in spec.choices]
        near = tuple(difflib.get_close_matches(str(value), words, n=2, cutoff=0.5))
        return FieldError(
            field=key,
            message=message("{value} is not one of the choices.", value=_quoted(value)),
            allowed=allowed,
            suggestions=near,
        )
    elif spec is not None and spec.kind is Kind.LIST:
        text = message("has an entry that cannot be: {value}.", value=_quoted(detail["input"]))
    elif name == "currency":
        text, allowed = mark("is not a currency code."), mark("three letters, such as USD")
    elif kind == "string_too_long":
        text = mark("is too long.")
    else:
        text = f"{detail['msg'][:1].lower()}{detail['msg'][1:]}."
    return FieldError(field=key, message=text, allowed=allowed)


def _quoted(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
    return f"“{text[:60]}…”" if len(text) > 60 else f"“{text}”"
