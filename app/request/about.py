"""What a field of the request says about itself: label, unit, theme, aliases. Attached to the field's annotation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.messages import mark


class Theme(StrEnum):
    """The groups under which forms, help pages and the command line show the fields."""

    MODEL = "model"
    METHOD = "method"
    ADAPTER = "adapter"
    QUANTISATION = "quantisation"
    NUMBERS = "numbers"
    BATCH = "batch"
    SAVING = "saving"
    CLUSTER = "cluster"
    DATA = "data"
    MARKET = "market"


THEME_TITLES: Mapping[Theme, str] = {
    Theme.MODEL: mark("Model and software"),
    Theme.METHOD: mark("Method"),
    Theme.ADAPTER: mark("Adapters"),
    Theme.QUANTISATION: mark("Quantisation"),
    Theme.NUMBERS: mark("Number formats and optimizer"),
    Theme.BATCH: mark("Batch"),
    Theme.SAVING: mark("Saving memory"),
    Theme.CLUSTER: mark("Several GPUs"),
    Theme.DATA: mark("Your data"),
    Theme.MARKET: mark("Card and market"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """Everything a view needs to present one field.

    ``switches`` are aliases with another vocabulary: the alias' value (``true``, ``4bit``…) maps to the field's own.
    """

    label: str
    theme: Theme
    unit: str | None = None
    aliases: tuple[str, ...] = ()
    switches: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)
    """The values, with words, of a closed set that is data rather than an enumeration."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Human words for the values of a closed set."""
    synonyms: Mapping[str, str] = field(default_factory=dict)
    """Other spellings of a value, lower case (``true`` for ``full`` checkpointing)."""
    empty_words: frozenset[str] = frozenset()
    """Words that mean "not given" beside the empty string (``none``, ``any``)."""
    body_only: bool = False
    example: object = None
