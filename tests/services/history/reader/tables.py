"""Logs of predictions that were never asked for: rows as they would stand there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from services.history.decoding import OUTCOMES, OUTCOMES_OF, REFUSALS, REFUSED
from services.history.log import PredictionLog
from services.history.manifest import Manifest, month_of
from services.history.predicted import Predicted
from services.history.reader.database import Database

START = datetime(2026, 3, 2, tzinfo=UTC)
TINY = {"hours": "number", "tenure_months": "integer", "is_active": "boolean", "region": "text"}
RESULT = {"probability": "number", "band": "text"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANDOM = np.random.default_rng(5)


def identity(at: datetime) -> bytes:
    """Make an id as an answer of then has it."""
    made = (at - _EPOCH) // timedelta(milliseconds=1)
    raw = bytearray(made.to_bytes(6, "big") + _RANDOM.bytes(10))
    raw[6], raw[8] = raw[6] & 0x0F | 0x70, raw[8] & 0x3F | 0x80
    return UUID(bytes=bytes(raw)).bytes


def predicted(
    rows: Sequence[Mapping[str, Any]],
    *,
    version: str = "1",
    key: str = "client_id",
    inputs: Mapping[str, str] = TINY,
    result: Mapping[str, str] | None = None,
) -> pa.Table:
    """Give rows of one release, each with ``at`` and what else differs from usual.

    Names of inputs and of the result's fields are theirs; other names are facts.
    """
    kinds = result or RESULT
    table = Predicted(
        {
            "model": "any", "version": version, "run_id": "r", "manifest_sha256": "m",
            "data_sha256": "d", "entity": key, "as_of": "as_of", "inputs": dict(inputs),
            "result": dict(kinds),
        }
    )  # fmt: skip
    for row in rows:
        facts = {
            "prediction_id": identity(row["at"]), "version": version, "entity": "c1", "as_of": None,
            "as_of_offset_minutes": None, "caller": "0123456789ab", "source": "row",
            "latency_us": 1000, "flags": None, "drivers": None, "masked": None, **row,
        }  # fmt: skip
        for name, values in table.facts.items():
            values.append(facts[name])
        table.inputs.append({name: row.get(name) for name in inputs})
        table.results.append({name: row.get(name) for name in kinds})
    return table.table()


def keep(log: PredictionLog, model: str, *tables: pa.Table) -> list[Path]:
    """Put tables into the log; give their files."""
    files = [file for table in tables for file in log.write(model, table)]
    months: dict[str, list[Any]] = {}
    for file in files:
        months.setdefault(month_of(file.day), []).append(file)
    for month, new in months.items():
        before = log.manifest(model, month).files
        log.commit(model, month, Manifest(files=(*before, *new)))
    return [Path(log.store.place(log.key(model, file))) for file in files]


def keep_refusals(log: PredictionLog, *rows: Mapping[str, Any]) -> None:
    """Put refusals into the log."""
    usual = {
        "model": "churn", "version": "1", "caller": "0123456789ab", "code": "RowInvalid",
        "latency_us": 10,
    }  # fmt: skip
    keep(log, REFUSED, pa.Table.from_pylist([{**usual, **row} for row in rows], schema=REFUSALS))


def keep_outcomes(log: PredictionLog, model: str, *rows: Mapping[str, Any]) -> list[Path]:
    """Put outcomes into the log; give their files."""
    usual = {"caller": "0123456789ab"}
    told = pa.Table.from_pylist([{**usual, **row} for row in rows], schema=OUTCOMES)
    return keep(log, model + OUTCOMES_OF, told)


@contextmanager
def opened(log: PredictionLog) -> Iterator[Database]:
    """Open a log for questions."""
    columns = {"inputs": TINY, "result": RESULT}
    database = Database(log, memory_mib=200, threads=1, columns_of=lambda _: columns)
    try:
        yield database
    finally:
        database.close()


def table_of(series: Any) -> list[dict[str, Any]]:
    """Give the rows of a series by name."""
    names = [column.name for column in series.columns]
    return [dict(zip(names, row, strict=True)) for row in series.rows]
