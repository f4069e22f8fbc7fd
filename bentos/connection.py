"""One TCP connection, guarded: uvicorn's own protocol, which waits for ever and takes any length.

A caller that dawdles over its headers is hung up on, headers are counted while they come, what a
process cannot begin now waits unread, more connections than it can hold are turned away, and bytes
that are no HTTP get a problem document as everything else does.
"""

from __future__ import annotations

import asyncio
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from bentos.framing import is_one_request
from bentos.lanes import lanes_of
from bentos.problem import render
from bentos.stepping import Stepped, Steps
from core.overload import Overloaded, TooManyConnections
from core.refusals import HeadersTooLarge, HttpInvalid

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

    from core.errors import SeptetError

PEER = "septet.peer"
CYCLE = "septet.cycle"
CONNECTION = "septet.connection"
HEADER_BYTES = "septet.header_bytes"
# Marks an app whose requests may be stepped without a task (``bentos.stepping``).
STEPS = "may_be_stepped"
# A header may take twice this at most: it is looked at once every period.
HEADER_SECONDS = 5.0
# Far above any limit in the config, which answers in full; this one only guards the memory.
MOST_HEADER_BYTES = 1 << 20
MOST_CONNECTIONS = 8192
PIECE_BYTES = 1 << 20
MOST_HELD_BYTES = 1 << 16
LINGER_SECONDS = 1.0
_TOO_MANY = "More requests wait in this process than it can answer soon."


def write_whole(cycle: RequestResponseCycle, status: int, head: bytes, body: bytes) -> bool:
    """Write a whole answer at once, past uvicorn's checks of each header, which cost a third of it.

    Parameters
    ----------
    cycle
        uvicorn's state of the exchange.
    status
        HTTP status.
    head
        Header lines, each with its end; with ``content-length``, without ``connection``.
    body
        The body; not sent to ``HEAD``.

    Returns
    -------
    bool
        Whether it was written; else the usual way must be gone.
    """
    if cycle.disconnected:
        return True
    if cycle.response_started or cycle.flow.write_paused:
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    close = b"" if cycle.keep_alive else b"connection: close\r\n"
    shown = b"" if cycle.scope["method"] == "HEAD" else body
    cycle.transport.write(b"".join((STATUS_LINE[status], head, close, b"\r\n", shown)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


def take_connections() -> None:
    """Let uvicorn speak through ``Connection`` in this process; BentoML has no setting for it."""
    auto.AutoHTTPProtocol = Connection


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with a clock on the headers and a count of their bytes."""

    _header_since_s: float | None = None
    _idle_since_s: float | None = None
    _header_bytes = 0
    _clock: asyncio.TimerHandle | None = None
    _fault: SeptetError | None = None
    # Whether a request is being read, what came of the next one while it waits, whether it is
    # refused unread, and whether it is the last one.
    _is_amid = False
    _held: bytes | None = None
    # While bytes are parsed, and what was begun by them.
    _is_parsing = False
    _begun: RequestResponseCycle | None = None
    _is_shed = False
    _is_last = False

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        # uvicorn believes X-Forwarded-For of any caller on this machine; the gate alone reads it.
        if isinstance(self.app, ProxyHeadersMiddleware):
            self.app = self.app.app
        self._lanes = lanes_of(self.server_state)
        self._may_step: bool = getattr(self.app, STEPS, False)
        # The caller's key once one has opened; until then its address.
        self.lane = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or turn it away when there are too many."""
        super().connection_made(transport)
        self.lane = f"address {self.client[0]}" if self.client else ""
        if len(self.connections) > MOST_CONNECTIONS:
            self._hang_up(TooManyConnections(MOST_CONNECTIONS))
            return
        # A connection on which nothing is said counts as one whose headers dawdle.
        self._header_since_s = self.loop.time()
        self._clock = self.loop.call_later(HEADER_SECONDS, self._look_at_clock)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._clock is not None:
            self._clock.cancel()
        self._held = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came, or let it wait when it begins a request whose turn has not come."""
        if self._held is not None:
            self._held += data
            if len(self._held) > MOST_HELD_BYTES:
                self.flow.pause_reading()
        elif self._is_amid or self._lanes.is_open(self.lane) or self._is_answering():
            self._parse(data)
        elif self._lanes.wait(self.lane, self):
            self._held = data
            self._header_since_s = self._idle_since_s = None
        else:
            self._shed(data)

    def _parse(self, data: bytes) -> None:
        """Parse what came, and begin the request that it begins."""
        self._is_parsing = self._may_step
        try:
            super().data_received(data)
        finally:
            self._is_parsing = False
        cycle, self._begun = self._begun, None
        if cycle is None:
            return
        steps = cycle.run_asgi(self.app)
        lane = self.lane
        if cycle.more_body or self._lanes.depth > 1:
            # The rest of its body is to come; or it was admitted by one that ended at once, as
            # might be many more.
            self._run_as_task(lane, steps)
            return
        as_task, ended = partial(self._run_as_task, lane), partial(self._lanes.leave, lane)
        gatherer = Stepped(steps, as_task=as_task, ended=ended).step()
        if gatherer is not None:
            gatherer.settle_due()

    def _shed(self, data: bytes) -> None:
        """Refuse a request: unread, where that can be, which costs a tenth."""
        self._lanes.refused += 1
        if is_one_request(data):
            self._header_since_s, self._idle_since_s = None, self.loop.time()
            self.transport.write(_too_many_whole())
            return
        self._is_shed = True
        super().data_received(data)
        self._is_shed = False

    def go_on(self) -> None:
        """Read the request that waited."""
        held, self._held = self._held, None
        if held is None or self.transport.is_closing():
            return
        self._idle_since_s = None
        self._header_since_s = self.loop.time()
        self.flow.resume_reading()
        self._parse(held)
        if self._is_last:
            self.shutdown()

    def shutdown(self) -> None:
        """Close when nothing is asked any more; what waits is answered first."""
        self._is_last = True
        if self._held is None:
            super().shutdown()

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def on_message_begin(self) -> None:
        """Start the clock, and note who really called: a header may claim another address."""
        super().on_message_begin()
        self._is_amid = True
        self._header_since_s = self.loop.time()
        self._idle_since_s = None
        self._header_bytes = 0
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope[PEER] = self.client[0] if self.client else ""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MOST_HEADER_BYTES:
            self._fault = HeadersTooLarge(MOST_HEADER_BYTES)
            raise self._fault
        # As uvicorn's own, which is called a dozen times a request.
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Stop the clock."""
        self._header_since_s = None
        super().on_headers_complete()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        if not self.cycle.response_complete:
            # Whoever answers takes it out again: it refers back to the scope.
            scope[CYCLE] = self.cycle
            scope[CONNECTION] = self
        scope[HEADER_BYTES] = self._header_bytes + len(self.url)

    def on_body(self, body: bytes) -> None:
        """Gather a body, and wake the reader when it is whole, or long enough to be counted.

        uvicorn wakes the reader with every packet, and stops reading after 64 KiB each time.
        """
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > PIECE_BYTES:
            self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """Note that what comes now begins another request."""
        self._is_amid = False
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Hand a request to the app, or refuse it here when too many wait already."""
        if self._is_shed:
            write_whole(cycle, *_too_many())
            return
        self._lanes.enter(self.lane)
        if self._is_parsing and app is self.app:
            self._begun = cycle
        else:
            self._run_as_task(self.lane, cycle.run_asgi(app))

    def _run_as_task(self, lane: str, steps: Steps) -> None:
        task = self.loop.create_task(steps)
        self.tasks.add(task)
        task.add_done_callback(partial(self._ended, lane))

    def _ended(self, lane: str, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self._lanes.leave(lane)

    def on_response_complete(self) -> None:
        """Go on with what was pipelined, or note since when the connection is idle.

        uvicorn arms and disarms a timer a request here; one clock a connection does for both.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        else:
            self._idle_since_s = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP, and hang up."""
        # What a callback raised reaches here as any other fault of the parser.
        self._hang_up(self._fault or HttpInvalid(msg))

    def _look_at_clock(self) -> None:
        now_s = self.loop.time()
        header_s, idle_s = self._header_since_s, self._idle_since_s
        dawdles = header_s is not None and now_s - header_s >= HEADER_SECONDS
        if dawdles or (idle_s is not None and now_s - idle_s >= self.timeout_keep_alive):
            self.transport.close()
            return
        self._clock = self.loop.call_later(HEADER_SECONDS, self._look_at_clock)

    def _hang_up(self, error: SeptetError) -> None:
        status, headers, body = render(error, instance=None)
        lines = [b"%s: %s\r\n" % pair for pair in headers]
        self.transport.write(
            b"".join([STATUS_LINE[status], *lines, b"connection: close\r\n\r\n", body])
        )
        # Closed at once, what the caller still sends would reset the connection under the answer.
        self.transport.write_eof()
        self.connections.discard(self)
        if self._clock is not None:
            self._clock.cancel()
        self.transport.set_protocol(_Deaf())
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


@cache
def _too_many() -> tuple[int, bytes, bytes]:
    """Give status, head and body of what is said to whom nobody has time for, made once."""
    status, headers, body = render(Overloaded(_TOO_MANY), instance=None)
    return status, b"".join([b"%s: %s\r\n" % pair for pair in headers]), body


@cache
def _too_many_whole() -> bytes:
    status, head, body = _too_many()
    return b"".join((STATUS_LINE[status], head, b"\r\n", body))


class _Deaf(asyncio.Protocol):
    """Listens to nothing more."""
