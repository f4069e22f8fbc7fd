"""Which rows of the log lie in one file: those of a day, or the outcomes that are about a month.

An outcome is kept by what it is about, not by when it was told: who asks what became of a
prediction then reads the months that it may stand in, however long ago the prediction was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

ID = "prediction_id"
OUTCOME_OF = "outcome_of"
# What no time is known of, or one that nobody means: an outcome of all predictions of an entity.
ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST_US = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp() * 1_000_000)
# Clocks differ by less; so far ahead the day of a file may be of when its rows were told.
_AHEAD_US = 3600 * 1_000_000
_ID_BYTES, _TIME_BYTES = 16, 6


def utc_day(at: datetime) -> date:
    """Give the day of a time, UTC."""
    return at.astimezone(UTC).date()


def parted(table: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """Part a table into what goes into one file.

    Parameters
    ----------
    table
        Rows with a column ``at``; outcomes have ``outcome_of`` as well.

    Yields
    ------
    tuple of date and pyarrow.Table
        The day, or the first day of the month, UTC.
    """
    times, unit = table.column("at"), "day"
    if OUTCOME_OF in table.column_names:
        times, unit = about(table), "month"
    span = pc.min_max(times)
    first, last = (span[end].as_py() for end in ("min", "max"))
    if unit == "day" and first is not None and utc_day(first) == utc_day(last):
        yield utc_day(first), table
        return
    starts = pc.floor_temporal(times, unit=unit)
    for start in sorted(pc.unique(starts).to_pylist()):
        yield utc_day(start), table.filter(pc.equal(starts, pa.scalar(start, starts.type)))


def about(outcomes: pa.Table) -> pa.Array:
    """Give the time that each outcome is about.

    Parameters
    ----------
    outcomes
        Rows of ``services.history.decoding.OUTCOMES``.

    Returns
    -------
    pyarrow.Array of timestamp
        When the prediction was made whose id it names (RFC 9562), or the time it names;
        ``ANY_TIME`` where it names none, or one before 2000 or after it was told.
    """
    ids = outcomes.column(OUTCOME_OF).combine_chunks()
    as_of = outcomes.column("as_of").combine_chunks()
    named = as_of.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    told = outcomes.column("at").combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False)
    # Else one request makes a thousand months, and an erasure takes a file for one to come.
    named = np.where(named > told + _AHEAD_US, 0, named)
    by_id = ids.is_valid().to_numpy(zero_copy_only=False)
    found = np.where(by_id, _made_us(ids), named)
    found = np.where(found < _EARLIEST_US, 0, found)
    return pa.array(found, pa.int64()).cast(as_of.type)


def _made_us(ids: pa.FixedSizeBinaryArray) -> npt.NDArray[np.int64]:
    """Read the times of ids: milliseconds since 1970 in their first 6 bytes."""
    filled = ids.fill_null(bytes(_ID_BYTES))
    raw = np.frombuffer(
        filled.buffers()[1], np.uint8, count=_ID_BYTES * len(filled),
        offset=_ID_BYTES * filled.offset,
    ).reshape(-1, _ID_BYTES)  # fmt: skip
    wide = np.zeros((len(filled), 8), np.uint8)
    wide[:, -_TIME_BYTES:] = raw[:, :_TIME_BYTES]
    return wide.view(">u8").ravel().astype(np.int64) * 1000


def in_order(table: pa.Table) -> pa.Table:
    """Sort a table as its files are, so that the rows asked for lie together."""
    if OUTCOME_OF in table.column_names:
        return table.sort_by([(name, "ascending") for name in (OUTCOME_OF, "entity", "at")])
    column = ID if ID in table.column_names else "at"
    values = table.column(column).combine_chunks()
    if pc.all(pc.less_equal(values.slice(0, max(len(values) - 1, 0)), values.slice(1))).as_py():
        return table
    return table.sort_by(column)


def span_of(times: pa.Array | pa.ChunkedArray | Sequence[datetime]) -> tuple[datetime, datetime]:
    """Give the first and the last of some times, at least one."""
    span = pc.min_max(times)
    return span["min"].as_py(), span["max"].as_py()
