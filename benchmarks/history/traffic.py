"""Predictions by the million, as the worker would have written them over a year.

The rows asked are those of the sample firm's profitability table (20 inputs), drawn again and
again; times, callers, versions and latencies are drawn by a seed. Answers are made by a formula and
noise: what is measured reads and writes columns, and computes no model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core import clock
from core.config import ModelConfig, load_model_config
from core.settings import ROOT
from services.history.lineage import with_releases
from services.history.log import PredictionLog
from services.history.manifest import Manifest, month_of
from services.history.predicted import FACTS, INPUT, RESULT, TIME
from training.source import sample_table

MODEL = "profitability"
RESULTS = ("profit_amount", "low_amount", "high_amount", "margin_ratio", "level")
_FLAGGED_SHARE, _FLAGS = 0.03, '[{"feature":"planned_hours"}]'
_CALLERS = ["4fQ7hYb2LkTz", "9aQ1cXe8PmRw", "2bW5dZr7KnJs"]


@dataclass(frozen=True)
class Rows:
    """The rows that are asked, each column of shape ``(n,)``."""

    config: ModelConfig
    columns: dict[str, pa.Array]
    entities: pa.Array

    def __len__(self) -> int:
        return len(self.entities)


def sample_rows(home: Path, *, clients: int) -> Rows:
    """Read the rows of a sample firm.

    Parameters
    ----------
    home
        Where its tables are kept.
    clients
        How many it has.
    """
    config = load_model_config(ROOT / "configs" / "models" / f"{MODEL}.yaml")
    source: Any = config.source
    table = pq.read_table(sample_table(source.model_copy(update={"clients": clients}), home=home))
    columns = {}
    for name, feature in config.asked_features.items():
        column = table.column(name).combine_chunks()
        kind = {"number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_()}
        columns[name] = column.cast(kind.get(feature.type, pa.string()))
    return Rows(config, columns, table.column(config.entity).combine_chunks().cast(pa.string()))


class Year:
    """A year of traffic that ends yesterday.

    Parameters
    ----------
    rows
        What is asked.
    count
        Predictions in all.
    days
        Days that they are spread over.
    seed
        Of all that is drawn.
    """

    def __init__(self, rows: Rows, *, count: int, days: int = 365, seed: int = 7) -> None:
        self._rows = rows
        self._random = np.random.default_rng(seed)
        self.days = days
        self.a_day = count // days
        self.last = clock.now().date() - timedelta(days=1)

    def day(self, number: int) -> tuple[date, pa.Table]:
        """Give the predictions of a day.

        Parameters
        ----------
        number
            From 0, the earliest.
        """
        day = self.last - timedelta(days=self.days - 1 - number)
        size, random = self.a_day, self._random
        start_us = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1e6)
        at_us = start_us + np.sort(random.integers(0, 86_400_000_000, size))
        drawn = pa.array(random.integers(0, len(self._rows), size))
        version = str(1 + 3 * number // self.days)
        is_flagged = pa.array(random.random(size) < _FLAGGED_SHARE)
        flags = pc.if_else(is_flagged, _FLAGS, pa.scalar(None, pa.string()))
        facts = {
            "prediction_id": _ids(at_us, random),
            "at": _times(at_us),
            "version": pa.array([version]).take(pa.array(np.zeros(size, np.int64))),
            "entity": self._rows.entities.take(drawn),
            "as_of": pa.array(np.full(size, start_us), pa.int64())
            .cast(pa.timestamp("us"))
            .cast(TIME),
            "caller": pa.array(_CALLERS).take(pa.array(random.integers(0, len(_CALLERS), size))),
            "source": pa.array(["row", "batch"]).take(pa.array(random.integers(0, 2, size))),
            "latency_us": pa.array((random.lognormal(6, 0.5, size)).astype(np.int64)),
            "flags": flags,
        }
        facts |= {
            name: pa.nulls(size, FACTS.field(name).type)
            for name in FACTS.names
            if name not in facts
        }
        columns = {name: facts[name] for name in FACTS.names}
        columns |= {INPUT + name: one.take(drawn) for name, one in self._rows.columns.items()}
        columns |= _results(columns, random)
        return day, self._described(pa.table(columns), version)

    def _described(self, table: pa.Table, version: str) -> pa.Table:
        kinds = {"number": "number", "integer": "integer", "boolean": "boolean", "category": "text"}
        features = self._rows.config.asked_features
        description = {
            "model": MODEL, "version": version, "run_id": "bench", "manifest_sha256": "bench",
            "data_sha256": "bench", "entity": self._rows.config.entity,
            "as_of": self._rows.config.as_of,
            "inputs": {name: kinds[feature.type] for name, feature in features.items()},
            "result": dict.fromkeys(RESULTS, "number"),
        }  # fmt: skip
        return with_releases(table, {version: description})


def write_year(log: PredictionLog, year: Year, *, told: Callable[[int], None]) -> None:
    """Write a year into a log, as the worker leaves it: files, then the manifest of each month.

    Parameters
    ----------
    log
        An empty one.
    year
        What is written.
    told
        Is told how many days are done.
    """
    files: dict[str, list[Any]] = {}
    for number in range(year.days):
        day, table = year.day(number)
        files.setdefault(month_of(day), []).extend(log.write(MODEL, table))
        told(number + 1)
    for month, written in files.items():
        log.commit(MODEL, month, Manifest(files=tuple(written)))


def _results(columns: dict[str, pa.Array], random: np.random.Generator) -> dict[str, pa.Array]:
    revenue = columns[f"{INPUT}planned_revenue_amount"].to_numpy(zero_copy_only=False)
    cost = columns[f"{INPUT}planned_cost_amount"].to_numpy(zero_copy_only=False)
    profit = (revenue - cost) * random.normal(0.9, 0.05, len(revenue))
    band = np.abs(profit) * 0.3 + 100
    values = (profit, profit - band, profit + band, profit / np.maximum(revenue, 1), None)
    level = pa.array(np.full(len(revenue), 0.9))
    return {
        RESULT + name: level if value is None else pa.array(value)
        for name, value in zip(RESULTS, values, strict=True)
    }


def _times(at_us: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(at_us, pa.int64()).cast(pa.timestamp("us")).cast(TIME)


def _ids(at_us: npt.NDArray[np.int64], random: np.random.Generator) -> pa.Array:
    """Make ids of version 7: milliseconds, version, chance (RFC 9562)."""
    size = len(at_us)
    raw = random.integers(0, 256, (size, 16), dtype=np.uint8)
    raw[:, :6] = (at_us // 1000).astype(">u8").view(np.uint8).reshape(size, 8)[:, 2:]
    raw[:, 6] = raw[:, 6] & 0x0F | 0x70
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    buffer = pa.py_buffer(raw.tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), size, [None, buffer])
