"""Connections are taken in as they come, many in one turn of the event loop.

uvloop takes in one connection a turn. Under load a turn lasts ten milliseconds and more, so that a
few hundred callers who connect together would wait for seconds, unseen by every limit of ours.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import uvicorn

from core.logs import get_logger

# Several processes may share the listening socket: none of them should take everything.
AT_ONCE = 16


class Acceptor:
    """Takes in what waits at a listening socket, beside the server that listens there.

    Parameters
    ----------
    listener
        Another descriptor of the listening socket, to keep: the loop has the server's own.
    make
        Makes the protocol of a connection.
    """

    def __init__(self, listener: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._make = make
        self._listener = listener
        self._listener.setblocking(False)  # noqa: FBT003 - the only form there is
        self._joining: set[asyncio.Task[Any]] = set()
        self._loop.add_reader(self._listener.fileno(), self._take)

    def close(self) -> None:
        """Take in no more; the connections that were taken in go on."""
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            try:
                link, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Descriptors are used up, say: the server itself meets the same, and waits.
                get_logger(__name__).warning("connection_not_taken", reason=str(error))
                return
            link.setblocking(False)  # noqa: FBT003 - the only form there is
            joining = self._loop.create_task(self._join(link))
            self._joining.add(joining)
            joining.add_done_callback(self._joining.discard)

    async def _join(self, link: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, link)
        except OSError as error:
            link.close()
            get_logger(__name__).info("connection_lost_at_once", reason=str(error))


class AcceptingServer(uvicorn.Server):
    """uvicorn's server with an acceptor beside each of its listening sockets."""

    _acceptors: Sequence[Acceptor] = ()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and take in many connections a turn."""
        await super().startup(sockets)
        if self.config.is_ssl:
            return
        kind: Any = self.config.http_protocol_class
        make = partial(
            kind, config=self.config, server_state=self.server_state,
            app_state=self.lifespan.state,
        )  # fmt: skip
        self._acceptors = [
            Acceptor(one.dup(), make) for each in self.servers for one in each.sockets
        ]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take in no more, and finish what is under way."""
        for acceptor in self._acceptors:
            acceptor.close()
        await super().shutdown(sockets)


def take_many() -> None:
    """Let uvicorn serve so in this process; BentoML has no setting for it."""
    uvicorn.Server = AcceptingServer  # type: ignore[misc]
