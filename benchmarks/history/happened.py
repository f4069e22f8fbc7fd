"""What then happened to a share of the predictions, as the worker would have written it."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.history.traffic import MODEL
from services.history.decoding import OUTCOMES, OUTCOMES_OF
from services.history.log import PredictionLog
from services.history.manifest import LogFile, Manifest, month_of

# Every fifth prediction; of ten outcomes three name the client and the time, the others the id.
_SHARE, _BY_ENTITY_SHARE = 0.2, 0.3
_MOST_DELAY = timedelta(days=60)
_SEED = 11


def write_outcomes(log: PredictionLog) -> int:
    """Write outcomes of the predictions of a log, a file a month; say how many.

    Parameters
    ----------
    log
        Of a year, without outcomes.
    """
    random = np.random.default_rng(_SEED)
    months: dict[str, list[pa.Table]] = {}
    for path, file in log.files(MODEL):
        months.setdefault(month_of(file.day), []).append(_outcomes(str(path), random))
    files: dict[str, list[LogFile]] = {}
    for tables in months.values():
        for file in log.write(MODEL + OUTCOMES_OF, pa.concat_tables(tables)):
            files.setdefault(month_of(file.day), []).append(file)
    for month, written in files.items():
        log.commit(MODEL + OUTCOMES_OF, month, Manifest(files=tuple(written)))
    return sum(file.rows for written in files.values() for file in written)


def _outcomes(path: str, random: np.random.Generator) -> pa.Table:
    """Draw the outcomes of the predictions of one file."""
    names = ["prediction_id", "at", "entity", "as_of", "caller", "result_profit_amount"]
    drawn = pq.read_table(path, columns=names)
    drawn = drawn.filter(pa.array(random.random(drawn.num_rows) < _SHARE))
    size = drawn.num_rows
    by_entity = pa.array(random.random(size) < _BY_ENTITY_SHARE)
    delay_us = random.integers(0, _MOST_DELAY // timedelta(microseconds=1), size)
    value = drawn["result_profit_amount"].to_numpy() * random.normal(1, 0.3, size)
    at = drawn["at"].cast(pa.int64()).to_numpy() + delay_us
    columns = {
        "at": pa.array(at),
        "caller": drawn["caller"],
        "outcome_of": _only(drawn["prediction_id"], pc.invert(by_entity)),
        "entity": _only(drawn["entity"], by_entity),
        "as_of": _only(drawn["as_of"], by_entity),
        "value": pa.array(value),
        "amount": pa.nulls(size, pa.float64()),
        "happened_at": pa.array(at),
    }
    return pa.table({field.name: columns[field.name].cast(field.type) for field in OUTCOMES})


def _only(column: pa.ChunkedArray, wanted: pa.Array) -> pa.ChunkedArray:
    """Keep some values of a column, nothing in the place of the others."""
    return pc.if_else(wanted, column, pa.scalar(None, column.type))
