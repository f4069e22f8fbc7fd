"""Batches as Arrow or Parquet: columns in, columns out, without a row ever being made.

What unpacks to many times its size is refused before it is unpacked: an Arrow stream must not be
compressed, a Parquet file must be plain or Snappy, and its rows are counted by its footer.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import ipc

from core.refusals import BatchTooLarge, TableInvalid
from core.table import CloserLook, Form, Table

if TYPE_CHECKING:
    from bentos.answering import Outcome
    from bentos.release import Release, ReleaseFacts
    from bentos.tabular import Answers

ARROW = b"application/vnd.apache.arrow.stream"
PARQUET = b"application/vnd.apache.parquet"
KINDS = frozenset({ARROW, PARQUET})
_CODECS = frozenset({"UNCOMPRESSED", "SNAPPY"})
_LONGEST_TEXT = 4096
_COMPRESSION_SLOT, _HEADER_SLOT = 3, 2


def read_arrow(body: bytes, kind: bytes, *, most_rows: int, texts: Sequence[str] = ()) -> pa.Table:
    """Read the body of a batch.

    Parameters
    ----------
    body
        The bytes as they were sent.
    kind
        ``ARROW`` or ``PARQUET``.
    most_rows
        Most rows that are taken.
    texts
        Names of columns that are texts, when they are known: they need not be looked for first.

    Raises
    ------
    TableInvalid
        It is not of that kind, is compressed beyond what is taken, has a column twice or no rows.
    BatchTooLarge
        It has more rows than that.
    """
    try:
        if kind == PARQUET:
            table = _read_parquet(body, most_rows, texts)
        else:
            table = _read_stream(body, most_rows)
    except (pa.ArrowException, OSError, ValueError, struct.error, IndexError) as error:
        raise TableInvalid(kind.decode(), str(error).splitlines()[0][:200]) from None
    names = table.column_names
    if len(set(names)) != len(names):
        raise TableInvalid(kind.decode(), "it has two columns of the same name")
    if not table.num_rows:
        raise TableInvalid(kind.decode(), "it has no rows")
    return table


def _read_parquet(body: bytes, most_rows: int, texts: Sequence[str]) -> pa.Table:
    source = pa.BufferReader(body)
    try:
        file = pq.ParquetFile(source, read_dictionary=list(texts))
    except KeyError:
        file = pq.ParquetFile(source)
    facts = file.metadata
    if facts.num_rows > most_rows:
        raise BatchTooLarge(facts.num_rows, most_rows)
    for group in map(facts.row_group, range(facts.num_row_groups)):
        for column in map(group.column, range(facts.num_columns)):
            if column.compression not in _CODECS:
                fault = f"it is packed with {column.compression}; use SNAPPY"
                raise TableInvalid(PARQUET.decode(), fault)
    # Repeated texts stay packed: a file of a few bytes may stand for gigabytes of them.
    if any(_is_text(field.type) for field in file.schema_arrow):
        every = [field.name for field in facts.schema.to_arrow_schema() if _is_text(field.type)]
        file = pq.ParquetFile(source, metadata=facts, read_dictionary=every)
    table: pa.Table = file.read(use_threads=False)
    for place, name in enumerate(table.column_names):
        if pa.types.is_dictionary(table.column(place).type):
            table = table.set_column(place, name, _unpacked(table.column(place)))
    return table


def _unpacked(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write repeated texts out, when none is so long that it could be one of ours."""
    for chunk in column.chunks:
        lengths = pc.binary_length(chunk.dictionary)
        if (pc.max(lengths).as_py() or 0) > _LONGEST_TEXT:
            raise TableInvalid(PARQUET.decode(), f"it has a text of over {_LONGEST_TEXT:,} bytes")
    return column.cast(pa.string())


def _read_stream(body: bytes, most_rows: int) -> pa.Table:
    messages = ipc.MessageReader.open_stream(pa.BufferReader(body))
    while True:
        try:
            message = messages.read_next_message()
        except StopIteration:
            break
        if message.type == "record batch" and is_compressed(bytes(message.metadata)):
            raise TableInvalid(ARROW.decode(), "its buffers are compressed; send them plain")
    batches, rows = [], 0
    with ipc.open_stream(pa.BufferReader(body)) as reader:
        for batch in reader:
            rows += batch.num_rows
            if rows > most_rows:
                raise BatchTooLarge(rows, most_rows)
            batch.validate(full=True)
            batches.append(batch)
        return pa.Table.from_batches(batches, schema=reader.schema)


def is_compressed(metadata: bytes) -> bool:
    """Tell whether a record batch's buffers are compressed, which Arrow's readers do not tell.

    Parameters
    ----------
    metadata
        The message, a flatbuffer (Arrow columnar format, Message.fbs).
    """
    [message] = struct.unpack_from("<I", metadata, 0)
    header = _field(metadata, message, _HEADER_SLOT)
    if not header:
        return False
    [offset] = struct.unpack_from("<I", metadata, header)
    return bool(_field(metadata, header + offset, _COMPRESSION_SLOT))


def _field(buffer: bytes, table: int, slot: int) -> int:
    """Find a field of a flatbuffer's table; 0 when it is not there."""
    [back] = struct.unpack_from("<i", buffer, table)
    vtable = table - back
    [size] = struct.unpack_from("<H", buffer, vtable)
    place = 4 + 2 * slot
    if place >= size:
        return 0
    [offset] = struct.unpack_from("<H", buffer, vtable + place)
    return table + int(offset) if offset else 0


def to_table(form: Form, arrow: pa.Table) -> Table:
    """Check an Arrow table a column at a time.

    Parameters
    ----------
    form
        Of the release.
    arrow
        What was sent.

    Raises
    ------
    CloserLook
        Something in it must be read row by row.
    """
    given: dict[str, Any] = {}
    for name, column in zip(arrow.column_names, arrow.columns, strict=True):
        feature = form.features.get(name)
        if feature is not None and feature.type in {"number", "integer"}:
            _check_kind(column.type, whole=feature.type == "integer")
            if column.null_count and not feature.nullable:
                raise CloserLook
            values = column.to_numpy().astype("float64", copy=False)
            # A NaN that is no null is refused by the contract; without nulls by the bounds.
            if column.null_count and int(np.isnan(values).sum()) != column.null_count:
                raise CloserLook
            given[name] = values
        else:
            given[name] = plain_values(column)
    return form.check(given, arrow.num_rows)


def to_rows(arrow: pa.Table) -> list[object]:
    """Give an Arrow table's rows as JSON would have had them.

    Parameters
    ----------
    arrow
        What was sent.
    """
    columns = [plain_values(column) for column in arrow.columns]
    names = arrow.column_names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def plain_values(column: pa.ChunkedArray) -> list[Any]:
    """Give a column's values as JSON has them: a time is its text.

    Parameters
    ----------
    column
        Of any type; what JSON has no form for stays as it is, and is refused by the contract.
    """
    values: list[Any] = column.to_pylist()
    if pa.types.is_timestamp(column.type):
        return [None if value is None else value.isoformat() for value in values]
    return values


def answers_table(release: Release, table: Table, answers: Answers) -> pa.Table:
    """Put the answers of a table together as an Arrow table.

    Parameters
    ----------
    release
        Who answered.
    table
        What was asked.
    answers
        What was answered.
    """
    empty = pa.nulls(table.size, pa.string())
    columns: dict[str, pa.Array] = {
        "prediction_id": pa.array(answers.ids, pa.string()),
        "entity": pa.array(table.entities, pa.string()) if table.entities else empty,
        "as_of": pa.array(table.times, pa.string()) if table.times else empty,
        **{name: pa.array(values) for name, values in answers.results.items()},
        "flags": _flags(answers.flags),
        "problem": empty,
    }
    return _marked(pa.table(columns), release)


def outcomes_table(release: ReleaseFacts, outcomes: Sequence[Outcome]) -> pa.Table:
    """Put outcomes that were found row by row together as an Arrow table.

    Parameters
    ----------
    release
        Who answered.
    outcomes
        One a row; a refused row has its problem as JSON, and nulls else.
    """
    names = tuple(release.kind.RESULT.model_fields)
    rows = [_flat(outcome, names) for outcome in outcomes]
    return _marked(pa.Table.from_pylist(rows), release)


def write_arrow(table: pa.Table, kind: bytes) -> bytes:
    """Write a table as it is sent.

    Parameters
    ----------
    table
        The answers.
    kind
        ``ARROW`` or ``PARQUET``.
    """
    sink = pa.BufferOutputStream()
    if kind == PARQUET:
        # Ids and numbers are all different: a dictionary of them would only be in the way.
        pq.write_table(
            table, sink, compression="snappy", use_dictionary=False, write_statistics=False
        )
    else:
        with ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _flat(outcome: Outcome, names: Sequence[str]) -> dict[str, Any]:
    answer: Mapping[str, Any] = outcome.answer or {}
    result = answer.get("result") or {}
    drivers = answer.get("drivers")
    said: dict[str, Any] = {
        "prediction_id": answer.get("prediction_id"),
        "entity": answer.get("entity"),
        "as_of": answer.get("as_of"),
        **{name: result.get(name) for name in names},
        "flags": _json(answer.get("flags", [])),
        "problem": None if outcome.error is None else _json(outcome.error.to_problem()),
    }
    return said if drivers is None else said | {"drivers": _json(drivers)}


def _flags(flags: Sequence[list[dict[str, Any]]]) -> pa.Array:
    """Write flags as JSON; most batches have none."""
    if not any(flags):
        return pa.repeat(pa.scalar("[]"), len(flags))
    return pa.array([_json(one) for one in flags], pa.string())


def _marked(table: pa.Table, release: ReleaseFacts) -> pa.Table:
    return table.replace_schema_metadata({"model": release.model, "version": release.version})


def _json(value: object) -> str:
    return "[]" if value == [] else orjson.dumps(value).decode()


def _check_kind(kind: pa.DataType, *, whole: bool) -> None:
    is_number = pa.types.is_integer(kind) or (pa.types.is_floating(kind) and not whole)
    if not is_number:
        raise CloserLook


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
