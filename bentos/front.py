"""What stands before a lone bento: border, sheet of the release, and the platform's way in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bentos.border import DEADLINE_SECONDS, JSON, WITH_BODY, Border, replay
from bentos.sheet import PATH
from core.refusals import DeadlinePassed

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive

    from bentos.lone import Lone
    from bentos.reply import Reply

# Sent by the platform with rows that it gathered already.
GATHERED = b"x-septet-gathered"
_EXPLAINS = {"/predict": False, "/explain": True}


class Front(Border):
    """The border of a lone bento.

    It tells the platform what is served, and answers the rows that the platform gathered past
    BentoML's own queue. That queue lets a request wait for about as long as those before it had
    to: measured, 50 ms for a lone one after a few batches of 1,000 rows, which it parts.

    Parameters
    ----------
    app
        What answers the rest.
    lone
        What the process holds.
    """

    def __init__(self, app: ASGIApp, *, lone: Lone) -> None:
        super().__init__(app, limits=lone.limits)
        self._lone = lone

    async def _answer(self, reply: Reply, receive: Receive) -> None:
        """Tell what is held, answer the platform, or let BentoML answer anyone else."""
        method, path = reply.scope["method"], reply.scope["path"]
        if path == PATH and method == "GET":
            await reply.answer(self._lone.sheet(), media_type=JSON)
            return
        self._lone.admit(reply.scope, reply.headers)
        if method in WITH_BODY:
            body = await self._take_body(reply, receive)
            if method == "POST" and path in _EXPLAINS and GATHERED in reply.headers:
                await self._answer_gathered(reply, body, explain=_EXPLAINS[path])
                return
            self._lone.inspect(body)
            receive = replay(body, receive)
        await self._run(reply, receive)

    async def _answer_gathered(self, reply: Reply, body: bytes, *, explain: bool) -> None:
        """Answer rows at once."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                content = await asyncio.to_thread(self._lone.answer_body, body, explain=explain)
        except TimeoutError:
            raise DeadlinePassed(DEADLINE_SECONDS) from None
        await reply.answer(content, media_type=JSON)
