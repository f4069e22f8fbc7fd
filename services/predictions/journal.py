"""Writes down each prediction before it is said: what was asked, what was answered, and by whom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from bentos.problem import to_fast_bytes
from core.errors import SeptetError
from core.overload import SpoolFull
from services.predictions.description import describe
from services.predictions.segment import MOST_LATENCY_US, Kind

if TYPE_CHECKING:
    from bentos.answering import Outcome
    from bentos.release import ReleaseFacts
    from services.access.caller import Caller
    from services.predictions.backfill import Past
    from services.predictions.spool import Spool

_MOST_KNOWN = 4096
# Of each row: id of the key, microseconds, length of the body, length of the answer.
ROW_FORM = "12sIII"

Kept = asyncio.Future[None] | None


class Asked(NamedTuple):
    """One row, as it was asked.

    Parameters
    ----------
    key_id
        Public id of the caller's key.
    started_s
        When, by ``time.perf_counter``.
    body
        As JSON.
    """

    key_id: str
    started_s: float
    body: bytes


class Journal:
    """Keeps the exchanges of all desks of a process.

    What it gives back is to be awaited before the answers are sent; nothing means that they may be
    sent at once. Where it cannot keep them it raises ``SpoolFull``.

    Parameters
    ----------
    spool
        Where they are kept; nothing keeps none.
    """

    def __init__(self, spool: Spool | None) -> None:
        self._spool = spool
        self._metas: dict[tuple[str, ...], bytes] = {}
        self._descriptions: dict[tuple[str, str], bytes] = {}

    def rows(self, release: ReleaseFacts, asked: Sequence[Asked], answers: Sequence[bytes]) -> Kept:
        """Keep rows that were answered together, in one record.

        Parameters
        ----------
        release
            Who answered.
        asked, answers
            ``n`` of each; answers as JSON.
        """
        if self._spool is None or not answers:
            return None
        now_s = time.perf_counter()
        facts: list[bytes | int] = []
        bodies = []
        longest_us = 0
        for (key_id, started_s, body), answer in zip(asked, answers, strict=True):
            took_us = min(int((now_s - started_s) * 1e6), MOST_LATENCY_US)
            facts += (key_id.encode(), took_us, len(body), len(answer))
            bodies.append(body)
            longest_us = max(longest_us, took_us)
        index = row_form(len(answers)).pack(len(answers), *facts)
        body = b"".join((index, *bodies))
        meta = self._meta(release.model, release.version)
        return self._keep(Kind.ROWS, release, longest_us, meta, body, b"".join(answers))

    def outcomes(
        self, release: ReleaseFacts, asked: Sequence[Asked], outcomes: Sequence[Outcome]
    ) -> tuple[list[bytes | Exception], Kept]:
        """Write answers as JSON, and keep them.

        Parameters
        ----------
        release
            Who answered.
        asked, outcomes
            ``n`` of each.

        Returns
        -------
        tuple
            What each row is answered with, or why it is not.
        """
        ends: list[bytes | Exception] = []
        kept_asked, answers = [], []
        for one, outcome in zip(asked, outcomes, strict=True):
            end = outcome.end
            if isinstance(end, SeptetError):
                ends.append(end)
                continue
            content = to_fast_bytes(end)
            ends.append(content)
            kept_asked.append(one)
            answers.append(content)
        return ends, self.rows(release, kept_asked, answers)

    def batch(
        self,
        release: ReleaseFacts,
        caller: Caller,
        started_s: float,
        kinds: tuple[bytes, bytes],
        parts: tuple[bytes, bytes],
        *,
        past: Past | None = None,
    ) -> Kept:
        """Keep a batch, as it came and as it goes.

        Parameters
        ----------
        release
            Who answered.
        caller
            Who asked.
        started_s
            When, by ``time.perf_counter``.
        kinds
            Content types of body and answer.
        parts
            Body and answer.
        past
            As of when it is written down; now without it.
        """
        names = (kinds[0].decode(), kinds[1].decode())
        meta = self._meta(release.model, release.version, caller.key_id, *names)
        kind, at_ns = (Kind.BATCH, None) if past is None else (Kind.BACKFILL, past.at_ns)
        return self._keep(kind, release, _since_us(started_s), meta, *parts, at_ns=at_ns)

    def refused(
        self, release: ReleaseFacts, caller: Caller, started_s: float, error: SeptetError
    ) -> None:
        """Keep that a row was refused, and why, when there is room; without what was asked."""
        meta = self._meta(release.model, release.version, caller.key_id, error.code)
        with suppress(SpoolFull):
            self._keep(Kind.REFUSED, release, _since_us(started_s), meta, b"", b"")

    def outcomes_of(self, model: str, caller: Caller, outcomes: Sequence[dict[str, Any]]) -> Kept:
        """Keep what really happened.

        Parameters
        ----------
        model
            Whose predictions it is about.
        caller
            Who told it.
        outcomes
            As ``services.history.outcome.Outcome`` writes them.
        """
        meta, body = self._meta(model, caller.key_id), orjson.dumps(outcomes)
        return self._keep_alone(Kind.OUTCOMES, meta, body)

    def erasure(self, caller: Caller, erasure: Mapping[str, Any]) -> Kept:
        """Keep that an entity is to be erased.

        Parameters
        ----------
        caller
            Who wants it.
        erasure
            Its id and the entity.
        """
        return self._keep_alone(Kind.ERASURE, self._meta(caller.key_id), orjson.dumps(erasure))

    def _keep_alone(self, kind: Kind, meta: bytes, body: bytes) -> Kept:
        if self._spool is None:
            return None
        return self._spool.keep(kind, meta, body, b"", latency_us=0)

    def _keep(
        self,
        kind: Kind,
        release: ReleaseFacts,
        took_us: int,
        *parts: bytes,
        at_ns: int | None = None,
    ) -> Kept:
        if self._spool is None:
            return None
        key = (release.model, release.version)
        return self._spool.keep(
            kind,
            *parts,
            latency_us=took_us,
            release=key,
            describe=partial(self._described, release),
            at_ns=at_ns,
        )

    def _described(self, release: ReleaseFacts) -> bytes:
        key = (release.model, release.version)
        found = self._descriptions.get(key)
        if found is None:
            found = self._descriptions[key] = describe(release)
        return found

    def _meta(self, *parts: str) -> bytes:
        """Give a record's meta: model, version and key, then content types, or a refusal's code."""
        found = self._metas.get(parts)
        if found is None:
            if len(self._metas) >= _MOST_KNOWN:
                self._metas.clear()
            found = self._metas[parts] = orjson.dumps(parts)
        return found


@cache
def row_form(rows: int) -> Struct:
    """Give the form of the index that stands before the bodies of so many rows."""
    return Struct(f"<I{ROW_FORM * rows}")


def _since_us(started_s: float) -> int:
    return min(int((time.perf_counter() - started_s) * 1e6), MOST_LATENCY_US)
