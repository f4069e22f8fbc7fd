"""One connection, over real sockets: slow callers, floods, and too many at once."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from bentos import border, connection
from bentos.border import Border
from bentos.connection import Connection
from bentos.lanes import Lanes
from bentos.reply import Reply
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


class Quick(Border):
    """A border that answers by itself what is not slow, and needs no task for it."""

    may_be_stepped = True

    async def _answer(self, reply: Reply, receive: Receive) -> None:
        scope = reply.scope
        if scope["path"] == "/slow":
            await super()._answer(reply, receive)
            return
        if scope["method"] == "POST":
            await self._take_body(reply, receive)
        await reply.answer(scope["path"].encode(), media_type=b"text/plain")


@contextmanager
def serving(kind: type[Border] = Border) -> Iterator[tuple[int, Callable[[], None]]]:
    """Run a server in a thread; give its port, and how to let it end."""
    port = free_port()
    gate = kind(app, limits=lambda: Limits(body_bytes=4096))
    config = uvicorn.Config(
        gate, port=port, http=Connection, lifespan="off", log_level="critical", timeout_keep_alive=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)

    def stop() -> None:
        server.should_exit = True

    yield port, stop
    stop()
    thread.join()


@pytest.fixture(params=[Border, Quick])
def port(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.2)
    monkeypatch.setattr(border, "BODY_SECONDS", 0.3)
    with serving(request.param) as (found, _):
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
            reads = [asyncio.wait_for(reader.read(), 30) for reader, _ in half]
            ends = await asyncio.gather(*reads, return_exceptions=True)
            for _, writer in half:
                writer.close()
            # Of one that was closed before its bytes were read the system says that it was reset.
            return answer, sum(end == b"" or isinstance(end, ConnectionError) for end in ends)

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


class Full(Lanes):
    """Lanes in which one request is under way at a time, and a given number waits."""

    def __init__(self, room: int) -> None:
        super().__init__(most_under_way=1, always_each=0)
        self.room = room
        self.begun = 0

    def enter(self, lane: str) -> None:
        super().enter(lane)
        self.begun += 1


SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BODY = b"Content-Length: 2\r\n\r\n{}"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


class TestTurns:
    @pytest.fixture
    def lanes(self, monkeypatch: pytest.MonkeyPatch) -> Full:
        lanes = Full(room=2)
        monkeypatch.setattr(connection, "lanes_of", lambda _: lanes)
        return lanes

    async def ask_while_busy(self, port: int, *asked: bytes) -> list[bytes]:
        """Send each on a connection of its own, by turns, while a slow one is answered."""
        found = [asyncio.create_task(exchange(port, SLOW))]
        await asyncio.sleep(0.1)
        for said in asked:
            found.append(asyncio.create_task(exchange(port, said)))
            await asyncio.sleep(0.02)
        return await asyncio.gather(*found)

    def test_what_cannot_begin_waits_and_is_answered(self, lanes: Full, port: int) -> None:
        answers = asyncio.run(self.ask_while_busy(port, GET, POST + BODY))
        assert [answer[9:12] for answer in answers] == [b"200"] * 3
        assert (lanes.waiting, lanes.refused) == (0, 0)

    def test_what_comes_in_pieces_waits_too(self, lanes: Full, port: int) -> None:
        async def run() -> tuple[bytes, bytes]:
            slow = asyncio.create_task(exchange(port, SLOW))
            await asyncio.sleep(0.1)
            parts = (POST[:30], POST[30:], BODY[:-1], BODY[-1:])
            return await exchange(port, *parts, pause_s=0.02), await slow

        assert [answer[9:12] for answer in asyncio.run(run())] == [b"200"] * 2
        assert lanes.refused == 0

    @pytest.mark.parametrize("said", [GET, POST + BODY, POST + CHUNKED, GET + GET])
    def test_beyond_that_it_is_refused_and_the_connection_stays(
        self, lanes: Full, port: int, said: bytes
    ) -> None:
        async def run() -> tuple[bytes, list[bytes]]:
            busy = asyncio.create_task(self.ask_while_busy(port, GET, GET))
            await asyncio.sleep(0.3)
            refused = await exchange(port, said, GET, pause_s=0.05)
            return refused, await busy

        refused, answers = asyncio.run(run())
        assert refused.count(b"HTTP/1.1 503") == refused.count(b"HTTP/1.1 ") >= 2
        assert refused.count(b"retry-after: 1") == refused.count(b'"code":"Overloaded"') >= 2
        assert [answer[9:12] for answer in answers] == [b"200"] * 3
        assert lanes.refused >= 2

    def test_who_leaves_while_waiting_is_not_answered(self, lanes: Full, port: int) -> None:
        async def run() -> list[bytes]:
            slow = asyncio.create_task(exchange(port, SLOW))
            await asyncio.sleep(0.1)
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(SLOW)
            await asyncio.sleep(0.1)
            writer.close()
            assert lanes.waiting == 1
            return [await slow, await exchange(port, GET)]

        assert [answer[9:12] for answer in asyncio.run(run())] == [b"200"] * 2
        assert (lanes.waiting, lanes.begun) == (0, 2)

    def test_what_waits_is_answered_before_the_server_ends(
        self, lanes: Full, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "HEADER_SECONDS", 5.0)

        async def run(port: int, stop: Callable[[], None]) -> list[bytes]:
            asked = [asyncio.create_task(exchange(port, said)) for said in (SLOW, GET)]
            await asyncio.sleep(0.3)
            assert lanes.waiting == 1
            stop()
            return await asyncio.gather(*asked)

        with serving() as (port, stop):
            answers = asyncio.run(run(port, stop))
        assert [answer[9:12] for answer in answers] == [b"200"] * 2

    def test_a_thousand_that_wait_and_end_at_once_are_all_answered(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Each admits the next one as it ends: not inside of each other, which would not end well.
        lanes = Full(room=2000)
        monkeypatch.setattr(connection, "lanes_of", lambda _: lanes)

        async def run(port: int) -> list[bytes]:
            slow = asyncio.create_task(exchange(port, SLOW))
            await asyncio.sleep(0.2)
            links = [await asyncio.open_connection("127.0.0.1", port) for _ in range(1000)]
            for _, writer in links:
                writer.write(GET)
            assert (await slow)[9:12] == b"200"
            try:
                return [await reader.readuntil(b"\r\n\r\n/") for reader, _ in links]
            finally:
                for _, writer in links:
                    writer.close()

        with serving(Quick) as (port, _):
            answers = asyncio.run(run(port))
        assert [answer[9:12] for answer in answers] == [b"200"] * 1000
        assert (lanes.waiting, lanes.refused) == (0, 0)


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
