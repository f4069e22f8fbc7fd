"""Answers the prediction routes for a model that runs in a bento of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bentos.answering import Outcome, read_rows
from bentos.border import JSON
from bentos.problem import to_bytes, to_fast_bytes
from bentos.strict_json import read_json
from core.errors import RowInvalid, SeptetError
from core.refusals import BatchTooLarge, ModelUnhealthy, RowUnanswered
from services.predictions import tables
from services.predictions.backfill import read_past
from services.predictions.batch import batch_answer, read_explain
from services.predictions.desk import AT_ONCE_BYTES, answer_kind, body_kind
from services.predictions.gathering import Flight
from services.predictions.journal import Asked

if TYPE_CHECKING:
    from bentos.release import ReleaseFacts
    from bentos.reply import Reply
    from services.access.caller import Caller
    from services.predictions.hop import Hop
    from services.predictions.means import Means
    from services.releases.champions import Champions


@dataclass(frozen=True)
class Batch:
    """A batch as it is passed on.

    Parameters
    ----------
    size
        How many rows it has.
    body
        All of it, when it came as JSON.
    rows
        Else each row: as JSON, or the error for which it cannot be written so.
    """

    size: int
    body: bytes | None = None
    rows: Sequence[bytes | SeptetError] = ()


class RemoteDesk:
    """Answers for one model, as ``Desk`` does, with what its bento says.

    The platform reads a body as strict JSON, so that a fault is told by its place in what was
    sent and reaches no other caller's row; the contract is the bento's to check.

    Parameters
    ----------
    hop
        Asks the bento.
    champions
        What is known of the champions.
    means
        What all desks work with.
    """

    def __init__(self, hop: Hop, champions: Champions, means: Means) -> None:
        self.model = hop.model
        self._hop = hop
        self._champions = champions
        self._metrics = means.metrics
        self._limiter = means.limiter
        self._crew = means.crew
        self._journal = means.journal
        self._depth = means.json_depth
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
        release = self._champions.champion(self.model)
        wait = self._limiter.take_rows(caller, 1)
        if wait is not None:
            await wait
        flight = self._reasons if explain else self._answers
        try:
            read_json(body, max_depth=self._depth)
            answer = await flight.submit(release, body)
        except SeptetError as error:
            self._journal.refused(release, caller, reply.started_s, error)
            raise
        reply.notes["version"] = answer["version"]
        content = to_fast_bytes(answer)
        told = _of_version(release, answer["version"])
        asked = Asked(caller.key_id, reply.started_s, body)
        if (kept := self._journal.rows(told, [asked], [content])) is not None:
            await kept
        await reply.answer(content, media_type=JSON)

    async def batch(self, reply: Reply, caller: Caller, body: bytes) -> None:
        """Answer a batch, each row on its own."""
        past = read_past(reply.headers, caller)
        explain = read_explain(reply.scope["query_string"])
        release = self._champions.champion(self.model)
        kind = body_kind(reply.headers)
        read = partial(self._read, release, body, kind)
        large = kind != JSON or len(body) > AT_ONCE_BYTES
        batch = await self._crew.run(caller.key_id, read) if large else read()
        most = release.contract.config.serving.max_batch_rows
        if batch.size > most:
            raise BatchTooLarge(batch.size, most)
        wait = self._limiter.take_rows(caller, batch.size)
        if wait is not None:
            await wait
        if batch.body is not None:
            outcomes = await self._hop.batch(
                batch.body, batch.size, explain=explain, request_id=reply.request_id
            )
        else:
            outcomes = await self._ask(release, batch, explain=explain)
        if past is not None:
            past.rename(outcomes)
        wanted = answer_kind(reply.headers, kind)
        told = _told(release, outcomes)
        put_together = partial(_put_together, told, outcomes, wanted)
        refused, content = await self._crew.run(caller.key_id, put_together)
        reply.notes["version"], reply.notes["rows"] = told.version, batch.size
        self._metrics.answered(self.model, told.version, batch.size - refused)
        self._metrics.refused(self.model, told.version, refused)
        parts = (body, content)
        kept = self._journal.batch(told, caller, reply.started_s, (kind, wanted), parts, past=past)
        if kept is not None:
            await kept
        await reply.answer(content, media_type=wanted)

    async def example(self) -> tuple[str, dict[str, Any]]:
        """Let the bento answer the example of its contract; give its version and the result.

        Raises
        ------
        ModelUnreachable
            The bento does not answer.
        ModelUnhealthy
            It answers, but not as it may.
        """
        release = self._champions.champion(self.model)
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

    def _read(self, release: ReleaseFacts, body: bytes, kind: bytes) -> Batch:
        """Read a batch: JSON is only counted, and goes on as it came."""
        if kind == JSON:
            return Batch(len(read_rows(read_json(body, max_depth=self._depth))), body=body)
        most = release.contract.config.serving.max_batch_rows
        rows = tables.to_rows(tables.read_arrow(body, kind, most_rows=most))
        return Batch(len(rows), rows=[_write(release, row) for row in rows])

    async def _ask(self, release: ReleaseFacts, batch: Batch, *, explain: bool) -> list[Outcome]:
        """Ask for the rows that can be written as JSON; the others are refused already."""
        asked = [row for row in batch.rows if isinstance(row, bytes)]
        answered = iter(await self._hop.rows(release, asked, explain=explain))
        return [
            next(answered) if isinstance(row, bytes) else Outcome(answer=None, error=row)
            for row in batch.rows
        ]


def _write(release: ReleaseFacts, row: object) -> bytes | SeptetError:
    """Write a row as JSON; what JSON has no form for earns the contract's own sentence."""
    try:
        return to_bytes(row)
    except (TypeError, ValueError):
        try:
            release.contract.parse_row(row)
        except RowInvalid as error:
            return error
        return RowUnanswered(release.model, release.version)


def _told(release: ReleaseFacts, outcomes: Sequence[Outcome]) -> ReleaseFacts:
    """Give the release with the version that answered: the bento may have switched meanwhile."""
    said = next((o.answer["version"] for o in outcomes if o.answer is not None), release.version)
    return _of_version(release, said)


def _of_version(release: ReleaseFacts, version: str) -> ReleaseFacts:
    if version == release.version:
        return release
    return replace(release, identity=release.identity.model_copy(update={"version": version}))


def _put_together(
    release: ReleaseFacts, outcomes: Sequence[Outcome], kind: bytes
) -> tuple[int, bytes]:
    """Give how many rows were refused, and what is sent."""
    if kind != JSON:
        refused = sum(outcome.answer is None for outcome in outcomes)
        return refused, tables.write_arrow(tables.outcomes_table(release, outcomes), kind)
    answer = batch_answer(release, outcomes)
    return answer["refused"], to_fast_bytes(answer)
