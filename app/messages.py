"""Sentences that the core says, in English and ready to be said in another language: a template with its values."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple, TypeAlias


class Sum(NamedTuple):
    """An amount of money in a sentence, with its ISO 4217 currency."""

    amount: Decimal
    currency: str


Value: TypeAlias = str | int | Decimal | date | Sum
"""What a template names. A ``Decimal`` is shown with the digits it has, an ``int`` with its thousands separated, a
``date`` and a :class:`Sum` in the reader's way; a text stands as it is, and a :class:`Message` is said in the reader's
language."""


class Message(str):
    """English text that knows its template and values; a ``str``, so that whoever only reads English needs no more.

    ``plural`` is the template for a ``number`` other than one.
    """

    __slots__ = ("number", "plural", "template", "values")

    template: str
    plural: str
    number: int
    values: Mapping[str, Value]

    def __new__(cls, template: str, plural: str, number: int, values: Mapping[str, Value]) -> "Message":
        chosen = plural if plural and number != 1 else template
        made = super().__new__(cls, chosen.format_map({name: english(value) for name, value in values.items()}))
        made.template, made.plural, made.number, made.values = template, plural, number, values
        return made

    def __reduce__(self) -> tuple[type["Message"], tuple[str, str, int, Mapping[str, Value]]]:
        return Message, (self.template, self.plural, self.number, self.values)


def english(value: Value) -> str:
    """A value as the English text shows it."""
    if isinstance(value, Sum):
        return f"{value.amount:,} {value.currency}"
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    return value if isinstance(value, str) else value.isoformat()


def message(template: str, /, **values: Value) -> Message:
    """A sentence from a template such as ``"{card} has no bfloat16."``."""
    return Message(template, "", 1, values)


def counted(singular: str, plural: str, count: int, /, **values: Value) -> Message:
    """A sentence in the form that goes with ``count``, which it may name as ``{count}``."""
    return Message(singular, plural, count, {"count": count, **values})


def sentences(*parts: str) -> str:
    """Texts one after the other; those that are empty are left out."""
    given = [part for part in parts if part]
    if len(given) < 2:
        return given[0] if given else ""
    names = {f"part{index}": part for index, part in enumerate(given)}
    return Message(" ".join(f"{{{name}}}" for name in names), "", 1, names)


def listed(parts: Sequence[str]) -> str:
    """Texts one after the other with commas between."""
    names = {f"part{index}": part for index, part in enumerate(parts)}
    return Message(", ".join(f"{{{name}}}" for name in names), "", 1, names) if len(parts) > 1 else parts[0]


def mark(text: str) -> str:
    """Mark a text without values for the translators; it is translated where it is shown."""
    return text


def rounded(value: float, digits: int) -> Decimal:
    """A number that is shown with exactly ``digits`` decimals."""
    return Decimal(f"{value:.{digits}f}")


def value_of(text: str, name: str) -> str:
    """A text that a message was made with; the whole where it is none, or has no such value."""
    value = text.values.get(name, text) if isinstance(text, Message) else text
    return value if isinstance(value, str) else text


def sentence(text: str) -> str:
    """A text with its full stop."""
    return Message("{text}.", "", 1, {"text": text})


def did_you_mean(problem: str, near: Sequence[str]) -> str:
    """What is wrong, and the first of the names that may have been meant."""
    return sentences(problem, message("Did you mean {name}?", name=near[0])) if near else problem
