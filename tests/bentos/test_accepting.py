"""Callers who come together are taken in together."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
import uvloop

from bentos.accepting import AT_ONCE, AcceptingServer

CALLERS = 200
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def hello(scope: dict[str, Any], _receive: object, send: Any) -> None:
    """Answer two bytes."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


def listening() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)  # noqa: FBT003 - the only form there is
    return listener


async def turns_until_all_are_taken_in(kind: type[uvicorn.Server]) -> int:
    """Count turns of the loop; callers connect before, in the kernel's queue."""
    listener = listening()
    server = kind(uvicorn.Config(hello, lifespan="off", log_level="error"))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup([listener])
    callers = [socket.create_connection(listener.getsockname()) for _ in range(CALLERS)]
    turns = 0
    while len(server.server_state.connections) < CALLERS and turns < 10 * CALLERS:
        turns += 1
        await asyncio.sleep(0)
    for caller in callers:
        caller.close()
    await server.shutdown([listener])
    return turns


def test_hundreds_of_callers_are_taken_in_within_a_few_turns() -> None:
    turns = uvloop.run(turns_until_all_are_taken_in(AcceptingServer))
    assert turns < 4 * CALLERS / AT_ONCE


def test_uvicorn_alone_takes_in_one_a_turn() -> None:
    """When this fails, uvloop does it by itself, and the acceptor may go."""
    assert uvloop.run(turns_until_all_are_taken_in(uvicorn.Server)) >= CALLERS


def test_a_connection_that_was_taken_in_so_is_answered_and_after_the_end_none_is() -> None:
    async def ask() -> tuple[bytes, bool]:
        listener = listening()
        address = listener.getsockname()
        server = AcceptingServer(uvicorn.Config(hello, lifespan="off", log_level="error"))
        serving = asyncio.create_task(server._serve([listener]))  # noqa: SLF001 - without its signals
        while not server.started:  # noqa: ASYNC110 - uvicorn says it so, and no other way
            await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(REQUEST)
        answer = await reader.read()
        writer.close()
        server.should_exit = True
        await serving
        try:
            await asyncio.open_connection(*address)
        except ConnectionRefusedError:
            return answer, True
        return answer, False

    answer, is_refused = uvloop.run(ask())
    assert answer.startswith(b"HTTP/1.1 200")
    assert is_refused
