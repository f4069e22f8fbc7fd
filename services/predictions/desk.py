"""Answers the prediction routes, straight from the gate: no other layer handles these bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bentos.answering import Outcome, answer_rows, predict_rows, read_row_of, read_rows
from bentos.border import JSON
from bentos.problem import to_fast_bytes
from bentos.release import self_prediction
from bentos.strict_json import read_json
from bentos.tabular import answer_table, batch_json, read_body, rows_of
from core.errors import ArtifactCorrupt, SeptetError
from core.overload import SpoolFull
from core.refusals import BatchTooLarge, ModelUnhealthy
from core.table import CloserLook, Table
from services.predictions import tables
from services.predictions.backfill import Past, read_past
from services.predictions.batch import batch_answer, read_explain
from services.predictions.gathering import MOST_SLOW_TOGETHER, Flight, Tick
from services.predictions.journal import Asked

if TYPE_CHECKING:
    from bentos.holder import Holder
    from bentos.release import Release
    from bentos.reply import Headers, Reply
    from core.contract import Row
    from services.access.caller import Caller
    from services.predictions.means import Means


# A body up to this size is read sooner than handed to a thread and back.
AT_ONCE_BYTES = 1 << 18


class Desk:
    """Answers for one model.

    Parameters
    ----------
    model
        Its name.
    holder
        Has its champion.
    means
        What all desks work with.
    """

    def __init__(self, model: str, holder: Holder, means: Means) -> None:
        self.model = model
        self._holder = holder
        self._metrics = means.metrics
        self._limiter = means.limiter
        self._crew = means.crew
        self._journal = means.journal
        self._depth = means.json_depth
        observe = self._metrics.computed
        self._tick = Tick(self._journal.outcomes, observe)
        most = MOST_SLOW_TOGETHER
        self._slow = Flight(partial(self._in_crew, explain=False), observe, most=most)
        self._reasons = Flight(partial(self._in_crew, explain=True), observe, most=most)

    @property
    def waiting(self) -> int:
        """Rows that wait."""
        return self._tick.depth + self._slow.depth + self._reasons.depth

    async def row(self, reply: Reply, caller: Caller, body: bytes) -> None:
        """Answer one row."""
        explain = read_explain(reply.scope["query_string"])
        release = self._holder.champion(self.model)
        wait = self._limiter.take_rows(caller, 1)
        if wait is not None:
            await wait
        try:
            row = read_row_of(release, body, max_depth=self._depth)
            reply.notes["version"] = release.version
            asked = Asked(caller.key_id, reply.started_s, body)
            if not explain and release.predictor.IS_QUICK:
                content = await self._tick.submit(release, row, asked)
            else:
                flight = self._reasons if explain else self._slow
                content = to_fast_bytes(await flight.submit(release, row))
                if (kept := self._journal.rows(release, [asked], [content])) is not None:
                    await kept
        except SpoolFull:
            raise
        except SeptetError as error:
            self._journal.refused(release, caller, reply.started_s, error)
            raise
        await reply.answer(content, media_type=JSON)

    async def batch(self, reply: Reply, caller: Caller, body: bytes) -> None:
        """Answer a batch, each row on its own."""
        past = read_past(reply.headers, caller)
        explain = read_explain(reply.scope["query_string"])
        release = self._holder.champion(self.model)
        kind = body_kind(reply.headers)
        read = partial(self._read, release, body, kind, explain=explain)
        large = len(body) > AT_ONCE_BYTES
        batch = await self._crew.run(caller.key_id, read) if large else read()
        size = batch.size if isinstance(batch, Table) else len(batch)
        most = release.contract.config.serving.max_batch_rows
        if size > most:
            raise BatchTooLarge(size, most)
        wait = self._limiter.take_rows(caller, size)
        if wait is not None:
            await wait
        reply.notes["version"], reply.notes["rows"] = release.version, size
        wanted = answer_kind(reply.headers, kind)
        answer = partial(_answer_batch, release, batch, wanted, explain=explain, past=past)
        refused, content = await self._crew.run(caller.key_id, answer)
        self._metrics.answered(self.model, release.version, size - refused)
        self._metrics.refused(self.model, release.version, refused)
        parts = (body, content)
        kept = self._journal.batch(
            release, caller, reply.started_s, (kind, wanted), parts, past=past
        )
        if kept is not None:
            await kept
        await reply.answer(content, media_type=wanted)

    async def example(self) -> tuple[str, dict[str, Any]]:
        """Let the model answer the example of its contract; give its version and the result.

        Raises
        ------
        ModelUnhealthy
            It does not, or not as it may.
        """
        release = self._holder.champion(self.model)
        return release.version, await asyncio.to_thread(check_health, release)

    async def _in_crew(
        self, release: Release, rows: Sequence[Row], *, explain: bool
    ) -> list[Outcome]:
        """Compute rows of several callers, in the turn of the model itself."""
        return await self._crew.run(
            self.model, partial(predict_rows, release, rows, explain=explain)
        )

    def _read(
        self, release: Release, body: bytes, kind: bytes, *, explain: bool
    ) -> Table | list[object]:
        """Read a batch: as columns when it is a plain table, else as rows."""
        form = None if explain else release.form
        if kind != JSON:
            most = release.contract.config.serving.max_batch_rows
            texts = () if form is None else form.texts
            arrow = tables.read_arrow(body, kind, most_rows=most, texts=texts)
            if form is not None:
                with suppress(CloserLook):
                    return tables.to_table(form, arrow)
            return tables.to_rows(arrow)
        if form is not None:
            with suppress(CloserLook):
                return read_body(form, body)
        return read_rows(read_json(body, max_depth=self._depth))


def check_health(release: Release) -> dict[str, Any]:
    """Let a release answer its own example.

    Raises
    ------
    ModelUnhealthy
        It does not, or not as it may.
    """
    try:
        return self_prediction(release)
    except ArtifactCorrupt as error:
        raise ModelUnhealthy(release.model, release.version, error.fault) from error
    except Exception as error:
        fault = f"{type(error).__name__}"
        raise ModelUnhealthy(release.model, release.version, fault) from error


def _answer_batch(
    release: Release,
    batch: Table | list[object],
    kind: bytes,
    *,
    explain: bool,
    past: Past | None,
) -> tuple[int, bytes]:
    """Answer a batch: how many rows were refused, and what is sent."""
    if isinstance(batch, Table):
        try:
            answers = answer_table(release, batch)
        except CloserLook:
            batch = rows_of(batch, release)
        else:
            if past is not None:
                answers = replace(answers, ids=past.ids(batch.size))
            if kind == JSON:
                return 0, to_fast_bytes(batch_json(release, batch, answers))
            return 0, tables.write_arrow(tables.answers_table(release, batch, answers), kind)
    outcomes = answer_rows(release, batch, explain=explain)
    if past is not None:
        past.rename(outcomes)
    if kind != JSON:
        refused = sum(outcome.answer is None for outcome in outcomes)
        return refused, tables.write_arrow(tables.outcomes_table(release, outcomes), kind)
    answer = batch_answer(release, outcomes)
    return answer["refused"], to_fast_bytes(answer)


def body_kind(headers: Headers) -> bytes:
    """Give the content type of a batch, without its parameters."""
    return headers.get(b"content-type", JSON).partition(b";")[0].strip().lower()


def answer_kind(headers: Headers, kind: bytes) -> bytes:
    """Give the content type of the answer: the one asked for, or the one that was sent.

    Parameters
    ----------
    headers
        Of the request.
    kind
        Content type of the body.
    """
    accepted = headers.get(b"accept", b"").lower()
    return next(
        (known for known in (tables.ARROW, tables.PARQUET, JSON) if known in accepted), kind
    )
