"""What the model hub answers for an id, as values: a shape, a base model to take instead, or why there is neither."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final

from app.messages import Value, mark, message, sentences

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


class Outcome(StrEnum):
    """How a reading ended."""

    FOUND = "found"
    NO_CONFIG = "no_config"
    GATED = "gated"
    NOT_ALLOWED = "not_allowed"
    MISSING = "missing"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    REDIRECTED = "redirected"
    BUSY = "busy"
    SLOW = "slow"
    UNREACHABLE = "unreachable"


class Conversion(StrEnum):
    """What a repository holds instead of a model as it was trained."""

    ADAPTER = "adapter"
    GGUF = "GGUF"
    AWQ = "AWQ"
    GPTQ = "GPTQ"
    BITSANDBYTES = "bitsandbytes"
    MLX = "MLX"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was read. ``content`` is the configuration, less what says nothing about the shape."""

    hub_id: str
    outcome: Outcome
    revision: str | None = None
    base_hub_id: str | None = None
    conversion: Conversion | None = None
    content: Mapping[str, Any] | None = None
    wait_seconds: float | None = None
    """How long the hub asked to be left alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HubShape:
    """A configuration to compute with."""

    hub_id: str
    config: Mapping[str, Any]
    source: str
    """Where it is from, with revision and day."""
    note: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HubBase:
    """Another model to take instead, and why; ``copy`` is the shape at hand should that one not be found."""

    hub_id: str
    note: str
    copy: HubShape | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HubRefusal:
    """Why there is no answer, as the rest of a sentence about the model."""

    message: str


HubAnswer = HubShape | HubBase | HubRefusal
HubLookup = Callable[[str], HubAnswer]


def is_hub_id(text: str) -> bool:
    """Whether this is ``owner/name`` as the hub allows it: it can be nothing but a path of two parts."""
    return bool(_ID.fullmatch(text)) and ".." not in text and "--" not in text


def hub_id_of(text: str) -> str | None:
    """The id in what somebody typed: ``owner/name``, or the address of its page on Hugging Face."""
    name = re.sub(r"^https?://(www\.)?(huggingface\.co|hf\.co)/", "", text.strip()).removesuffix("/")
    return name if is_hub_id(name) else None


def answer_of(reading: Reading, *, host: str, read_on: date) -> HubAnswer:
    """A reading in words."""
    shape = _shape(reading, host, read_on)
    if reading.conversion and reading.base_hub_id:
        return HubBase(hub_id=reading.base_hub_id, note=_base_note(reading), copy=shape)
    if shape is not None:
        return shape
    if reading.outcome is Outcome.NO_CONFIG:
        return HubRefusal(message=_no_config(reading))
    if reading.outcome is Outcome.BUSY:
        if not reading.wait_seconds:
            template = mark(
                "cannot be looked up now: {host} is asking us to wait. Try again, or paste its config.json."
            )
            return HubRefusal(message=message(template, host=host))
        return HubRefusal(
            message=message(
                "cannot be looked up now: {host} is asking us to wait. Try again in {seconds} seconds, or paste its "
                "config.json.",
                host=host,
                seconds=round(reading.wait_seconds),
            )
        )
    refusal = message(_REFUSALS[reading.outcome], host=host)
    return HubRefusal(message=refusal if reading.outcome is Outcome.MISSING else sentences(refusal, _PASTE))


def _shape(reading: Reading, host: str, read_on: date) -> HubShape | None:
    if reading.content is None:
        return None
    return HubShape(
        hub_id=reading.hub_id,
        config=reading.content,
        source=_source(reading, host, read_on),
        note=_copy_note(reading),
    )


def _source(reading: Reading, host: str, read_on: date) -> str:
    values: dict[str, Value] = {"model": reading.hub_id, "host": host, "day": read_on}
    if not reading.revision:
        return message("The shape is that of config.json of {model} on {host}, read on {day}.", **values)
    return message(
        "The shape is that of config.json of {model} at revision {revision} on {host}, read on {day}.",
        revision=reading.revision[:12],
        **values,
    )


_PASTE: Final = mark("Paste its config.json instead.")
_REFUSALS: Final[Mapping[Outcome, str]] = {
    Outcome.GATED: mark("is gated on {host}: its licence must be accepted there before its files can be read."),
    Outcome.NOT_ALLOWED: mark("cannot be read on {host}: it is gated or private, or does not exist."),
    Outcome.MISSING: mark("is neither in the catalogue nor on {host}. Check the spelling."),
    Outcome.MALFORMED: mark("has a config.json on {host} that is not a JSON object."),
    Outcome.TOO_LARGE: mark("has a config.json on {host} that is larger than any model needs."),
    Outcome.REDIRECTED: mark("could not be read: {host} sent us on to another address."),
    Outcome.SLOW: mark("could not be read: {host} did not answer in time."),
    Outcome.UNREACHABLE: mark("is not in the catalogue, and {host} cannot be reached."),
}


def _base_note(reading: Reading) -> str:
    if reading.conversion is Conversion.ADAPTER:
        return message(
            "{model} is an adapter of {base}; the figures are those of that model.",
            model=reading.hub_id,
            base=reading.base_hub_id or "",
        )
    return message(
        "{model} is {kind} copy; its card names {base} as its base, and the figures are those of that model.",
        model=reading.hub_id,
        kind=_article(reading),
        base=reading.base_hub_id or "",
    )


def _copy_note(reading: Reading) -> str | None:
    if reading.conversion is None:
        return None
    return message(
        "{model} is {kind} copy, and no base model of it can be read. The figures are for training the model of this "
        "shape, not the copy.",
        model=reading.hub_id,
        kind=_article(reading),
    )


def _article(reading: Reading) -> str:
    name = str(reading.conversion)
    if reading.conversion in {Conversion.AWQ, Conversion.MLX}:
        return message("an {conversion}", conversion=name)
    return message("a {conversion}", conversion=name)


def _no_config(reading: Reading) -> str:
    if reading.conversion is Conversion.ADAPTER:
        return mark("is an adapter that names no base model on the hub. Name the model it was trained on.")
    if reading.conversion is not None:
        return message(
            "holds {conversion} files only, and its card names no base model. Name the model it was made from.",
            conversion=str(reading.conversion),
        )
    return sentences(mark("has no config.json, so it is no model for transformers."), _PASTE)
