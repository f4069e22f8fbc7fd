"""Pages of predictions, the newest first; each reads no more days than it needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from bentos.predictor import Predictor
from services.history.answers import PredictionsPage
from services.history.questions import RowsQuestion
from services.history.reader.columns import quoted
from services.history.reader.cursor import Sealer
from services.history.reader.database import Database
from services.history.reader.filters import NOTHING, condition
from services.history.reader.prediction import prediction_of
from services.history.reader.scan import Scan

After = tuple[datetime, bytes] | None


@dataclass(frozen=True)
class Pages:
    """Gives pages.

    Parameters
    ----------
    database
        Reads the log.
    sealer
        Makes cursors.
    """

    database: Database
    sealer: Sealer

    def read(self, question: RowsQuestion, kind: type[Predictor]) -> PredictionsPage:
        """Give a page as JSON has it.

        Raises
        ------
        QueryInvalid
            A filter or the cursor is wrong.
        """

        def ask() -> PredictionsPage:
            table, scan, following = self._page(question, kind)
            rows = table.to_pylist()
            return PredictionsPage(
                predictions=[prediction_of(question.model, row, scan.releases) for row in rows],
                next=following,
                notes=[*scan.notes, *([] if rows else [NOTHING])],
            )

        return self.database.ask(ask, lambda: self._scan(question))

    def table(
        self, question: RowsQuestion, kind: type[Predictor]
    ) -> tuple[pa.Table, Scan, str | None]:
        """Give a page as a table, what was read for it, and the cursor of the next one.

        Raises
        ------
        QueryInvalid
            A filter or the cursor is wrong.
        """
        return self.database.ask(lambda: self._page(question, kind), lambda: self._scan(question))

    def _scan(self, question: RowsQuestion) -> Scan:
        since, until = question.span
        return self.database.scanner.scan(question.model, since=since, until=until)

    def _page(
        self, question: RowsQuestion, kind: type[Predictor]
    ) -> tuple[pa.Table, Scan, str | None]:
        """Read a page, and seal where it ended."""
        after = self.sealer.open(question)
        scanned = self._scan(question)
        table = self._read(question, kind, scanned, after)
        following = None
        if table.num_rows > question.limit:
            table = table.slice(0, question.limit)
            at, last_id = (table[name][-1].as_py() for name in ("at", "prediction_id"))
            following = self.sealer.seal(question, at, last_id)
        return table, scanned, following

    def _read(
        self, question: RowsQuestion, kind: type[Predictor], scan: Scan, after: After
    ) -> pa.Table:
        """Read one row more than the page has."""
        sql, params = condition(question, self.database.naming(scan), kind)
        if after is not None:
            # In parts, so that files and groups of rows are passed over by their times.
            sql += ' AND "at" <= $after_at AND ("at" < $after_at OR prediction_id < $after_id)'
            params["after_at"], params["after_id"] = after
        parts: list[pa.Table] = []
        missing = question.limit + 1
        # One entity has few rows: a page of it reads on to the end.
        first = 1 if question.entity is None else len(scan.files)
        for some in _newest_first(scan, after, first):
            query = (
                f"SELECT {_everything(scan)} FROM {some.source} WHERE {sql} "
                f'ORDER BY "at" DESC, prediction_id DESC LIMIT {missing}'
            )
            part = self.database.table(query, params, some)
            parts.append(part)
            missing -= part.num_rows
            if missing <= 0:
                break
        return pa.concat_tables(parts, promote_options="permissive") if parts else _empty(scan)


def _everything(scan: Scan) -> str:
    """Name all columns; one that changed its kind is text throughout."""
    changed = ", ".join(
        f"CAST({quoted(name)} AS VARCHAR) AS {quoted(name)}" for name in sorted(scan.mixed)
    )
    return f"* REPLACE ({changed})" if changed else "*"


def _newest_first(scan: Scan, after: After, first: int) -> Iterator[Scan]:
    """Part a scan by days, the newest first: one day, then two, then four, …"""
    days: dict[Any, list[int]] = {}
    for place, fact in enumerate(scan.facts):
        if after is None or fact.first_at <= after[0]:
            days.setdefault(fact.day, []).append(place)
    order = sorted(days, reverse=True)
    start, size = 0, max(first, 1)
    while start < len(order):
        yield scan.among([place for day in order[start : start + size] for place in days[day]])
        start, size = start + size, size * 2


def _empty(scan: Scan) -> pa.Table:
    return pa.schema(dict(scan.types)).empty_table()
