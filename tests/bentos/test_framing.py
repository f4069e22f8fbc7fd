"""What can be answered unread is what the real parser calls one whole request."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.framing import is_one_request

PLAIN = b"POST /api/churn HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"


class Count:
    """Counts the requests that the parser finds."""

    def __init__(self) -> None:
        self.whole = 0

    def on_message_complete(self) -> None:
        self.whole += 1


@pytest.mark.parametrize(
    "said",
    [
        PLAIN,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        PLAIN.replace(b"Host: x", b"Connection: keep-alive\r\nHost: x"),
        PLAIN.replace(b"Content-Length: 3", b"content-length:3"),
    ],
)
def test_a_plain_request_is_one(said: bytes) -> None:
    assert is_one_request(said)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        PLAIN[:20],
        PLAIN[:-1],
        PLAIN + b"x",
        PLAIN + PLAIN,
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"POST", b"HEAD"),
        PLAIN.replace(b"Host: x", b"Connection: close"),
        PLAIN.replace(b"Host: x", b"Expect: 100-continue"),
        PLAIN.replace(b"Host: x", b"Upgrade: websocket"),
        PLAIN.replace(b"Host: x", b"Transfer-Encoding: chunked"),
        PLAIN.replace(b"Host: x", b"Content-Length: 3"),
        PLAIN.replace(b"Length: 3", b"Length: +3"),
        PLAIN.replace(b"Length: 3", b"Length: 3, 3"),
        PLAIN.replace(b"Length: 3", b"Length: -1"),
    ],
)
def test_any_other_is_left_to_the_parser(said: bytes) -> None:
    assert not is_one_request(said)


LINES = st.sampled_from(
    [
        b"Host: x", b"Content-Length: 3", b"content-length: 0", b"Content-Length: 5",
        b"Transfer-Encoding: chunked", b"Connection: keep-alive", b"X: y", b" folded", b"A : b",
        b"Content-Length:3\r", b"X: \nContent-Length: 3", b"Content-Length : 3",
    ]
)  # fmt: skip
BODIES = st.sampled_from([b"", b"abc", b"abcde", b"3\r\nabc\r\n0\r\n\r\n", PLAIN])


@given(st.lists(LINES, max_size=5), BODIES)
def test_what_is_taken_for_one_is_one_to_the_parser_too(lines: list[bytes], body: bytes) -> None:
    said = b"\r\n".join([b"POST / HTTP/1.1", *lines]) + b"\r\n\r\n" + body
    if not is_one_request(said):
        return
    count = Count()
    parser = httptools.HttpRequestParser(count)
    try:
        parser.feed_data(said)
    except httptools.HttpParserError:
        return  # no request at all: whether it is refused as such or as one too many is the same
    assert count.whole == 1
