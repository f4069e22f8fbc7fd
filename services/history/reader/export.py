"""A page of predictions as a table: CSV for a spreadsheet, Parquet and Arrow for a program."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from core.history_faults import ExportsBusy
from services.access.export import safe_cell
from services.history.questions import PAGE_ROWS

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}

# Each is held whole until it is sent, beside the memory that DuckDB is bound to.
LARGE_AT_ONCE = 2


class Turns:
    """Lets few large tables be written at once; small ones always.

    Parameters
    ----------
    most
        How many large ones.
    """

    def __init__(self, most: int = LARGE_AT_ONCE) -> None:
        self._most = most
        self._free = threading.BoundedSemaphore(most)

    @contextmanager
    def of(self, rows: int) -> Iterator[None]:
        """Hold a turn meanwhile.

        Parameters
        ----------
        rows
            How many the table may have.

        Raises
        ------
        ExportsBusy
            It is a large one, and others are under way.
        """
        if rows <= PAGE_ROWS:
            yield
            return
        if not self._free.acquire(blocking=False):
            raise ExportsBusy(self._most)
        try:
            yield
        finally:
            self._free.release()


def write_table(table: pa.Table, form: str) -> bytes:
    """Write rows of the log.

    Parameters
    ----------
    table
        The rows.
    form
        csv, parquet or arrow.
    """
    table = _with_text_ids(table)
    if form == "csv":
        return _csv(table)
    sink = io.BytesIO()
    if form == "parquet":
        pq.write_table(table, sink, compression="zstd")
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


def _with_text_ids(table: pa.Table) -> pa.Table:
    """Write ids as answers do."""
    place = table.schema.get_field_index("prediction_id")
    if place < 0:
        return table
    ids = [str(UUID(bytes=one)) for one in table.column(place).to_pylist()]
    plain = table.replace_schema_metadata(None)
    return plain.set_column(place, "prediction_id", pa.array(ids, pa.string()))


def _csv(table: pa.Table) -> bytes:
    """Write CSV; no cell starts a formula."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow([safe_cell(name) for name in table.column_names])
    for batch in table.to_batches(max_chunksize=5000):
        writer.writerows(_cells(batch))
    return file.getvalue().encode()


def _cells(batch: pa.RecordBatch) -> Iterator[list[Any]]:
    columns = [batch.column(i).to_pylist() for i in range(batch.num_columns)]
    for row in zip(*columns, strict=True):
        yield [_cell(value) for value in row]


def _cell(value: Any) -> Any:
    """Give a cell; a number is none that a spreadsheet could run."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, int | float) else safe_cell(value)
