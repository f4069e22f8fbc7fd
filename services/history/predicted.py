"""What one release predicted, as columns: the rows of a segment become a table here.

Rows are turned into columns a thousand at a time, while they are still at hand: tens of thousands
of them in memory cost more by being watched (Python's collector walks through all of them again and
again) than by anything that is done to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson
import pyarrow as pa

from services.history.lineage import with_releases
from services.predictions.tables import plain_values

INPUT, RESULT = "input_", "result_"
TIME = pa.timestamp("us", tz="UTC")
TEXT = pa.string()
# Every row of the log has these, whatever its model.
FACTS = pa.schema(
    [
        pa.field("prediction_id", pa.binary(16), nullable=False),
        pa.field("at", TIME, nullable=False),
        pa.field("version", TEXT, nullable=False),
        pa.field("entity", TEXT),
        pa.field("as_of", TIME),
        # As it was sent: models may look at the day of the week there. Null for UTC.
        pa.field("as_of_offset_minutes", pa.int16()),
        pa.field("caller", TEXT, nullable=False),
        pa.field("source", TEXT, nullable=False),
        pa.field("latency_us", pa.int64(), nullable=False),
        pa.field("flags", TEXT),
        pa.field("drivers", TEXT),
        # Columns that were left out or hashed, with commas between; null where none was.
        pa.field("masked", TEXT),
    ]
)
_KINDS = {
    "number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_(), "text": TEXT,
    "time": TEXT, "json": TEXT,
}  # fmt: skip
# Types of columns that were sent, whose values are those of a kind without a look at each.
_ALIKE = {
    "number": (pa.types.is_floating, pa.types.is_integer),
    "integer": (pa.types.is_integer,),
    "boolean": (pa.types.is_boolean,),
    "text": (pa.types.is_string, pa.types.is_large_string),
}
# Numbers that a contract takes for floats.
_NO_FLOATS = frozenset({int, Decimal})
_TOGETHER = 1024
_ID_BYTES = 16
_KNOWN_TIMES = 4096
# What is raised by a value that a column cannot hold.
_UNFIT = (ValueError, TypeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Told:
    """What a record tells of its rows.

    Parameters
    ----------
    at_us
        When they were answered, in microseconds since 1970.
    source
        How they were asked.
    callers, latencies_us
        One a row.
    """

    at_us: int
    source: str
    callers: Sequence[str]
    latencies_us: Sequence[int]


@dataclass
class Predicted:
    """What was predicted by one release.

    Parameters
    ----------
    description
        As ``services.predictions.description`` wrote it.
    facts
        The columns of ``FACTS``, by name, of rows that wait to become columns.
    inputs, results
        One mapping a row.
    faults
        Rows that were left out, as they have values that no column can hold, in words.
    """

    description: Mapping[str, Any]
    facts: dict[str, list[Any]] = field(default_factory=lambda: {n: [] for n in FACTS.names})
    inputs: list[Mapping[str, Any]] = field(default_factory=list)
    results: list[Mapping[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _done: list[pa.Table] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was predicted."""
        return not self.inputs and not self._done

    def take(
        self, asked: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]], told: Told
    ) -> None:
        """Take rows and their answers, all of them or none.

        Parameters
        ----------
        asked, answers
            ``n`` of each, as plain data.
        told
            Of their record.

        Raises
        ------
        ValueError
            A row is none, or its time or its id is none.
        """
        version, count = self.description["version"], len(asked)
        times = [_moment(answer["as_of"]) for answer in answers]
        new: dict[str, list[Any]] = {
            "prediction_id": _ids([answer["prediction_id"] for answer in answers]),
            "at": [told.at_us] * count,
            "version": [answer.get("version", version) for answer in answers],
            "entity": [answer["entity"] for answer in answers],
            "as_of": [text for text, _ in times],
            "as_of_offset_minutes": [offset for _, offset in times],
            "caller": list(told.callers),
            "source": [told.source] * count,
            "latency_us": list(told.latencies_us),
            "flags": [_text(answer["flags"] or None) for answer in answers],
            "drivers": [_text(answer.get("drivers")) for answer in answers],
            "masked": [None] * count,
        }
        results = [answer["result"] for answer in answers]
        if not all(type(row) is dict for rows in (asked, results) for row in rows):
            raise ValueError("a row is no object")
        for name, values in self.facts.items():
            values.extend(new[name])
        self.inputs += asked
        self.results += results
        if len(self.inputs) >= _TOGETHER:
            self.settle()

    def take_tables(self, asked: pa.Table, answers: pa.Table, told: Told) -> None:
        """Take a batch that came as a table, and was answered as one; no row of it was refused.

        Parameters
        ----------
        asked, answers
            Of ``n`` rows.
        told
            Of their record.
        """
        count, version = answers.num_rows, self.description["version"]
        if asked.num_rows != count:
            raise ValueError("a batch has more rows than answers")
        times = [_moment(text) for text in answers.column("as_of").to_pylist()]
        facts = {
            "prediction_id": _ids(answers.column("prediction_id").to_pylist()),
            "at": [told.at_us] * count,
            "version": [version] * count,
            "entity": answers.column("entity").to_pylist(),
            "as_of": [text for text, _ in times],
            "as_of_offset_minutes": [offset for _, offset in times],
            "caller": list(told.callers),
            "source": [told.source] * count,
            "latency_us": list(told.latencies_us),
            "flags": [None if one == "[]" else one for one in answers.column("flags").to_pylist()],
            "drivers": _or_nulls(answers, "drivers").to_pylist(),
            "masked": [None] * count,
        }
        inputs = [_sent(asked, n, kind) for n, kind in self.description["inputs"].items()]
        results = [_sent(answers, n, kind) for n, kind in self.description["result"].items()]
        self._done.append(self._table(facts, [*inputs, *results]))

    def table(self) -> pa.Table:
        """Give it as a table."""
        self.settle()
        done = self._done or [
            self._table({name: [] for name in FACTS.names}, self._columns([], []))
        ]
        self._done = [pa.concat_tables(done).combine_chunks()]
        table = self._done[0]
        return with_releases(table, {self.description["version"]: self.description})

    def settle(self) -> None:
        """Turn the rows that wait into columns."""
        if not self.inputs:
            return
        facts, inputs, results = self.facts, self.inputs, self.results
        self.facts, self.inputs, self.results = {name: [] for name in facts}, [], []
        try:
            self._done.append(self._table(facts, self._columns(inputs, results)))
        except _UNFIT:
            # One by one, to find those that are to blame.
            for i in range(len(inputs)):
                one = {name: values[i : i + 1] for name, values in facts.items()}
                try:
                    columns = self._columns(inputs[i : i + 1], results[i : i + 1])
                    self._done.append(self._table(one, columns))
                except _UNFIT as error:
                    self.faults.append(f"a row does not fit its columns: {error!r}"[:300])

    def _columns(
        self, inputs: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]]
    ) -> list[pa.Array]:
        sides = ((self.description["inputs"], inputs), (self.description["result"], results))
        return [column for kinds, rows in sides for column in _by_column(rows, kinds)]

    def _table(self, facts: Mapping[str, list[Any]], columns: Sequence[Any]) -> pa.Table:
        return pa.Table.from_arrays(
            [*(_facts_column(one, facts[one.name]) for one in FACTS), *columns], schema=self._schema
        )

    @property
    def _schema(self) -> pa.Schema:
        fields = list(FACTS)
        for prefix, part in ((INPUT, "inputs"), (RESULT, "result")):
            kinds = self.description[part].items()
            fields += [pa.field(f"{prefix}{name}", _KINDS[kind]) for name, kind in kinds]
        return pa.schema(fields)


def _by_column(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> list[pa.Array]:
    """Turn rows into a column for each name; what a row does not have is null there."""
    plain = {name: _KINDS[kind] for name, kind in kinds.items() if kind != "json"}
    kind = pa.struct(plain.items())
    try:
        together = pa.array(rows, kind)
    except pa.ArrowInvalid:
        together = pa.array([_rounded(row, kinds) for row in rows], kind)
    return [
        together.field(name)
        if name in plain
        else pa.array([_text(row.get(name)) for row in rows], TEXT)
        for name in kinds
    ]


def _rounded(row: Mapping[str, Any], kinds: Mapping[str, str]) -> Mapping[str, Any]:
    return {
        name: _as_taken(value) if kinds.get(name) == "number" else value
        for name, value in row.items()
    }


def _as_taken(value: object) -> object:
    """Write a number as the float it was taken for: Arrow takes no decimal, nor all integers."""
    return float(value) if type(value) in _NO_FLOATS else value  # type: ignore[arg-type]


def _sent(table: pa.Table, name: str, kind: str) -> pa.Array | pa.ChunkedArray:
    """Give a column that was sent as the log has it."""
    column = _or_nulls(table, name)
    if any(is_alike(column.type) for is_alike in _ALIKE.get(kind, ())):
        # A number was taken for a float, which rounds whole ones beyond 2**53.
        return column.cast(_KINDS[kind], safe=kind != "number")
    values = plain_values(column)
    if kind == "json":
        values = [_text(value) for value in values]
    elif kind == "number":
        values = [_as_taken(value) for value in values]
    return pa.array(values, _KINDS[kind])


def _or_nulls(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name in table.column_names:
        return table.column(name)
    return pa.chunked_array([pa.nulls(table.num_rows, TEXT)])


def _facts_column(field: pa.Field, values: list[Any]) -> pa.Array:
    if field.name == "as_of":
        return pa.array(values, TEXT).cast(TIME)
    return pa.array(values, field.type)


def _ids(texts: Sequence[str]) -> list[bytes]:
    """Read prediction ids, all at once."""
    raw = bytes.fromhex("".join(texts).replace("-", ""))
    if len(raw) != _ID_BYTES * len(texts):
        raise ValueError("an id is none")
    return [raw[start : start + _ID_BYTES] for start in range(0, len(raw), _ID_BYTES)]


@lru_cache(_KNOWN_TIMES)
def _moment(as_of: str | None) -> tuple[str | None, int | None]:
    """Read a time: what UTC has a year of, and by how many minutes it is ahead of UTC.

    Nothing for 0001-01-01T00:00:00+14:00 and its like, whose year UTC does not have.
    """
    if as_of is None:
        return None, None
    moment = datetime.fromisoformat(as_of)
    offset = moment.utcoffset()
    if offset is None or as_of.endswith("+00:00"):
        return as_of, None
    try:
        there = moment.astimezone(UTC)
    except OverflowError:
        return None, None
    # Arrow knows no offset with seconds, as cities had before there were zones.
    text = there.isoformat() if offset.seconds % 60 else as_of
    return text, int(offset.total_seconds() // 60)


def _text(value: object) -> str | None:
    """Write what has parts as JSON; a decimal in it as a float."""
    return None if value is None else orjson.dumps(value, default=_as_taken).decode()
