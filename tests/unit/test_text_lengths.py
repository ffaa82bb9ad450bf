"""Text as lengths: what counts, what is left out and named, and files that mean harm."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.request import RequestError
from app.services.text_lengths import (
    MESSAGE_TOKENS,
    MOST_LINES,
    MOST_PROBLEMS,
    MeasuredText,
    checked_lengths,
    measure_jsonl,
    read_lengths,
)


def measured(*examples: Any) -> MeasuredText:
    return measure_jsonl("\n".join(json.dumps(example) for example in examples).encode())


@pytest.mark.parametrize(
    ("example", "characters", "turns"),
    [
        ({"text": "x" * 100, "id": "not text of the example"}, 100, 0),
        ({"prompt": "x" * 60, "completion": "y" * 40}, 100, 0),
        ({"instruction": "x" * 50, "input": "", "output": "y" * 50, "source": "z" * 900}, 100, 0),
        ({"messages": [{"role": "user", "content": "x" * 70}, {"role": "assistant", "content": "y" * 30}]}, 100, 2),
        ({"conversations": [{"from": "human", "value": "x" * 100}]}, 100, 1),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 100}]}]}, 100, 1),
        ({"question": "x" * 80, "answer": "y" * 20}, 100, 0),
        ({"anything": "x" * 100, "number": 5}, 100, 0),
        ("x" * 100, 100, 0),
    ],
)
def test_an_example_s_text_is_found_under_the_usual_names(example: Any, characters: int, turns: int) -> None:
    found = measured(example)
    assert found.characters == characters
    assert found.low.tokens == (25 + turns * MESSAGE_TOKENS,)
    assert found.high.tokens == (32 + turns * MESSAGE_TOKENS,)


def test_lines_that_cannot_be_read_are_left_out_and_named() -> None:
    fine, wrong = (
        b'{"text": "fine"}',
        (b'{"text": ', b"", b"[1, 2]", b'{"text": ""}', b'{"text": 1, "text": 2}', b"\xff"),
    )
    found = measure_jsonl(b"\n".join((fine, *wrong, fine + b"\r", b"")))
    assert found.high.examples == 2
    assert found.skipped_count == 5
    assert [line.partition(":")[0] for line in found.skipped] == ["Line 2", "Line 4", "Line 5", "Line 6", "Line 7"]
    assert "more than once" in found.skipped[3]


def test_only_the_first_problems_are_named() -> None:
    found = measure_jsonl(b"{\n" * 500 + b'{"text": "fine"}')
    assert (found.skipped_count, len(found.skipped)) == (500, 8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no line that can be read"),
        (b"\n\n  \n", "no line that can be read"),
        (b"not json at all", "Line 1"),
        (b"\x1f\x8b\x08" + b"\x00" * 50, "is compressed"),
        (b"PK\x03\x04" + b"\x00" * 50, "is compressed"),
        (b"[" * 200_000, "Line 1"),
        (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "Line 1"),
        (b'{"text": "' + b"x" * (1024 * 1024) + b'"}', "longer than 1,024 KiB"),
        (b'{"text": 1' + b"0" * 100_000 + b"}", "Line 1"),
    ],
    ids=["empty", "blank", "prose", "gzip", "zip", "brackets", "nested", "long line", "large number"],
)
def test_what_cannot_be_measured_is_refused_quickly(content: bytes, words: str) -> None:
    started = time.perf_counter()
    with pytest.raises(RequestError, match=words):
        measure_jsonl(content)
    assert time.perf_counter() - started < 2


def test_a_file_is_read_up_to_a_number_of_lines_and_of_problems() -> None:
    long = measure_jsonl(b'"x"\n' * (MOST_LINES + 5))
    assert long.high.examples == MOST_LINES
    assert long.skipped == (f"Line {MOST_LINES + 1:,} and those after it were not read.",)
    broken = measure_jsonl(b'"x"\n' + b"{\n" * 500_000)
    assert broken.skipped_count == MOST_PROBLEMS
    assert broken.skipped[-1] == f"Line {MOST_PROBLEMS + 2:,} and those after it were not read."


def test_other_scripts_are_noticed() -> None:
    assert measured({"text": "これは日本語の文章です。" * 5}).other_scripts
    assert not measured({"text": "A naïve café, mostly in English, as it were"}).other_scripts


@pytest.mark.parametrize("text", ["5 6 7", "5,6,7", "[5, 6, 7]", "5\n6\r\n7\n", " 7;6;5 "])
def test_a_list_may_be_separated_as_people_do(text: str) -> None:
    assert read_lengths(text).tokens == (5, 6, 7)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be a list"),
        ("5 six", "number 2 is “six”"),
        ("0", "number 1"),
        ("-4", "number 1"),
        ("1.5", "number 1"),
        ("99999999999999999999", "number 1"),
        ("５", "number 1"),
        ("1 " * 100_001, "too many"),
    ],
)
def test_what_is_no_length_is_named_by_its_place(text: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        read_lengths(text)


@pytest.mark.parametrize("values", [None, [], "5", [0], [True], [1.5], ["5"], {"a": 1}, [2**40]])
def test_a_json_list_holds_whole_numbers(values: object) -> None:
    with pytest.raises(RequestError):
        checked_lengths(values)


@given(st.lists(st.text(max_size=200), min_size=1, max_size=20))
def test_any_text_is_measured_or_named(texts: list[str]) -> None:
    try:
        found = measured(*({"text": text} for text in texts))
    except RequestError:
        assert not any(texts)
        return
    assert found.high.examples + found.skipped_count == len(texts)
    assert found.characters == sum(map(len, texts))
    assert found.low.total <= found.high.total


@given(st.binary(max_size=300))
def test_no_bytes_break_it(content: bytes) -> None:
    try:
        found = measure_jsonl(content)
    except RequestError as problem:
        (error,) = problem.errors
    else:
        assert found.high.examples >= 1
        return
    assert error.field == "file"
