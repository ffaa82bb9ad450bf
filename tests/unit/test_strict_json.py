"""JSON is read as one document, or refused with the reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.offer_files import FileError, read_json
from app.strict_json import RepeatedKeyError, read_strict_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_what_is_written_is_read(value: object) -> None:
    assert read_strict_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 1}', '{"runs": [{"b": {"a": 1, "c": 2, "a": 3}}]}', '{"a": 1, "\\u0061": 2}']
)
def test_a_key_given_twice_is_refused_by_name(text: str) -> None:
    with pytest.raises(RepeatedKeyError, match="“a” stands in one object more than once"):
        read_strict_json(text)


def test_the_same_key_in_two_objects_is_fine() -> None:
    assert read_strict_json('[{"a": 1}, {"a": {"a": 2}}]') == [{"a": 1}, {"a": {"a": 2}}]


@pytest.mark.parametrize("content", [b'\xef\xbb\xbf{"a": 1}', '\ufeff{"a": 1}'])
def test_a_byte_order_mark_is_no_error(content: bytes | str) -> None:
    assert read_strict_json(content) == {"a": 1}


@pytest.mark.parametrize(
    "content",
    ["", "NaN", '{"a": Infinity}', b'{"a": "\xff"}', '"\\ud800"', "[" * 100_000, "1" * 5_000, "{'a': 1}", "1 2"],
)
def test_anything_else_is_refused_with_a_reason(content: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        read_strict_json(content)


def test_a_price_list_gives_no_column_twice() -> None:
    with pytest.raises(FileError, match="“gpu” stands in one object more than once"):
        read_json(b'[{"gpu": "rtx-4090", "gpu": "h100-sxm"}]')
    with pytest.raises(FileError, match="offer 2: the key “amount”"):
        read_json(b'[{"gpu": "a"}, {"price": "1", "amount": "2"}]')
