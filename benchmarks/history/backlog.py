"""A spool as the gate leaves it: real answers of a real release, in segments.

The release is trained on the sample firm, and asked what that firm's table holds: every client of
every day of the table once, then again in another order. Each row has an id and a latency of its
own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from uuid_utils import uuid7

from bentos.answering import Outcome, predict_rows, read_row
from bentos.catalog import predictor_type
from bentos.release import POINTER, Identity, Pointer, Release, open_release, read_pointer
from core import clock
from core.artifact import RELEASE, manifest_sha256
from core.config import load_model_config
from core.settings import ROOT
from services.access.caller import Caller
from services.predictions import tables
from services.predictions.batch import batch_answer
from services.predictions.journal import Asked, Journal
from services.predictions.segment import Kind, Segment
from training.fitting import fit_only
from training.source import sample_table

MODEL = "profitability"
CALLER = Caller("4fQ7hYb2LkTz", "bench")
SEGMENT_BYTES = 16 * 2**20
BATCH_ROWS = 1000
JSON = b"application/json"
# The forms of a backlog: single rows as the gate writes them, and batches.
ROWS, BATCH_JSON, BATCH_ARROW = "single rows", "batches, JSON", "batches, Arrow"
# Rows that the gate answers together, hence in one record, from little to much load.
_FEWEST, _MOST = 7, 30
_BETWEEN_NS = 2_000_000
_AT_ONCE = 1000
_SEED = 7


def champion(home: Path) -> Release:
    """Train the model on the sample firm, unless it was; open it.

    Parameters
    ----------
    home
        Where the release is kept.
    """
    model_folder = home / "releases" / MODEL
    folder = model_folder / "1"
    if read_pointer(model_folder) is None:
        config = load_model_config(ROOT / "configs" / "models" / f"{MODEL}.yaml")
        fit_only(config, home=home, folder=folder)
        pointer = Pointer(version="1", manifest_sha256=manifest_sha256(folder))
        identity = Identity(
            model=MODEL, run_id="bench", registered_at=clock.now(), **pointer.model_dump()
        )
        (folder / RELEASE).write_text(identity.model_dump_json(), encoding="utf-8")
        (model_folder / POINTER).write_text(pointer.model_dump_json(), encoding="utf-8")
    pointer_read = read_pointer(model_folder)
    if pointer_read is None:
        raise FileNotFoundError(model_folder)
    return open_release(folder, pointer=pointer_read, kind=predictor_type(MODEL))


@dataclass(frozen=True)
class Answered:
    """Rows of the sample firm, each with what the release answers; ``n`` of each.

    Parameters
    ----------
    release
        Who answers.
    asked
        As plain data.
    bodies
        As JSON, as a caller sends them.
    answers
        As plain data; the id is made anew when a row is asked again.
    """

    release: Release
    asked: list[dict[str, Any]]
    bodies: list[bytes]
    answers: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.asked)


def answered(release: Release, home: Path, *, clients: int) -> Answered:
    """Let the release answer the table of a sample firm.

    Parameters
    ----------
    release
        Who answers.
    home
        Where the firm's tables are kept.
    clients
        How many clients it has.
    """
    config = release.contract.config
    source: Any = config.source
    table = pq.read_table(sample_table(source.model_copy(update={"clients": clients}), home=home))
    names = [name for name in (config.entity, config.as_of, *config.asked_features) if name]
    given: list[Any] = tables.to_rows(table.select(names))
    asked: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    for start in range(0, len(given), _AT_ONCE):
        part = given[start : start + _AT_ONCE]
        rows = [read_row(release, one) for one in part]
        for one, outcome in zip(part, predict_rows(release, rows, explain=False), strict=True):
            if outcome.answer is not None:
                asked.append(one)
                answers.append(outcome.answer)
    # With blanks, as most clients write JSON.
    return Answered(release, asked, [json.dumps(one).encode() for one in asked], answers)


class _Pen:
    """Writes records into segments, one after another, at times that go on."""

    def __init__(self, spool: Path, at_ns: int) -> None:
        self._spool = spool
        self.at_ns = at_ns
        self._count = 0
        self._segment: Segment | None = None

    def keep(
        self,
        kind: Kind,
        *parts: bytes,
        latency_us: int,
        release: object = None,  # noqa: ARG002 - one release alone is written here
        describe: Callable[[], bytes] = bytes,
        at_ns: int | None = None,
    ) -> None:
        """Write a record as the spool does."""
        at_ns = self.at_ns if at_ns is None else at_ns
        if self._segment is None or not self._segment.append(kind, at_ns, latency_us, *parts):
            self.finish()
            path = self._spool / f"bench-{self._count:06d}.open"
            self._count += 1
            self._segment = Segment(path, SEGMENT_BYTES)
            self._segment.append(Kind.RELEASE, at_ns, 0, describe(), b"", b"")
            self._segment.append(kind, at_ns, latency_us, *parts)

    def finish(self) -> None:
        """Hand the segment on."""
        if self._segment is not None:
            self._segment.finish()


def write_backlog(spool: Path, said: Answered, *, rows: int, form: str) -> None:
    """Fill a spool with what a process keeps of so many rows.

    Parameters
    ----------
    spool
        Its folder.
    said
        What is asked and answered.
    rows
        How many.
    form
        One of the forms.
    """
    spool.mkdir(parents=True, exist_ok=True, mode=0o700)
    random = np.random.default_rng(_SEED)
    noon = clock.now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    pen = _Pen(spool, int(noon.timestamp()) * 10**9)
    journal = Journal(pen)  # type: ignore[arg-type]  # what of a spool it asks for
    for places in _groups(random, len(said), rows, form):
        pen.at_ns += len(places) * _BETWEEN_NS
        started_s = perf_counter() - random.lognormal(6, 0.5) / 1e6
        answers = [_again(said.answers[place], pen.at_ns) for place in places]
        if form == ROWS:
            asked = [Asked(CALLER.key_id, started_s, said.bodies[place]) for place in places]
            journal.rows(said.release, asked, [orjson.dumps(one) for one in answers])
            continue
        kind = JSON if form == BATCH_JSON else tables.ARROW
        parts = _batch(said, places, answers, kind)
        journal.batch(said.release, CALLER, started_s, (kind, kind), parts)
    pen.finish()


def _groups(random: np.random.Generator, known: int, rows: int, form: str) -> Iterator[list[int]]:
    """Give which rows are answered together, all of them once in each turn."""
    left = rows
    while left:
        order = random.permutation(known)[:left].tolist()
        left -= len(order)
        while order:
            size = int(random.integers(_FEWEST, _MOST + 1)) if form == ROWS else BATCH_ROWS
            yield order[-size:]
            del order[-size:]


def _again(answer: dict[str, Any], at_ns: int) -> dict[str, Any]:
    return {**answer, "prediction_id": str(uuid7(nanoseconds=at_ns))}


def _batch(
    said: Answered, places: list[int], answers: list[dict[str, Any]], kind: bytes
) -> tuple[bytes, bytes]:
    """Give body and answer of a batch."""
    asked = [said.asked[place] for place in places]
    outcomes = [Outcome(answer=one, error=None) for one in answers]
    if kind == JSON:
        answer = orjson.dumps(batch_answer(said.release, outcomes))
        return json.dumps({"rows": asked}).encode(), answer
    body = tables.write_arrow(pa.Table.from_pylist(asked), kind)
    return body, tables.write_arrow(tables.outcomes_table(said.release, outcomes), kind)
