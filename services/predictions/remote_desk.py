"""Answers the prediction routes for a model that runs in a bento of its own."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bentos.answering import Answer, Outcome, read_rows
from bentos.border import JSON
from bentos.problem import to_bytes, to_fast_bytes
from bentos.strict_json import read_json
from core.errors import RowInvalid
from core.refusals import BatchTooLarge, ModelUnhealthy, RowUnanswered
from services.predictions.batch import batch_answer, read_explain
from services.predictions.desk import AT_ONCE_BYTES
from services.predictions.gathering import Flight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bentos.release import ReleaseFacts
    from bentos.reply import Reply
    from services.access.caller import Caller
    from services.predictions.hop import Hop
    from services.runtime import Runtime


class RemoteDesk:
    """Answers for one model, as ``Desk`` does, with what its bento says.

    The platform reads a body as strict JSON, so that a fault is told by its place in what was
    sent and reaches no other caller's row; the contract is the bento's to check.

    Parameters
    ----------
    hop
        Asks the bento.
    runtime
        What the process holds.
    """

    def __init__(self, hop: Hop, runtime: Runtime) -> None:
        self.model = hop.model
        self._hop = hop
        self._runtime = runtime
        self._metrics = runtime.metrics
        self._limiter = runtime.limiter
        self._depth = runtime.platform.limits.json_depth
        observe = self._metrics.computed
        self._answers: Flight[ReleaseFacts, bytes] = Flight(
            partial(hop.rows, explain=False), observe
        )
        self._reasons: Flight[ReleaseFacts, bytes] = Flight(
            partial(hop.rows, explain=True), observe
        )

    @property
    def waiting(self) -> int:
        """Rows that wait."""
        return self._answers.depth + self._reasons.depth

    async def row(self, reply: Reply, caller: Caller, body: bytes) -> None:
        """Answer one row."""
        explain = read_explain(reply.scope["query_string"])
        release = self._runtime.champions.champion(self.model)
        wait = self._limiter.take_rows(caller, 1)
        if wait is not None:
            await wait
        read_json(body, max_depth=self._depth)
        flight = self._reasons if explain else self._answers
        answer = await flight.submit(release, body)
        reply.notes["version"] = answer["version"]
        await reply.answer(to_fast_bytes(answer), media_type=JSON)

    async def batch(self, reply: Reply, caller: Caller, body: bytes) -> None:
        """Answer a batch, each row on its own."""
        explain = read_explain(reply.scope["query_string"])
        release = self._runtime.champions.champion(self.model)
        if len(body) > AT_ONCE_BYTES:
            size = await asyncio.to_thread(self._size, body)
        else:
            size = self._size(body)
        most = release.contract.config.serving.max_batch_rows
        if size > most:
            raise BatchTooLarge(size, most)
        wait = self._limiter.take_rows(caller, size)
        if wait is not None:
            await wait
        outcomes = await self._hop.batch(body, size, explain=explain, request_id=reply.request_id)
        answer, content = await asyncio.to_thread(_put_together, release, outcomes)
        version = answer["version"]
        reply.notes["version"], reply.notes["rows"] = version, size
        self._metrics.answered(self.model, version, answer["answered"])
        self._metrics.refused(self.model, version, answer["refused"])
        await reply.answer(content, media_type=JSON)

    async def example(self) -> tuple[str, dict[str, Any]]:
        """Let the bento answer the example of its contract; give its version and the result.

        Raises
        ------
        ModelUnreachable
            The bento does not answer.
        ModelUnhealthy
            It answers, but not as it may.
        """
        release = self._runtime.champions.champion(self.model)
        row = to_bytes({"rows": [release.contract.example()]})
        [outcome] = await self._hop.batch(row, 1, explain=False)
        if outcome.answer is None:
            fault = str(outcome.error)
            if isinstance(outcome.error, RowInvalid | RowUnanswered):
                fault = type(outcome.error).__name__
            raise ModelUnhealthy(self.model, release.version, fault)
        result: dict[str, Any] = outcome.answer["result"]
        version = str(outcome.answer["version"])
        try:
            release.kind.RESULT.model_validate(result)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            fault = f"its answer to its own example is out of range ({place}: {first['msg']})"
            raise ModelUnhealthy(self.model, version, fault) from error
        return version, result

    def _size(self, body: bytes) -> int:
        """Count the rows of a batch, once it is one."""
        return len(read_rows(read_json(body, max_depth=self._depth)))


def _put_together(release: ReleaseFacts, outcomes: Sequence[Outcome]) -> tuple[Answer, bytes]:
    answer = batch_answer(release, outcomes)
    # The bento may have switched since it was last looked at: it is the one who knows.
    told = next((o.answer["version"] for o in outcomes if o.answer is not None), release.version)
    answer["version"] = told
    return answer, to_fast_bytes(answer)
