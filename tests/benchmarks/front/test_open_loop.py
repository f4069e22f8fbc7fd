"""The open loop's client, against a server of plain sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.front.open_loop import Client, Order, Outcome

STALL_SECONDS = 0.4
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
SHED = b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\ncontent-length: 4\r\n\r\nlate"
SHED_BARE = b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"

Answer = Callable[[int, bytes], bytes | None]


@contextmanager
def server(answer: Answer) -> Iterator[int]:
    """Answer every request by its number; nothing as an answer closes the connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    counter = iter(range(10**9))
    lock = threading.Lock()

    def talk(link: socket.socket) -> None:
        with link:
            while received := link.recv(65_536):
                with lock:
                    number = next(counter)
                reply = answer(number, received)
                if reply is None:
                    return
                link.sendall(reply)

    def accept() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(link,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    path = tmp_path / "bodies.txt"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    return path


def ask(
    port: int, bodies: Path, *, per_second: float = 200.0, keys: tuple[str, ...] = (),
    connections: int = 16,
) -> Outcome:  # fmt: skip
    order = Order(
        port=port, path="/x", bodies=str(bodies), per_second=per_second, seconds=0.5, keys=keys,
        connections=connections,
    )  # fmt: skip
    return Client(order).work()


def test_everything_that_was_due_is_sent_and_counted(bodies: Path) -> None:
    with server(lambda _number, _request: GOOD) as port:
        outcome = ask(port, bodies)
    assert outcome.due == 100
    assert outcome.statuses == {"200": 100}
    assert outcome.good.count == 100
    assert outcome.shed.count == 0


def test_shed_answers_are_kept_apart_and_looked_at_for_retry_after(bodies: Path) -> None:
    replies = (GOOD, SHED, SHED_BARE, GOOD)
    with server(lambda number, _request: replies[number % 4]) as port:
        outcome = ask(port, bodies)
    assert outcome.statuses == {"200": 50, "429": 25, "503": 25}
    assert outcome.good.count == 50
    assert outcome.shed.count == outcome.shed_served.count == 50
    assert outcome.shed_without_retry_after == 25


def test_what_a_stall_kept_from_being_sent_counts_from_when_it_was_due(bodies: Path) -> None:
    def stall(number: int, _request: bytes) -> bytes:
        if number == 0:
            time.sleep(STALL_SECONDS)
        return GOOD

    with server(stall) as port:
        outcome = ask(port, bodies, connections=1)
    # Requests of half a second, 5 ms apart, behind one that took 0.4 s: the median waited too.
    assert outcome.good.count == 100
    assert outcome.good.max_ms > 1e3 * STALL_SECONDS
    assert outcome.good.p50_ms > 1e3 * STALL_SECONDS / 4


def test_a_broken_connection_counts_as_no_answer_and_the_rest_goes_on(bodies: Path) -> None:
    with server(lambda number, _request: None if number % 10 == 9 else GOOD) as port:
        outcome = ask(port, bodies)
    assert outcome.statuses == {"0": 10, "200": 90}


def test_a_server_may_close_after_its_answer_and_another_connection_is_used(bodies: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[int] = []

    def one_each() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with link:
                taken.append(len(link.recv(65_536)))
                link.sendall(GOOD)

    threading.Thread(target=one_each, daemon=True).start()
    outcome = ask(listener.getsockname()[1], bodies, per_second=40.0)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    # On a busy machine a request may leave in the moment in which its connection is closed.
    assert sum(outcome.statuses.values()) == 20
    assert outcome.statuses["200"] > 10
    assert len(taken) > 10


def test_bodies_and_keys_are_sent_by_turns(bodies: Path) -> None:
    seen: list[bytes] = []

    def note(_number: int, request: bytes) -> bytes:
        seen.append(request)
        return GOOD

    with server(note) as port:
        ask(port, bodies, keys=("one", "two", "three"))
    pairs = {
        (key, body)
        for request in seen
        for key in (b"one", b"two", b"three")
        for body in (b'{"a": 1}', b'{"a": 2}')
        if b"X-API-Key: " + key in request and request.endswith(body)
    }
    assert {key for key, _ in pairs} == {b"one", b"two", b"three"}
    assert {body for _, body in pairs} == {b'{"a": 1}', b'{"a": 2}'}
    assert all(b"POST /x HTTP/1.1\r\n" in request for request in seen)


def test_a_chunked_answer_is_whole_with_its_last_chunk(bodies: Path) -> None:
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    with server(lambda _number, _request: reply) as port:
        outcome = ask(port, bodies)
    assert outcome.statuses == {"200": 100}


def test_an_answer_that_comes_in_pieces_is_put_together(bodies: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        link, _ = listener.accept()
        with link:
            while link.recv(65_536):
                for piece in (GOOD[:20], GOOD[20:-1], GOOD[-1:]):
                    link.sendall(piece)
                    time.sleep(0.002)

    threading.Thread(target=drip, daemon=True).start()
    outcome = ask(listener.getsockname()[1], bodies, per_second=40.0, connections=1)
    listener.close()
    assert outcome.statuses == {"200": 20}
