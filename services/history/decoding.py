"""From the records of a segment to columns: one table for each release, one for refusals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pyarrow as pa

from core.contract import Row
from core.errors import SeptetError
from services.history.lineage import with_releases
from services.predictions import tables
from services.predictions.journal import row_form
from services.predictions.segment import Damage, Kind, Record

INPUT, RESULT = "input_", "result_"
TIME = pa.timestamp("us", tz="UTC")
_TEXT = pa.string()
# Where the log keeps who was refused.
REFUSED = "_refused"
# Every row of the log has these, whatever its model.
FACTS = pa.schema(
    [
        pa.field("prediction_id", pa.binary(16), nullable=False),
        pa.field("at", TIME, nullable=False),
        pa.field("version", _TEXT, nullable=False),
        pa.field("entity", _TEXT),
        pa.field("as_of", TIME),
        # As it was sent: models may look at the day of the week there. Null for UTC.
        pa.field("as_of_offset_minutes", pa.int16()),
        pa.field("caller", _TEXT, nullable=False),
        pa.field("source", _TEXT, nullable=False),
        pa.field("latency_us", pa.int64(), nullable=False),
        pa.field("flags", _TEXT),
        pa.field("drivers", _TEXT),
        # Columns that were left out or hashed, with commas between; null where none was.
        pa.field("masked", _TEXT),
    ]
)
REFUSALS = pa.schema(
    [
        pa.field("at", TIME, nullable=False),
        pa.field("model", _TEXT, nullable=False),
        pa.field("version", _TEXT, nullable=False),
        pa.field("caller", _TEXT, nullable=False),
        pa.field("code", _TEXT, nullable=False),
        pa.field("latency_us", pa.int64(), nullable=False),
    ]
)
# What really happened. It is about one prediction, or about all of an entity that were made as of
# a time; `outcome_of` is the id of the former.
OUTCOMES = pa.schema(
    [
        pa.field("at", TIME, nullable=False),
        pa.field("caller", _TEXT, nullable=False),
        pa.field("outcome_of", pa.binary(16)),
        pa.field("entity", _TEXT),
        pa.field("as_of", TIME),
        pa.field("value", pa.float64()),
        pa.field("amount", pa.float64()),
        pa.field("happened_at", TIME),
    ]
)
# Where the log keeps the outcomes of a model.
OUTCOMES_OF = ".outcomes"
_KINDS = {
    "number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_(), "text": _TEXT,
    "time": _TEXT, "json": _TEXT,
}  # fmt: skip
_JSON = "application/json"
_EVERY_ROW = 2**31


@dataclass
class Predicted:
    """What was predicted by one release.

    Parameters
    ----------
    description
        As ``services.predictions.description`` wrote it.
    facts
        The columns of ``FACTS``, by name.
    inputs, results
        One mapping a row.
    """

    description: Mapping[str, Any]
    facts: dict[str, list[Any]] = field(default_factory=lambda: {n: [] for n in FACTS.names})
    inputs: list[Mapping[str, Any]] = field(default_factory=list)
    results: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, asked: Mapping[str, Any], answer: Mapping[str, Any], told: _Told) -> None:
        """Take one row and its answer."""
        facts = self.facts
        facts["prediction_id"].append(bytes.fromhex(answer["prediction_id"].replace("-", "")))
        facts["at"].append(told.at_us)
        facts["version"].append(answer["version"])
        facts["entity"].append(answer["entity"])
        as_of = _calendar(answer["as_of"])
        facts["as_of"].append(as_of)
        facts["as_of_offset_minutes"].append(_offset(as_of))
        facts["caller"].append(told.caller)
        facts["source"].append(told.source)
        facts["latency_us"].append(told.latency_us)
        facts["flags"].append(_text(answer["flags"] or None))
        facts["drivers"].append(_text(answer.get("drivers")))
        facts["masked"].append(None)
        self.inputs.append(asked)
        self.results.append(answer["result"])

    def table(self) -> pa.Table:
        """Give it as a table."""
        columns = [_facts_column(field, self.facts[field.name]) for field in FACTS]
        fields = list(FACTS)
        for prefix, part, rows in (
            (INPUT, "inputs", self.inputs),
            (RESULT, "result", self.results),
        ):
            for name, kind in self.description[part].items():
                columns.append(_column([row.get(name) for row in rows], kind))
                fields.append(pa.field(f"{prefix}{name}", _KINDS[kind]))
        table = pa.Table.from_arrays(columns, schema=pa.schema(fields))
        return with_releases(table, {self.description["version"]: self.description})


@dataclass(frozen=True, slots=True)
class _Told:
    """What a record tells of each of its rows."""

    at_us: int
    caller: str
    source: str
    latency_us: int


@dataclass
class Decoded:
    """What a segment held.

    Parameters
    ----------
    releases
        By model and version.
    refusals
        The columns of ``REFUSALS``, by name.
    outcomes
        The columns of ``OUTCOMES``, by model and name.
    erasures
        Entities that are to be erased: each with ``id``, ``entity``, ``caller`` and ``at_us``.
    faults
        What could not be read, in words.
    """

    releases: dict[tuple[str, str], Predicted] = field(default_factory=dict)
    refusals: dict[str, list[Any]] = field(default_factory=lambda: {n: [] for n in REFUSALS.names})
    outcomes: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    erasures: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def tables(self) -> list[tuple[str, pa.Table]]:
        """Give place in the log and table of what was predicted, refused, and what happened."""
        return [
            *((model, r.table()) for (model, _), r in self.releases.items() if r.inputs),
            (REFUSED, pa.table(self.refusals, schema=REFUSALS)),
            *(
                (model + OUTCOMES_OF, pa.table(columns, schema=OUTCOMES))
                for model, columns in self.outcomes.items()
            ),
        ]


def decode(records: Iterable[Record | Damage]) -> Decoded:
    """Read records.

    Parameters
    ----------
    records
        As ``read_segment`` gives them.
    """
    found = Decoded()
    for record in records:
        if isinstance(record, Damage):
            found.faults.append(f"{record.size} bytes at {record.at} are no record")
            continue
        try:
            _take(found, record)
        except (ValueError, KeyError, TypeError, IndexError, SeptetError) as error:
            found.faults.append(f"a record of {record.at_ns} cannot be read: {error!r}"[:300])
    return found


def _take(found: Decoded, record: Record) -> None:
    meta = orjson.loads(record.meta)
    if record.kind is Kind.RELEASE:
        found.releases.setdefault((meta["model"], meta["version"]), Predicted(meta))
        return
    at_us = record.at_ns // 1000
    if record.kind is Kind.ERASURE:
        found.erasures.append(_erasure(record.body) | {"caller": meta[0], "at_us": at_us})
        return
    if record.kind is Kind.OUTCOMES:
        _take_outcomes(found, meta[0], {"at": at_us, "caller": meta[1]}, record.body)
        return
    if record.kind is Kind.ROWS:
        _take_rows(found.releases[meta[0], meta[1]], record, at_us)
        return
    model, version, caller, *rest = meta
    if record.kind is Kind.REFUSED:
        _refuse(found, at_us, (model, version, caller, rest[0]), record.latency_us)
        return
    source = "backfill" if record.kind is Kind.BACKFILL else "batch"
    told = _Told(at_us, caller, source, record.latency_us)
    release = found.releases[model, version]
    for asked, answer in _pairs(record, *rest):
        if "code" in answer:
            _refuse(found, at_us, (model, version, caller, answer["code"]), record.latency_us)
        else:
            release.add(asked, {"version": version, **answer}, told)


def _take_rows(release: Predicted, record: Record, at_us: int) -> None:
    """Take the rows of a record; all of them, or none when it cannot be read."""
    size = int.from_bytes(record.body[:4], "little")
    form = row_form(size)
    facts = form.unpack_from(record.body)
    body_at, answer_at = form.size, 0
    rows = []
    for i in range(size):
        caller, latency_us, body_size, answer_size = facts[1 + 4 * i : 5 + 4 * i]
        asked = orjson.loads(record.body[body_at : body_at + body_size])
        answer = orjson.loads(record.answer[answer_at : answer_at + answer_size])
        rows.append((asked, answer, _Told(at_us, caller.decode(), "row", latency_us)))
        body_at, answer_at = body_at + body_size, answer_at + answer_size
    for row in rows:
        release.add(*row)


def _take_outcomes(found: Decoded, model: str, told: Mapping[str, Any], body: bytes) -> None:
    # Each at a microsecond of its own: of two with the same key the later one counts.
    at_us = told["at"]
    rows = [{**told, **row, "at": at_us + i} for i, row in enumerate(orjson.loads(body))]
    for row in rows:
        for name in ("as_of", "happened_at"):
            row[name] = None if row[name] is None else datetime.fromisoformat(row[name])
        row["outcome_of"] = None if row["outcome_of"] is None else bytes.fromhex(row["outcome_of"])
    columns = found.outcomes.setdefault(model, {name: [] for name in OUTCOMES.names})
    for row in rows:
        for name, values in columns.items():
            values.append(row[name])


def _erasure(body: bytes) -> dict[str, Any]:
    asked = orjson.loads(body)
    return {"id": UUID(asked["id"]).hex, "entity": str(asked["entity"])}


def _refuse(found: Decoded, at_us: int, who: tuple[str, str, str, str], latency_us: int) -> None:
    row = (at_us, *who, latency_us)
    for name, value in zip(REFUSALS.names, row, strict=True):
        found.refusals[name].append(value)


def _pairs(record: Record, asked_as: str, answered_as: str) -> list[tuple[Row, Row]]:
    """Give each row of a batch with its answer, or with the problem for which it was refused."""
    asked: list[Any] = (
        orjson.loads(record.body)["rows"]
        if asked_as == _JSON
        else tables.to_rows(tables.read_arrow(record.body, asked_as.encode(), most_rows=_EVERY_ROW))
    )
    if answered_as == _JSON:
        answers = [row["answer"] or row["problem"] for row in orjson.loads(record.answer)["rows"]]
    else:
        arrow = tables.read_arrow(record.answer, answered_as.encode(), most_rows=_EVERY_ROW)
        answers = [_nested(row) for row in arrow.to_pylist()]
    return list(zip(asked, answers, strict=True))


def _nested(row: Row) -> Row:
    """Give a row of a table of answers as JSON has it."""
    problem = row.pop("problem")
    if problem is not None:
        said: Row = orjson.loads(problem)
        return said
    answer = {name: row.pop(name) for name in ("prediction_id", "entity", "as_of")}
    answer["flags"] = orjson.loads(row.pop("flags"))
    drivers = row.pop("drivers", None)
    if drivers is not None:
        answer["drivers"] = orjson.loads(drivers)
    return {**answer, "result": row}


def _facts_column(field: pa.Field, values: list[Any]) -> pa.Array:
    if field.name == "as_of":
        return pa.array(values, _TEXT).cast(TIME)
    return pa.array(values, field.type)


def _calendar(as_of: str | None) -> str | None:
    """Give a time that UTC has a year of; nothing for 0001-01-01T00:00:00+14:00 and its like."""
    if as_of is not None:
        try:
            datetime.fromisoformat(as_of).astimezone(UTC)
        except OverflowError:
            return None
    return as_of


def _offset(as_of: str | None) -> int | None:
    """Give by how many minutes a time is ahead of UTC; nothing for none."""
    if as_of is None or as_of.endswith("+00:00"):
        return None
    offset = datetime.fromisoformat(as_of).utcoffset()
    return None if offset is None else int(offset.total_seconds() // 60)


def _column(values: list[Any], kind: str) -> pa.Array:
    if kind == "json":
        values = [_text(value) for value in values]
    return pa.array(values, _KINDS[kind])


def _text(value: object) -> str | None:
    """Write what has parts as JSON."""
    return None if value is None else orjson.dumps(value).decode()
