"""One connection, over real sockets: slow callers, floods, and too many at once."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from bentos import border, connection
from bentos.border import Border
from bentos.connection import Connection
from core.platform_config import Limits
from tests.serve.conftest import free_port

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the path; under /slow only when the test lets it."""
    if scope["path"] == "/slow":
        await asyncio.sleep(1)
    await receive()
    body = scope["path"].encode()
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving() -> Iterator[int]:
    """Run a server in a thread; give its port."""
    port = free_port()
    gate = Border(app, limits=lambda: Limits(body_bytes=4096))
    config = uvicorn.Config(
        gate, port=port, http=Connection, lifespan="off", log_level="critical", timeout_keep_alive=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield port
    server.should_exit = True
    thread.join()


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.2)
    monkeypatch.setattr(border, "BODY_SECONDS", 0.3)
    with serving() as found:
        yield found


async def exchange(port: int, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Send parts, then read until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(pause_s)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


def ask(port: int, *parts: bytes, pause_s: float = 0.0) -> bytes:
    return asyncio.run(exchange(port, *parts, pause_s=pause_s))


def problem_in(answer: bytes) -> Any:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return json.loads(body)


class TestSlow:
    @pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "])
    def test_who_dawdles_over_the_headers_is_hung_up_on(self, port: int, said: bytes) -> None:
        assert ask(port, said) == b""

    def test_also_on_a_connection_that_was_good_before(self, port: int) -> None:
        answer = ask(port, GET, b"GET / HT", pause_s=0.05)
        assert answer.count(b"HTTP/1.1 200") == 1

    def test_a_body_that_dawdles_is_refused(self, port: int) -> None:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        answer = ask(port, head + b"Content-Length: 100\r\n\r\n{")
        assert answer.startswith(b"HTTP/1.1 408")
        assert problem_in(answer)["code"] == "BodyTooSlow"

    def test_an_idle_connection_is_closed(self, port: int) -> None:
        answer = ask(port, GET)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" not in answer

    def test_a_slow_answer_is_waited_for(self, port: int) -> None:
        answer = ask(port, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.endswith(b"/slow")

    def test_a_thousand_half_open_connections_hold_nobody_up(self, port: int) -> None:
        async def run() -> tuple[bytes, int]:
            half = [await asyncio.open_connection("127.0.0.1", port) for _ in range(1_000)]
            for _, writer in half:
                writer.write(b"GET / HTTP/1.1\r\nX: ")
            answer = await exchange(port, GET)
            ends = await asyncio.gather(*[asyncio.wait_for(r.read(), 30) for r, _ in half])
            for _, writer in half:
                writer.close()
            return answer, sum(end == b"" for end in ends)

        answer, closed = asyncio.run(run())
        assert answer.startswith(b"HTTP/1.1 200")
        assert closed == 1_000


class TestFloods:
    def test_headers_without_end_are_cut_off(
        self, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "MOST_HEADER_BYTES", 10_000)
        flood = b"".join(b"X-%d: %s\r\n" % (i, b"a" * 500) for i in range(100))
        answer = ask(port, b"GET / HTTP/1.1\r\n" + flood)
        assert answer.startswith(b"HTTP/1.1 431")
        assert problem_in(answer)["code"] == "HeadersTooLarge"

    def test_a_chunked_body_is_counted(self, port: int) -> None:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
        answer = ask(port, head + chunk * 8 + b"0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413")

    @pytest.mark.parametrize(
        "said", [b"\x16\x03\x01\x02\x00", b"HELLO\r\n\r\n", b"GET\x00/\r\n\r\n"]
    )
    def test_what_is_no_http_gets_a_problem_document(self, port: int, said: bytes) -> None:
        answer = ask(port, said)
        assert answer.startswith(b"HTTP/1.1 400")
        assert problem_in(answer)["code"] == "HttpInvalid"

    def test_more_connections_than_there_may_be_are_turned_away(
        self, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "MOST_CONNECTIONS", 0)
        answer = ask(port, GET)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in answer.lower()

    def test_more_requests_than_there_may_be_are_refused_and_the_connection_stays(
        self, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "MOST_UNDER_WAY", 0)
        body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        answer = ask(port, body, GET, pause_s=0.05)
        assert answer.count(b"HTTP/1.1 503") == 2
        assert b'"code":"Overloaded"' in answer


class TestGarbage:
    def test_an_exchange_leaves_no_ring_for_the_collector(self, port: int) -> None:
        ask(port, GET)
        gc.collect()
        gc.disable()
        try:
            answer = ask(port, *[GET] * 200)
            assert answer.count(b"HTTP/1.1 200") == 200
            # One connection leaves a few by itself; a ring in each exchange would leave thousands.
            assert gc.collect() < 400
        finally:
            gc.enable()


class TestOrder:
    def test_pipelined_requests_are_answered_in_order(self, port: int) -> None:
        paths = [b"/slow", b"/a", b"/b", b"/c"]
        sent = b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in paths)
        answer = ask(port, sent)
        places = [answer.index(b"\r\n\r\n" + path) for path in paths]
        assert places == sorted(places)

    def test_expect_100_is_answered_before_the_body(self, port: int) -> None:
        head = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        answer = ask(port, head, b"{}", pause_s=0.1)
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")

    def test_http_1_0_is_answered_and_closed(self, port: int) -> None:
        answer = ask(port, b"GET / HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
