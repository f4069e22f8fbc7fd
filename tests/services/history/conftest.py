"""Segments of the tiny model's answers, and what of them stands in the log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bentos.answering import predict_rows, read_row
from bentos.release import Release, open_release, read_pointer
from core.errors import SeptetError
from services.access.caller import Caller
from services.history.decoding import REFUSED
from services.history.log import PredictionLog
from services.history.mover import Mover
from services.predictions.journal import Asked, Journal
from services.predictions.segment import Kind, Segment
from tests.tiny import Shelf, TinyPredictor

CALLER = Caller("0123456789ab", "somebody")
DAY_NS = 86_400 * 10**9
# Noon of 2026-03-31, UTC: the next day is of another month.
NOON_NS = 1_774_958_400 * 10**9


class Pen:
    """Writes records into one segment, at a chosen time."""

    def __init__(self, path: Path, at_ns: int) -> None:
        self._segment = Segment(path, 1 << 22)
        self._at_ns = at_ns
        self._described: set[Any] = set()

    def keep(
        self,
        kind: Kind,
        *parts: bytes,
        latency_us: int,
        release: tuple[str, str] | None = None,
        describe: Callable[[], bytes] = bytes,
        at_ns: int | None = None,
    ) -> None:
        """Write a record as the spool does."""
        if release is not None and release not in self._described:
            self._segment.append(Kind.RELEASE, self._at_ns, 0, describe(), b"", b"")
            self._described.add(release)
        at_ns = self._at_ns if at_ns is None else at_ns
        assert self._segment.append(kind, at_ns, latency_us, *parts)

    def turn(self, at_ns: int) -> None:
        """Set the clock."""
        self._at_ns = at_ns

    def finish(self) -> None:
        """Hand the segment on."""
        self._segment.finish()


def release_of(folder: Path, version: str = "1", **given: Any) -> Release:
    """Write a release of the tiny model and open it."""
    shelf = Shelf(folder)
    shelf.write(version, **given)
    shelf.point(version)
    pointer = read_pointer(shelf.model_folder)
    assert pointer is not None
    return open_release(shelf.model_folder / version, pointer=pointer, kind=TinyPredictor)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """Open a release of the tiny model."""
    return release_of(tmp_path / "releases")


def row(number: int, **changes: Any) -> dict[str, Any]:
    """Give a row that the tiny model answers."""
    return {
        "client_id": f"c{number}", "tenure_months": 20 + number % 80, "hours": number / 7,
        "is_active": bool(number % 2), "plan": "pro", "region": "north",
        "as_of": "2026-01-31T10:00:00+02:00", **changes,
    }  # fmt: skip


def write_segment(
    spool: Path,
    release: Release,
    rows: Sequence[dict[str, Any]],
    *,
    name: str,
    at_ns: int = NOON_NS,
    refusals: Sequence[SeptetError] = (),
    together: int = 7,
) -> list[dict[str, Any]]:
    """Write what a process keeps of rows into a segment; give their answers."""
    spool.mkdir(parents=True, exist_ok=True)
    pen = Pen(spool / f"{name}.open", at_ns)
    journal = Journal(pen)  # type: ignore[arg-type]  # what of a spool it asks for
    answers = []
    for start in range(0, len(rows), together):
        part = rows[start : start + together]
        asked = [
            Asked(CALLER.key_id, time.perf_counter(), json.dumps(one).encode()) for one in part
        ]
        outcomes = predict_rows(release, [read_row(release, one) for one in part], explain=False)
        ends, _ = journal.outcomes(release, asked, outcomes)
        answers += [json.loads(end) for end in ends if isinstance(end, bytes)]
    for error in refusals:
        journal.refused(release, CALLER, time.perf_counter(), error)
    pen.finish()
    return answers


def log_of(home: Path) -> PredictionLog:
    """Give the log of a home folder."""
    return PredictionLog(home / "predictions", owner="me")


def move(home: Path) -> Any:
    """Move all that waits under a home folder."""
    mover = Mover(home / "spool", log_of(home))
    try:
        return mover.step()
    finally:
        mover.close()


def table_of(log: PredictionLog, model: str = "churn") -> pa.Table:
    """Read all files of a model."""
    tables = [pq.ParquetFile(path).read() for path, _ in log.files(model)]
    return pa.concat_tables(tables, promote_options="permissive")


def rows_of(log: PredictionLog, model: str = "churn") -> list[dict[str, Any]]:
    """Read all rows of a model."""
    rows: list[dict[str, Any]] = table_of(log, model).to_pylist() if log.files(model) else []
    return rows


def ids_of(log: PredictionLog) -> list[str]:
    """Read the prediction ids, each as the answer wrote it."""
    return sorted(hex_of(one["prediction_id"]) for one in rows_of(log))


def hex_of(identity: bytes) -> str:
    """Write an id as answers do."""
    text = identity.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def refusals_of(log: PredictionLog) -> list[dict[str, Any]]:
    """Read the refusals."""
    return rows_of(log, REFUSED)
