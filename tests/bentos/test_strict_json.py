"""What strict JSON refuses, and the sentence a person reads."""

from __future__ import annotations

import pytest

from bentos.strict_json import read_json
from core.refusals import JsonInvalid


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": NaN}', "NaN is not JSON at line 1 column 7"),
        (b'{"a":\n -Infinity}', "Infinity is not JSON at line 2 column 3"),
        (b'{"a": 1, "a": 2}', 'Detected duplicate key "a" at line 1 column 14'),
        (b'{"rows": [{"a": 1e400}]}', "The number at rows[0].a is beyond a 64-bit float"),
        (b'{"a": -1e400}', "The number at a is beyond a 64-bit float"),
        (b"1" * 400, "The number at the top is beyond a 64-bit float"),
        (b'{"a": ' + b"1" * 5000 + b"}", "A number of too many digits"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair, at line 1"),
        (b'{"a": "\xff"}', "Bytes that are not UTF-8 at line 1 column 8"),
        (b"[" * 17 + b"]" * 17, "Lists and objects are nested deeper than 16 levels"),
        (b"[" * 100_000, "Lists and objects are nested deeper than 16 levels"),
        (b'\xef\xbb\xbf{"a": 1}', "The body starts with a byte-order mark"),
        ('{"a": 1}'.encode("utf-16"), "The body starts with a byte-order mark"),
        (b"", "The body is empty"),
        (b" \n", "The body is empty"),
        (b'{"a": 1} x', "Trailing characters at line 1 column 10"),
        (b'{"a": 1,}', "Trailing comma at line 1 column 9"),
        (b'{"a": ', "EOF while parsing a value at line 1 column 6"),
        (b"{'a': 1}", "at line 1 column 2"),
    ],
)
def test_a_body_that_is_not_strict_json_is_refused_with_its_place(body: bytes, said: str) -> None:
    with pytest.raises(JsonInvalid) as caught:
        read_json(body, max_depth=16)
    assert said in caught.value.detail
    assert "RFC 8259" in caught.value.detail
    assert len(caught.value.detail) < 500


def test_strict_json_is_read_as_it_stands() -> None:
    body = '{"a": [1, 2.5, true, null, "Zoë 🙂"], "b": {"c": -0.0}}'.encode()
    assert read_json(body, max_depth=16) == {"a": [1, 2.5, True, None, "Zoë 🙂"], "b": {"c": 0.0}}


def test_a_body_as_deep_as_allowed_is_read() -> None:
    assert read_json(b"[" * 16 + b"]" * 16, max_depth=16) is not None
