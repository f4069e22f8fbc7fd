"""One TCP connection, guarded: uvicorn's own protocol, which waits for ever and takes any length.

A caller that dawdles over its headers is hung up on, headers are counted while they come, more
connections than a process can hold are turned away, and bytes that are no HTTP get a problem
document as everything else does.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from bentos.problem import render
from core.overload import Overloaded, TooManyConnections
from core.refusals import HeadersTooLarge, HttpInvalid

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

    from core.errors import SeptetError

PEER = "septet.peer"
CYCLE = "septet.cycle"
HEADER_BYTES = "septet.header_bytes"
# A header may take twice this at most: it is looked at once every period.
HEADER_SECONDS = 5.0
# Far above any limit in the config, which answers in full; this one only guards the memory.
MOST_HEADER_BYTES = 1 << 20
MOST_CONNECTIONS = 8192
PIECE_BYTES = 1 << 20
LINGER_SECONDS = 1.0
# Requests that a process has under way; what comes beyond is refused before it costs anything.
# A caller's own bound is far below: this one only meets many callers at once.
MOST_UNDER_WAY = 512
_TOO_MANY = f"{MOST_UNDER_WAY:,} requests are under way in this process."


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

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        # uvicorn believes X-Forwarded-For of any caller on this machine; the gate alone reads it.
        if isinstance(self.app, ProxyHeadersMiddleware):
            self.app = self.app.app

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or turn it away when there are too many."""
        super().connection_made(transport)
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
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Start the clock, and note who really called: a header may claim another address."""
        super().on_message_begin()
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

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Hand a request to the app, or refuse it here when too many are under way."""
        if len(self.tasks) < MOST_UNDER_WAY:
            super()._start_asgi_task(cycle, app)
            return
        write_whole(cycle, *_too_many())

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


class _Deaf(asyncio.Protocol):
    """Listens to nothing more."""
