"""Answers the prediction routes, straight from the gate: no other layer handles these bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from bentos.answering import Answer, Outcome, answer_rows, predict_rows, read_row, read_rows
from bentos.border import JSON
from bentos.problem import to_fast_bytes
from bentos.strict_json import read_json
from core.refusals import BatchTooLarge
from services.predictions.batch import batch_answer, read_explain
from services.predictions.gathering import Flight, Tick

if TYPE_CHECKING:
    from bentos.release import Release
    from bentos.reply import Reply
    from core.contract import Row
    from services.access.caller import Caller
    from services.access.limits import Limiter
    from services.metrics import Metrics
    from services.runtime import Runtime


class Desk:
    """Answers for one model.

    Parameters
    ----------
    model
        Its name.
    runtime
        What the process holds.
    """

    def __init__(self, model: str, runtime: Runtime) -> None:
        self.model = model
        self._runtime = runtime
        self._metrics: Metrics = runtime.metrics
        self._limiter: Limiter = runtime.limiter
        self._depth = runtime.platform.limits.json_depth
        observe = self._metrics.computed
        self._tick = Tick(observe)
        self._slow = Flight(partial(_in_thread, explain=False), observe)
        self._reasons = Flight(partial(_in_thread, explain=True), observe)

    @property
    def waiting(self) -> int:
        """Rows that wait."""
        return self._tick.depth + self._slow.depth + self._reasons.depth

    async def row(self, reply: Reply, caller: Caller, body: bytes) -> None:
        """Answer one row."""
        explain = read_explain(reply.scope["query_string"])
        release = self._runtime.holder.champion(self.model)
        wait = self._limiter.take_rows(caller, 1)
        if wait is not None:
            await wait
        row = read_row(release, read_json(body, max_depth=self._depth))
        reply.notes["version"] = release.version
        if explain:
            answer = await self._reasons.submit(release, row)
        elif release.predictor.IS_QUICK:
            answer = await self._tick.submit(release, row)
        else:
            answer = await self._slow.submit(release, row)
        await reply.answer(to_fast_bytes(answer), media_type=JSON)

    async def batch(self, reply: Reply, caller: Caller, body: bytes) -> None:
        """Answer a batch, each row on its own."""
        explain = read_explain(reply.scope["query_string"])
        release = self._runtime.holder.champion(self.model)
        rows = read_rows(read_json(body, max_depth=self._depth))
        most = release.contract.config.serving.max_batch_rows
        if len(rows) > most:
            raise BatchTooLarge(len(rows), most)
        wait = self._limiter.take_rows(caller, len(rows))
        if wait is not None:
            await wait
        reply.notes["version"], reply.notes["rows"] = release.version, len(rows)
        answer, content = await asyncio.to_thread(_answer_batch, release, rows, explain=explain)
        self._metrics.answered(self.model, release.version, answer["answered"])
        self._metrics.refused(self.model, release.version, answer["refused"])
        await reply.answer(content, media_type=JSON)


def _answer_batch(
    release: Release, rows: Sequence[object], *, explain: bool
) -> tuple[Answer, bytes]:
    answer = batch_answer(release, answer_rows(release, rows, explain=explain))
    return answer, to_fast_bytes(answer)


async def _in_thread(release: Release, rows: Sequence[Row], *, explain: bool) -> list[Outcome]:
    return await asyncio.to_thread(predict_rows, release, rows, explain=explain)
