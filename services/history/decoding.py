"""From the records of a segment to columns: one table for each release, one for refusals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import pyarrow as pa

from core.contract import Row
from core.errors import SeptetError
from services.history.predicted import TEXT, TIME, Predicted, Told
from services.predictions import tables
from services.predictions.journal import row_form
from services.predictions.segment import Damage, Kind, Record

# Where the log keeps who was refused.
REFUSED = "_refused"
REFUSALS = pa.schema(
    [
        pa.field("at", TIME, nullable=False),
        pa.field("model", TEXT, nullable=False),
        pa.field("version", TEXT, nullable=False),
        pa.field("caller", TEXT, nullable=False),
        pa.field("code", TEXT, nullable=False),
        pa.field("latency_us", pa.int64(), nullable=False),
    ]
)
# What really happened. It is about one prediction, or about all of an entity that were made as of
# a time; `outcome_of` is the id of the former.
OUTCOMES = pa.schema(
    [
        pa.field("at", TIME, nullable=False),
        pa.field("caller", TEXT, nullable=False),
        pa.field("outcome_of", pa.binary(16)),
        pa.field("entity", TEXT),
        pa.field("as_of", TIME),
        pa.field("value", pa.float64()),
        pa.field("amount", pa.float64()),
        pa.field("happened_at", TIME),
    ]
)
# Where the log keeps the outcomes of a model.
OUTCOMES_OF = ".outcomes"
_JSON = "application/json"
_EVERY_ROW = 2**31


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
    known
        What other segments told of releases, for one whose own telling is damaged.
    """

    releases: dict[tuple[str, str], Predicted] = field(default_factory=dict)
    refusals: dict[str, list[Any]] = field(default_factory=lambda: {n: [] for n in REFUSALS.names})
    outcomes: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    erasures: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    known: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def release(self, model: str, version: str) -> Predicted:
        """Give what a release predicted so far."""
        key = model, version
        if key not in self.releases:
            self.releases[key] = Predicted(self.known[key])
        return self.releases[key]

    def tables(self) -> list[tuple[str, pa.Table]]:
        """Give place in the log and table of what was predicted, refused, and what happened."""
        return [
            *((model, r.table()) for (model, _), r in self.releases.items() if not r.is_empty),
            (REFUSED, pa.table(self.refusals, schema=REFUSALS)),
            *(
                (model + OUTCOMES_OF, pa.table(columns, schema=OUTCOMES))
                for model, columns in self.outcomes.items()
            ),
        ]


def decode(
    records: Iterable[Record | Damage],
    known: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
) -> Decoded:
    """Read records.

    Parameters
    ----------
    records
        As ``read_segment`` gives them.
    known
        What other segments told of releases.
    """
    found = Decoded(known=known or {})
    for record in records:
        if isinstance(record, Damage):
            found.faults.append(f"{record.size} bytes at {record.at} are no record")
            continue
        try:
            _take(found, record)
        except (ValueError, KeyError, TypeError, IndexError, SeptetError) as error:
            found.faults.append(f"a record of {record.at_ns} cannot be read: {error!r}"[:300])
    for release in found.releases.values():
        release.settle()
        found.faults += release.faults
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
        _take_rows(found.release(meta[0], meta[1]), record, at_us)
        return
    model, version, caller, *rest = meta
    if record.kind is Kind.REFUSED:
        _refuse(found, at_us, (model, version, caller, rest[0]), record.latency_us)
        return
    source = "backfill" if record.kind is Kind.BACKFILL else "batch"
    _take_batch(found, record, (model, version, caller), source, *rest)


def _take_rows(release: Predicted, record: Record, at_us: int) -> None:
    """Take the rows of a record; all of them, or none when it cannot be read."""
    size = int.from_bytes(record.body[:4], "little")
    form = row_form(size)
    facts = form.unpack_from(record.body)
    asked = _parsed(record.body, form.size, facts[3::4])
    answers = _parsed(record.answer, 0, facts[4::4])
    callers = [caller.decode() for caller in facts[1::4]]
    release.take(asked, answers, Told(at_us, "row", callers, facts[2::4]))


def _parsed(content: bytes, start: int, sizes: Sequence[int]) -> list[Any]:
    """Read pieces of JSON that stand one behind another, all at once."""
    pieces = []
    for size in sizes:
        end = start + size
        pieces.append(content[start:end])
        start = end
    found: list[Any] = orjson.loads(b"[%b]" % b",".join(pieces))
    if len(found) != len(sizes):
        raise ValueError("its index is of other rows")
    return found


def _take_batch(
    found: Decoded, record: Record, who: tuple[str, str, str], source: str, *kinds: str
) -> None:
    """Take the rows of a batch that were answered, and count those that were refused."""
    model, version, caller = who
    release, at_us = found.release(model, version), record.at_ns // 1000
    asked, answers = _asked(record.body, kinds[0]), _answered(record.answer, kinds[1])
    if isinstance(answers, pa.Table):
        if isinstance(asked, pa.Table) and answers.column("problem").null_count == len(answers):
            release.take_tables(asked, answers, _same(at_us, source, caller, record, len(answers)))
            return
        answers = [_nested(row) for row in answers.to_pylist()]
    rows = tables.to_rows(asked) if isinstance(asked, pa.Table) else asked
    pairs = list(zip(rows, answers, strict=True))
    taken = [(row, answer) for row, answer in pairs if "code" not in answer]
    told = _same(at_us, source, caller, record, len(taken))
    release.take([row for row, _ in taken], [answer for _, answer in taken], told)
    for _, answer in pairs:
        if "code" in answer:
            _refuse(found, at_us, (*who, answer["code"]), record.latency_us)


def _same(at_us: int, source: str, caller: str, record: Record, size: int) -> Told:
    return Told(at_us, source, [caller] * size, [record.latency_us] * size)


def _take_outcomes(found: Decoded, model: str, told: Mapping[str, Any], body: bytes) -> None:
    # Each at a microsecond of its own: of two with the same key the later one counts. The last has
    # the time of all, so that none is later than what is told, or erased, a moment after them.
    outcomes = orjson.loads(body)
    first_us = told["at"] - len(outcomes) + 1
    rows = [{**told, **row, "at": first_us + i} for i, row in enumerate(outcomes)]
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


def _asked(body: bytes, kind: str) -> Any:
    """Give what was asked in a batch: its rows, or a table."""
    if kind == _JSON:
        return orjson.loads(body)["rows"]
    return tables.read_arrow(body, kind.encode(), most_rows=_EVERY_ROW)


def _answered(content: bytes, kind: str) -> Any:
    """Give each row's answer, or the problem for which it was refused: rows, or a table."""
    if kind == _JSON:
        return [row["answer"] or row["problem"] for row in orjson.loads(content)["rows"]]
    return tables.read_arrow(content, kind.encode(), most_rows=_EVERY_ROW)


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
