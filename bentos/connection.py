"""One TCP connection, guarded: uvicorn's own protocol, which waits for ever and takes any length.

A caller that dawdles over its headers is hung up on, headers are counted while they come, more
connections than a process can hold are turned away, and bytes that are no HTTP get a problem
document as everything else does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bentos.problem import render
from core.refusals import HeadersTooLarge, HttpInvalid, TooManyConnections

if TYPE_CHECKING:
    from core.errors import SeptetError

PEER = "septet.peer"
# A header may take twice this at most: it is looked at once every period.
HEADER_SECONDS = 5.0
# Far above any limit in the config, which answers in full; this one only guards the memory.
MOST_HEADER_BYTES = 1 << 20
MOST_CONNECTIONS = 8192


def take_connections() -> None:
    """Let uvicorn speak through ``Connection`` in this process; BentoML has no setting for it."""
    auto.AutoHTTPProtocol = Connection


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with a clock on the headers and a count of their bytes."""

    _header_since_s: float | None = None
    _header_bytes = 0
    _clock: asyncio.TimerHandle | None = None
    _fault: SeptetError | None = None

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
        self._header_bytes = 0
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope[PEER] = self.client[0] if self.client else ""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MOST_HEADER_BYTES:
            self._fault = HeadersTooLarge(MOST_HEADER_BYTES)
            raise self._fault
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the clock."""
        self._header_since_s = None
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP, and hang up."""
        # What a callback raised reaches here as any other fault of the parser.
        self._hang_up(self._fault or HttpInvalid(msg))

    def _look_at_clock(self) -> None:
        since = self._header_since_s
        if since is not None and self.loop.time() - since >= HEADER_SECONDS:
            self.transport.close()
            return
        self._clock = self.loop.call_later(HEADER_SECONDS, self._look_at_clock)

    def _hang_up(self, error: SeptetError) -> None:
        status, headers, body = render(error, instance=None)
        lines = [b"%s: %s\r\n" % pair for pair in headers]
        self.transport.write(
            b"".join([STATUS_LINE[status], *lines, b"connection: close\r\n\r\n", body])
        )
        self.transport.close()
