"""What the model hub answers for an id, as values: a shape, a base model to take instead, or why there is neither."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final

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
        wait = f" Try again in {reading.wait_seconds:.0f} seconds, or" if reading.wait_seconds else " Try again, or"
        return HubRefusal(message=f"cannot be looked up now: {host} is asking us to wait.{wait} paste its config.json.")
    return HubRefusal(message=_REFUSALS[reading.outcome].format(host=host))


def _shape(reading: Reading, host: str, read_on: date) -> HubShape | None:
    if reading.content is None:
        return None
    at = f" at revision {reading.revision[:12]}" if reading.revision else ""
    return HubShape(
        hub_id=reading.hub_id,
        config=reading.content,
        source=f"The shape is that of config.json of {reading.hub_id}{at} on {host}, read on {read_on}.",
        note=_copy_note(reading),
    )


_PASTE: Final = "Paste its config.json instead."
_REFUSALS: Final[Mapping[Outcome, str]] = {
    Outcome.GATED: f"is gated on {{host}}: its licence must be accepted there before its files can be read. {_PASTE}",
    Outcome.NOT_ALLOWED: f"cannot be read on {{host}}: it is gated or private, or does not exist. {_PASTE}",
    Outcome.MISSING: "is neither in the catalogue nor on {host}. Check the spelling.",
    Outcome.MALFORMED: f"has a config.json on {{host}} that is not a JSON object. {_PASTE}",
    Outcome.TOO_LARGE: f"has a config.json on {{host}} that is larger than any model needs. {_PASTE}",
    Outcome.REDIRECTED: f"could not be read: {{host}} sent us on to another address. {_PASTE}",
    Outcome.SLOW: f"could not be read: {{host}} did not answer in time. {_PASTE}",
    Outcome.UNREACHABLE: f"is not in the catalogue, and {{host}} cannot be reached. {_PASTE}",
}


def _base_note(reading: Reading) -> str:
    if reading.conversion is Conversion.ADAPTER:
        return f"{reading.hub_id} is an adapter of {reading.base_hub_id}; the figures are those of that model."
    return (
        f"{reading.hub_id} is {_article(reading)} copy; its card names {reading.base_hub_id} as its base, and the "
        "figures are those of that model."
    )


def _copy_note(reading: Reading) -> str | None:
    if reading.conversion is None:
        return None
    return (
        f"{reading.hub_id} is {_article(reading)} copy, and no base model of it can be read. The figures are for "
        "training the model of this shape, not the copy."
    )


def _article(reading: Reading) -> str:
    return f"{'an' if reading.conversion in {Conversion.AWQ, Conversion.MLX} else 'a'} {reading.conversion}"


def _no_config(reading: Reading) -> str:
    if reading.conversion is Conversion.ADAPTER:
        return "is an adapter that names no base model on the hub. Name the model it was trained on."
    if reading.conversion is not None:
        return (
            f"holds {reading.conversion} files only, and its card names no base model. Name the model it was made from."
        )
    return f"has no config.json, so it is no model for transformers. {_PASTE}"
