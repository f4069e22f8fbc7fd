"""What is asked of both sides, with the SQL that a person would write for it.

That person knows how the log lies in folders, and names those of the days in question; which of
their files or groups of rows can be passed over is left to DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.history.traffic import MODEL
from services.history.decoding import OUTCOMES_OF
from services.history.log import PredictionLog
from services.history.reader.times import time_of

DAYS = 30
PAGE = 100
_SAME = 1e-9


@dataclass(frozen=True)
class Asked:
    """One question, for both sides.

    Parameters
    ----------
    name, content
        As the historian takes it.
    sql, params
        As DuckDB takes it.
    is_same
        Says whether both answers are the same.
    """

    name: str
    content: dict[str, Any]
    sql: str
    params: list[Any]
    is_same: Callable[[Any, list[Any]], bool]


class Log:
    """A log that is asked about.

    Parameters
    ----------
    home
        Its home folder.
    last
        Its last day.
    days
        How many it has.
    """

    def __init__(self, home: Path, *, last: date, days: int) -> None:
        self._folder = home / "predictions" / MODEL
        self._log = PredictionLog(home / "predictions", owner="bench")
        self._first, self._days = last - timedelta(days=days - 1), days

    def month(self, random: np.random.Generator) -> tuple[datetime, datetime]:
        """Choose a month of the log."""
        day = self._first + timedelta(days=int(random.integers(0, self._days - DAYS + 1)))
        since = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return since, since + timedelta(days=DAYS)

    def row(self, random: np.random.Generator) -> tuple[str, str]:
        """Choose a prediction; give its id and whom it is about."""
        files = self._log.files(MODEL)
        path, _ = files[int(random.integers(0, len(files)))]
        file = pq.ParquetFile(path)
        group = int(random.integers(0, file.num_row_groups))
        table = file.read_row_group(group, columns=["prediction_id", "entity"])
        place = int(random.integers(0, table.num_rows))
        key, entity = (table.column(i)[place].as_py() for i in range(2))
        text = key.hex()
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])), entity

    def source(self, since: datetime, until: datetime) -> str:
        """Give the folders of some days, as SQL reads them."""
        days = [since.date() + timedelta(days=i) for i in range((until - since).days or 1)]
        folders = ", ".join(f"'{self._folder}/{day}/*.parquet'" for day in days)
        return f"read_parquet([{folders}])"

    def told(self, at: datetime) -> str:
        """Give the folder of the outcomes of a month, as SQL reads it."""
        return f"read_parquet('{self._folder}{OUTCOMES_OF}/{at:%Y-%m}-01/*.parquet')"


Make = Callable[[Log, np.random.Generator], Asked]


def trend(log: Log, random: np.random.Generator) -> Asked:
    """Ask how a month went, day by day."""
    since, until = log.month(random)
    sql = f"""
        SELECT date_trunc('day', "at") AS step, count(*), avg(result_profit_amount),
               approx_quantile(result_profit_amount, 0.1),
               approx_quantile(result_profit_amount, 0.5),
               approx_quantile(result_profit_amount, 0.9)
        FROM {log.source(since, until)} WHERE "at" >= ? AND "at" < ?
        GROUP BY step ORDER BY step
    """
    question = {"model": MODEL, "by": "day", **_span(since, until)}

    def is_same(ours: Any, theirs: list[Any]) -> bool:
        rows = ours["rows"]
        return len(rows) == len(theirs) == DAYS and all(
            mine[1] == other[1] and isclose(mine[2], other[2], rel_tol=_SAME)
            for mine, other in zip(rows, theirs, strict=True)
        )

    return Asked("trends", {"question": question}, sql, _ends(since, until), is_same)


def receipt(log: Log, random: np.random.Generator) -> Asked:
    """Ask for one prediction by its id, with what then happened."""
    identity, _ = log.row(random)
    day = time_of(bytes.fromhex(identity.replace("-", "")))
    told = log.told(day)
    sql = f"""
        WITH p AS (SELECT * FROM {log.source(day, day)} WHERE prediction_id = ?),
        o AS (
            SELECT 0 AS rank, "at", value FROM {told} WHERE outcome_of = ?
            UNION ALL
            SELECT 1, t."at", t.value FROM {told} t JOIN p
                ON t.entity = p.entity AND (t.as_of IS NULL OR t.as_of = p.as_of)
            WHERE t.outcome_of IS NULL
        )
        SELECT p.*, (SELECT value FROM o ORDER BY rank, "at" DESC LIMIT 1) AS outcome FROM p
    """

    def is_same(ours: Any, theirs: list[Any]) -> bool:
        value = (ours["outcome"] or {"value": None})["value"]
        return [(ours["prediction_id"], value)] == [(row[0], row[-1]) for row in theirs]

    content = {"subject": identity, "question": {}}
    return Asked("receipt", content, sql, [{"id": identity}] * 2, is_same)


def filtered(log: Log, random: np.random.Generator) -> Asked:
    """Ask for the newest of a month, of a segment and above a value."""
    least = float(random.uniform(5_000, 50_000))
    filters = {"where": ["segment:mid"], "field": "profit_amount", "least": least}
    return _page(log, random, filters, "input_segment = 'mid' AND result_profit_amount >= ?", least)


def of_entity(log: Log, random: np.random.Generator) -> Asked:
    """Ask for the newest of a month, of one client."""
    _, entity = log.row(random)
    return _page(log, random, {"entity": entity}, "entity = ?", entity)


def _page(
    log: Log, random: np.random.Generator, filters: dict[str, Any], condition: str, value: Any
) -> Asked:
    since, until = log.month(random)
    sql = f"""
        SELECT * FROM {log.source(since, until)}
        WHERE "at" >= ? AND "at" < ? AND {condition}
        ORDER BY "at" DESC, prediction_id DESC LIMIT {PAGE}
    """
    question = {"model": MODEL, "limit": PAGE, **_span(since, until), **filters}

    def is_same(ours: Any, theirs: list[Any]) -> bool:
        return [one["prediction_id"] for one in ours["predictions"]] == [row[0] for row in theirs]

    return Asked("rows", {"question": question}, sql, [*_ends(since, until), value], is_same)


def _span(since: datetime, until: datetime) -> dict[str, str]:
    return {"since": since.isoformat(), "until": until.isoformat()}


def _ends(since: datetime, until: datetime) -> list[str]:
    return [since.isoformat(), until.isoformat()]


@dataclass(frozen=True)
class Case:
    """A kind of question, and what its answer may take.

    Parameters
    ----------
    title
        Its name.
    make
        Gives one of them.
    most_ms
        The figure to reach with the larger log.
    asks
        How often it is asked in a round.
    most_growth
        By how much its time may grow from the smaller log to the larger; nothing when unbounded.
    """

    title: str
    make: Make
    most_ms: float
    asks: int
    most_growth: float | None = None


CASES: Sequence[Case] = (
    Case("a day's trend of a month", trend, 300, 3, 4),
    Case("one receipt by its id, with its outcome", receipt, 50, 10, 1.3),
    Case("a page, a month of a segment above a value", filtered, 150, 3),
    Case("a page, a month of one client", of_entity, 150, 3),
)
MOST_RATIO = 1.5
