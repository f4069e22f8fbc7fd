"""Carries a request out once, however often it is sent: the gate's side of ``idempotency``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from bentos.reply import Reply
from services.idempotency import (
    HEADER,
    REPLAYED,
    Begun,
    Idempotency,
    Kept,
    fingerprint,
    read_key,
)
from services.predictions import backfill

if TYPE_CHECKING:
    from starlette.types import Message

    from bentos.problem import HeaderList

_SUCCESS = range(200, 300)


class Recording:
    """An answer that is held back until it is kept."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: HeaderList = []
        self.body = b""

    async def __call__(self, message: Message) -> None:
        """Take what would have been sent."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")


async def carry_out_once(
    keeper: Idempotency,
    reply: Reply,
    *,
    caller: str,
    body: bytes,
    is_pure: bool,
    act: Callable[[Reply], Awaitable[None]],
) -> None:
    """Answer a request, from memory when it was answered before.

    Parameters
    ----------
    keeper
        Keeps the answers.
    reply
        The exchange; its request has an Idempotency-Key.
    caller
        Public id of the caller's key.
    body
        Of the request.
    is_pure
        Whether carrying it out has no effect beside the answer.
    act
        Carries it out and answers into the reply that it is given.

    Raises
    ------
    IdempotencyKeyInvalid, IdempotencyReused, StillRunning, RequestInterrupted
        The request cannot be carried out under this key.
    RecordsDown
        The promise of the header cannot be kept now.
    """
    scope = reply.scope
    key = read_key(reply.headers[HEADER])
    target = scope["path"].encode() + b"?" + scope["query_string"]
    media_type = reply.headers.get(b"content-type", b"")
    past = reply.headers.get(backfill.HEADER)
    wanted = fingerprint(scope["method"], target, media_type, body, past=past)
    found = await asyncio.to_thread(keeper.begin, caller, key, wanted, is_pure=is_pure)
    if isinstance(found, Kept):
        reply.extra.append(REPLAYED)
        reply.notes["replayed"] = True
        await reply.answer(found.body, media_type=found.media_type, status=found.status)
        return
    recording = Recording()
    try:
        held = Reply(scope, recording, is_direct=False)
        held.request_id, held.extra, held.notes = reply.request_id, reply.extra, reply.notes
        await act(held)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(keeper.forget, found))
        raise
    await asyncio.shield(_settle(keeper, found, recording))
    await reply.repeat(recording.status, recording.headers, recording.body)


async def _settle(keeper: Idempotency, begun: Begun, recording: Recording) -> None:
    """Keep an answer of success; free the key of any other."""
    if recording.status not in _SUCCESS:
        await asyncio.to_thread(keeper.forget, begun)
        return
    media_type = next((v for k, v in recording.headers if k.lower() == b"content-type"), b"")
    kept = Kept(recording.status, media_type, recording.body)
    await asyncio.to_thread(keeper.finish, begun, kept)
