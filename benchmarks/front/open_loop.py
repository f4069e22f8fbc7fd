"""Open-loop load: requests leave on a fixed schedule, whatever became of those before.

A closed loop waits for a slow answer before it asks again, and so leaves out just the requests
that would have waited too (coordinated omission). Here the latency of a request counts from the
moment at which it was due, also when no connection was free or this client was late.

It is a process of its own, ``python -m benchmarks.front.open_loop '{"port": ...}'``, with plain
sockets and one epoll: at tens of thousands of requests a second a heavier client would be what is
measured.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.settings import ROOT

_ENOUGH = 65_536
_LENGTH = b"content-length:"
_PATIENCE_SECONDS = 15.0
_LAST_SENT_SECONDS = 0.5
_SHED = frozenset({429, 503})


@dataclass(frozen=True)
class Order:
    """What is asked, how often and for how long.

    Parameters
    ----------
    port
        Of the server on the loopback address.
    path
        Of the request.
    bodies
        File of bodies, one a line, sent by turns.
    per_second
        How many requests are due a second.
    seconds
        How long.
    keys
        Sent as ``X-API-Key`` by turns; none when empty.
    connections
        Most that are open at a time; a request that finds none free waits, and its wait counts.
    """

    port: int
    path: str
    bodies: str
    per_second: float
    seconds: float
    keys: tuple[str, ...] = ()
    connections: int = 512


@dataclass(frozen=True)
class Tail:
    """Latencies of one kind of answer, in milliseconds.

    Parameters
    ----------
    count
        How many answers.
    p50_ms, p99_ms, p999_ms, max_ms
        From the moment the request was due.
    """

    count: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


@dataclass(frozen=True)
class Outcome:
    """What came of an order.

    Parameters
    ----------
    due
        How many requests were due.
    statuses
        Answers by status; ``0`` where the connection broke or no answer came.
    unsent
        Requests for which no connection was free until the end of the schedule.
    good, shed
        Answers of 200, and answers of 429 or 503, from the moment they were due.
    shed_served
        The shed answers again, from the moment they were sent: what the server itself took.
    shed_without_retry_after
        Shed answers that do not say when to come again.
    good_per_second
        Answers of 200 a second while the schedule ran.
    lag_p99_ms
        How late this client saw that a request was due: its own fault, to be small beside the rest.
    """

    due: int
    statuses: dict[str, int]
    unsent: int
    good: Tail
    shed: Tail
    shed_served: Tail
    shed_without_retry_after: int
    good_per_second: float
    lag_p99_ms: float


def run(order: Order) -> Outcome:
    """Carry an order out in a process of its own.

    Raises
    ------
    RuntimeError
        The process failed; the message is its last words.
    """
    command = [sys.executable, "-m", "benchmarks.front.open_loop", json.dumps(asdict(order))]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)  # noqa: S603 - our own
    if done.returncode != 0:
        raise RuntimeError(f"the open loop's client failed: {done.stderr.strip()[-600:]}")
    content = json.loads(done.stdout)
    for name in ("good", "shed", "shed_served"):
        content[name] = Tail(**content[name])
    return Outcome(**content)


@dataclass
class Link:
    """One connection, and the request it carries.

    Parameters
    ----------
    socket
        Non-blocking.
    due_s, sent_s
        Moments of the request that is under way.
    held
        The part of the answer that came.
    is_asked
        Whether an answer is awaited.
    is_open
        Whether it was not closed.
    """

    socket: socket.socket
    due_s: float = 0.0
    sent_s: float = 0.0
    held: bytes = b""
    is_asked: bool = False
    is_open: bool = True


@dataclass
class Tally:
    """What was counted."""

    statuses: Counter[int] = field(default_factory=Counter)
    good: list[float] = field(default_factory=list)
    good_in_time: int = 0
    shed: list[float] = field(default_factory=list)
    shed_served: list[float] = field(default_factory=list)
    bare: int = 0
    unsent: int = 0
    lag: list[float] = field(default_factory=list)


class Client:
    """Sends on schedule.

    Parameters
    ----------
    order
        What is asked.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._requests = _requests(order)
        self._poll = select.epoll()
        self._links: dict[int, Link] = {}
        self._idle: list[Link] = []
        self._tally = Tally()
        self._turn = 0
        self._end_s = 0.0

    def work(self) -> Outcome:
        """Send everything that is due, wait for the answers, and count."""
        try:
            return self._work()
        finally:
            for link in self._links.values():
                link.socket.close()
            self._poll.close()

    def _work(self) -> Outcome:
        order = self._order
        due = int(order.per_second * order.seconds)
        began = time.perf_counter() + 0.05
        self._end_s = began + order.seconds
        waiting: deque[float] = deque()
        planned = 0
        while True:
            now = time.perf_counter()
            while planned < due and (moment := began + planned / order.per_second) <= now:
                waiting.append(moment)
                self._tally.lag.append(now - moment)
                planned += 1
            if now > self._end_s + _LAST_SENT_SECONDS and waiting:
                self._tally.unsent = len(waiting)
                waiting.clear()
            self._send(waiting)
            busy = sum(link.is_asked for link in self._links.values()) if planned == due else 1
            if planned == due and not waiting and not busy:
                break
            if now > self._end_s + _PATIENCE_SECONDS:
                self._tally.statuses[0] += busy
                break
            pause = began + planned / order.per_second - time.perf_counter()
            if pause > 0:
                # epoll itself counts in whole milliseconds, which would make this client late.
                select.select([self._poll.fileno()], [], [], min(0.05, pause))
            for handle, _ in self._poll.poll(0, 256):
                self._read(self._links[handle])
        return self._outcome(due)

    def _send(self, waiting: deque[float]) -> None:
        while waiting and (self._idle or len(self._links) < self._order.connections):
            link = self._idle.pop() if self._idle else self._connect()
            if not link.is_open:
                continue
            link.is_asked = True
            link.due_s = waiting.popleft()
            link.sent_s = time.perf_counter()
            self._turn += 1
            try:
                link.socket.send(self._requests[self._turn % len(self._requests)])
            except OSError:
                self._drop(link)

    def _connect(self) -> Link:
        link = Link(socket.create_connection(("127.0.0.1", self._order.port)))
        link.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.socket.setblocking(False)  # noqa: FBT003 - the only form there is
        self._links[link.socket.fileno()] = link
        self._poll.register(link.socket.fileno(), select.EPOLLIN)
        return link

    def _read(self, link: Link) -> None:
        try:
            part = link.socket.recv(_ENOUGH)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part:
            self._drop(link)
            return
        held = link.held + part if link.held else part
        head = held.find(b"\r\n\r\n")
        if head < 0 or not _is_whole(held, head):
            link.held = held
            return
        link.held, link.is_asked = b"", False
        self._count(link, int(held[9:12]), held[:head])
        self._idle.append(link)

    def _count(self, link: Link, status: int, head: bytes) -> None:
        now, tally = time.perf_counter(), self._tally
        tally.statuses[status] += 1
        if status == 200:  # noqa: PLR2004 - the one good answer
            tally.good.append(now - link.due_s)
            tally.good_in_time += now <= self._end_s
        elif status in _SHED:
            tally.shed.append(now - link.due_s)
            tally.shed_served.append(now - link.sent_s)
            tally.bare += b"retry-after:" not in head.lower()

    def _drop(self, link: Link) -> None:
        # A server may close a connection that it owes nothing.
        self._tally.statuses[0] += link.is_asked
        link.is_open = False
        self._poll.unregister(link.socket.fileno())
        del self._links[link.socket.fileno()]
        link.socket.close()

    def _outcome(self, due: int) -> Outcome:
        tally = self._tally
        return Outcome(
            due=due,
            statuses={str(status): count for status, count in sorted(tally.statuses.items())},
            unsent=tally.unsent,
            good=_tail(tally.good),
            shed=_tail(tally.shed),
            shed_served=_tail(tally.shed_served),
            shed_without_retry_after=tally.bare,
            good_per_second=tally.good_in_time / self._order.seconds,
            lag_p99_ms=_tail(tally.lag).p99_ms,
        )


def _requests(order: Order) -> list[bytes]:
    """Build every request there is, so that sending one costs nothing but the sending."""
    bodies = Path(order.bodies).read_bytes().splitlines()
    count = max(len(bodies), len(order.keys))
    built = []
    for i in range(count):
        body = bodies[i % len(bodies)]
        key = f"X-API-Key: {order.keys[i % len(order.keys)]}\r\n" if order.keys else ""
        head = (
            f"POST {order.path} HTTP/1.1\r\nHost: 127.0.0.1:{order.port}\r\n"
            f"Content-Type: application/json\r\n{key}Content-Length: {len(body)}\r\n\r\n"
        )
        built.append(head.encode() + body)
    return built


def _is_whole(held: bytes, head: int) -> bool:
    """Say whether an answer whose headers end at ``head`` has come as a whole."""
    lowered = held[:head].lower()
    if b"transfer-encoding: chunked" in lowered:
        return held.endswith(b"0\r\n\r\n")
    return len(held) >= head + 4 + _length(lowered)


def _length(lowered: bytes) -> int:
    """Read the length of the body that follows; the headers are in lower case."""
    at = lowered.find(_LENGTH)
    if at < 0:
        raise ValueError("the answer does not say how long it is")
    end = lowered.find(b"\r\n", at)
    return int(lowered[at + len(_LENGTH) : end if end > 0 else None])


def _tail(seconds: list[float]) -> Tail:
    if not seconds:
        return Tail(0, 0.0, 0.0, 0.0, 0.0)
    times = 1e3 * np.array(seconds)
    p50, p99, p999 = np.quantile(times, [0.5, 0.99, 0.999])
    return Tail(len(seconds), float(p50), float(p99), float(p999), float(times.max()))


def main() -> None:
    """Carry out the order that is the one argument, and write what came of it."""
    content: dict[str, Any] = json.loads(sys.argv[1])
    order = Order(**{**content, "keys": tuple(content["keys"])})
    gc.disable()
    sys.stdout.write(json.dumps(asdict(Client(order).work())))


if __name__ == "__main__":
    main()
