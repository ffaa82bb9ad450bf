"""Lengths of examples from text: a pasted list of numbers, or JSONL measured in characters.

Nothing is kept. A tokeniser would be exact, but is each model's own and a download; characters give a range.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, Final

from app.messages import Message, message, sentences
from app.planning.lengths import Lengths
from app.request import FieldError, RequestError
from app.request.dataset import MAX_LENGTHS
from app.request.model import MAX_SEQUENCE_TOKENS
from app.strict_json import read_strict_json

FEWEST_TOKENS_A_CHARACTER: Final = 0.25
MOST_TOKENS_A_CHARACTER: Final = 0.32
"""Rounded outwards from 3.94 and 3.17 characters a token, the tokenisers of Llama 3 and Llama 2 on English (The Llama 3
Herd of Models, arXiv 2407.21783, section 3.2)."""
MESSAGE_TOKENS: Final = 5
"""Added for each message of a conversation: ``<|start_header_id|>``, role, ``<|end_header_id|>``, blank lines and
``<|eot_id|>`` in Llama 3's chat template; ChatML's take as many."""
LONGEST_LINE_BYTES: Final = 1024 * 1024
MOST_LINES: Final = 20_000
"""Read of a file, which takes about half a second; lines after them change the answer little."""
MOST_PROBLEMS: Final = 1_000
"""Lines that cannot be read before the file is given up."""
_COMPRESSED: Final = (b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"BZh", b"PAR1")
"""How gzip, zip, Zstandard, bzip2 and Parquet files begin. Nothing here unpacks anything."""
_SHOWN_PROBLEMS: Final = 8
_OTHER_SCRIPTS: Final = 0.05
"""The share of characters outside ASCII from which English's range is said not to hold."""
_SEPARATORS: Final = re.compile(r"[\s,;]+")
_TURNS: Final = ("messages", "conversations", "conversation")
_SAID: Final = ("content", "value")
_TEXTS: Final = (
    ("text",),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("instruction", "input", "output", "response"),
    ("question", "answer"),
    ("input", "output"),
    ("content",),
)
"""Keys that data sets put their text under; the first group of which an example has its first key counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredText:
    """JSONL as lengths: at few tokens a character, and at many."""

    low: Lengths
    high: Lengths
    characters: int
    other_scripts: bool
    """More than a few characters are no ASCII, so English's range is too low."""
    skipped: tuple[str, ...]
    """What is wrong with lines that were left out, with their numbers; the first of them."""
    skipped_count: int


def read_lengths(text: str, field: str = "lengths") -> Lengths:
    """A list of whole numbers separated by blanks, commas or line ends. Raises :class:`RequestError` on ``field``."""
    words = [word for word in _SEPARATORS.split(text.strip().strip("[]")) if word]
    if len(words) > MAX_LENGTHS:
        raise _refusal(field, message("has too many numbers."))
    for place, word in enumerate(words, start=1):
        if not word.isascii() or not word.isdigit() or len(word) > 9 or not 1 <= int(word) <= MAX_SEQUENCE_TOKENS:
            raise _refusal(
                field,
                message("has an entry that is no length: number {place} is “{entry}”.", place=place, entry=word[:20]),
            )
    return checked_lengths([int(word) for word in words], field)


def checked_lengths(values: object, field: str = "lengths") -> Lengths:
    """A list from a JSON body. Raises :class:`RequestError` on ``field``."""
    if not isinstance(values, list) or not values or len(values) > MAX_LENGTHS:
        raise _refusal(field, message("must be a list of lengths."))
    for place, value in enumerate(values, start=1):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SEQUENCE_TOKENS:
            raise _refusal(
                field,
                message(
                    "has an entry that is no length: number {place} is “{entry}”.", place=place, entry=str(value)[:20]
                ),
            )
    return Lengths.of(values)


def _refusal(field: str, text: str) -> RequestError:
    return RequestError(
        FieldError(
            field=field,
            message=text,
            allowed=message(
                "1 to {count} whole numbers from 1 to {highest}", count=MAX_LENGTHS, highest=MAX_SEQUENCE_TOKENS
            ),
        )
    )


def measure_jsonl(
    content: bytes,
    field: str = "file",
    *,
    fewest: float = FEWEST_TOKENS_A_CHARACTER,
    most: float = MOST_TOKENS_A_CHARACTER,
) -> MeasuredText:
    """JSONL, an example a line, as token lengths. Lines that cannot be read are left out and named.

    Raises :class:`RequestError` on ``field`` where no line can be read.
    """
    if content.startswith(_COMPRESSED):
        raise RequestError(FieldError(field=field, message="is compressed; unpack it first.", allowed="JSONL as text"))
    found: list[tuple[int, int, int]] = []
    problems: list[str] = []
    count = 0
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        if len(found) >= MOST_LINES or count >= MOST_PROBLEMS:
            problems.append(message("Line {number} and those after it were not read.", number=number))
            break
        try:
            found.append(_measured(line))
        except ValueError as problem:
            count += 1
            if len(problems) < _SHOWN_PROBLEMS:
                problems.append(message("Line {number}: {problem}.", number=number, problem=_said(problem)))
    if not found:
        raise RequestError(
            FieldError(
                field=field,
                message=sentences(message("has no line that can be read."), *problems[:1]),
                allowed="JSONL: one object with text a line",
            )
        )
    characters = sum(size for size, _others, _turns in found)
    others = sum(others for _size, others, _turns in found)
    return MeasuredText(
        low=Lengths.of([_tokens(floor(size * fewest), turns) for size, _others, turns in found]),
        high=Lengths.of([_tokens(ceil(size * most), turns) for size, _others, turns in found]),
        characters=characters,
        other_scripts=others > _OTHER_SCRIPTS * characters,
        skipped=tuple(problems),
        skipped_count=count,
    )


def _tokens(text_tokens: int, turns: int) -> int:
    return min(MAX_SEQUENCE_TOKENS, max(1, text_tokens + turns * MESSAGE_TOKENS))


def _said(problem: ValueError) -> str:
    """What is wrong in the reader's language where it was said here; parsers speak English."""
    said = problem.args[0] if problem.args else ""
    return said if isinstance(said, Message) else str(problem).rstrip(".")[:120]


def _measured(line: bytes) -> tuple[int, int, int]:
    """Characters, those outside ASCII, and messages of one example. Raises ``ValueError`` that says what is wrong."""
    if len(line) > LONGEST_LINE_BYTES:
        raise ValueError(message("it is longer than {most} KiB", most=LONGEST_LINE_BYTES // 1024))
    example = read_strict_json(line.strip())
    texts, turns = _texts(example)
    size = sum(map(len, texts))
    if not size:
        raise ValueError(message("it has no text"))
    return size, sum(1 for text in texts if not text.isascii() for letter in text if letter > "\x7f"), turns


def _texts(example: Any) -> tuple[list[str], int]:
    """An example's texts and how many messages they are; nothing is followed deeper than these shapes go."""
    if isinstance(example, str):
        return [example], 0
    if not isinstance(example, Mapping):
        raise ValueError(message("it is no object"))
    for name in _TURNS:
        turns = example.get(name)
        if isinstance(turns, Sequence) and not isinstance(turns, str):
            said = [list(_said_by(turn)) for turn in turns]
            return [text for texts in said for text in texts], len(said)
    for names in _TEXTS:
        if names[0] in example:
            return [text for name in names for text in _strings(example.get(name))], 0
    return [text for value in example.values() for text in _strings(value)], 0


def _said_by(turn: Any) -> Iterator[str]:
    if isinstance(turn, Mapping):
        for name in _SAID:
            yield from _strings(turn.get(name))


def _strings(value: Any) -> Iterator[str]:
    """A text, or the texts of a list of parts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            text = part.get("text", part.get("content")) if isinstance(part, Mapping) else part
            if isinstance(text, str):
                yield text
