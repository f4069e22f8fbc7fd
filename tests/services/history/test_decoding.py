"""From records to columns: every value as it was said, whatever company it came in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.history import predicted
from services.history.decoding import REFUSED, Decoded, decode
from services.history.predicted import INPUT, RESULT
from services.predictions import tables
from services.predictions.journal import row_form
from services.predictions.segment import Kind, Record
from tests.services.history.conftest import hex_of

AT_NS = 1_774_958_400 * 10**9
JSON = "application/json"
ARROW, PARQUET = tables.ARROW.decode(), tables.PARQUET.decode()
INPUTS = {"hours": "number", "months": "integer", "is_new": "boolean", "region": "text"}
RESULTS = {"probability": "number", "band": "text", "parts": "json"}
DESCRIPTION = {
    "model": "churn", "version": "3", "run_id": "r", "manifest_sha256": "m", "data_sha256": "d",
    "entity": "client_id", "as_of": "as_of", "inputs": {**INPUTS, "history": "json"},
    "result": RESULTS,
}  # fmt: skip
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(2**53), 2**53)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)


def nullable(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


ASKED = st.fixed_dictionaries(
    {"hours": nullable(NUMBERS), "months": nullable(WHOLE), "is_new": nullable(st.booleans())},
    optional={"region": nullable(TEXTS), "history": st.lists(WHOLE, max_size=3)},
)
ANSWERS = st.fixed_dictionaries(
    {
        "prediction_id": st.uuids(version=4).map(str),
        "entity": nullable(TEXTS),
        "as_of": nullable(
            st.datetimes(timezones=st.timezones() | st.just(UTC)).map(datetime.isoformat)
        ),
        "result": st.fixed_dictionaries(
            {
                "probability": NUMBERS,
                "band": nullable(TEXTS),
                "parts": nullable(st.lists(NUMBERS, max_size=3)),
            }
        ),
        "flags": st.lists(st.fixed_dictionaries({"feature": TEXTS}), max_size=2),
    },
    optional={"drivers": st.fixed_dictionaries({"base": NUMBERS})},
)
PAIRS = st.lists(st.tuples(ASKED, ANSWERS), min_size=1, max_size=9)


def release_record() -> Record:
    return Record(Kind.RELEASE, AT_NS, 0, orjson.dumps(DESCRIPTION), b"", b"")


def rows_record(bodies: list[bytes], answers: list[bytes]) -> Record:
    """Write single rows as the journal does."""
    facts: list[Any] = []
    for place, (body, answer) in enumerate(zip(bodies, answers, strict=True)):
        facts += (b"0123456789ab", 100 + place, len(body), len(answer))
    index = row_form(len(bodies)).pack(len(bodies), *facts)
    meta = orjson.dumps(["churn", "3"])
    return Record(Kind.ROWS, AT_NS, 999, meta, index + b"".join(bodies), b"".join(answers))


def batch_record(body: bytes, answer: bytes, kinds: tuple[str, str]) -> Record:
    meta = orjson.dumps(["churn", "3", "0123456789ab", *kinds])
    return Record(Kind.BATCH, AT_NS, 999, meta, body, answer)


def dressed(answer: dict[str, Any]) -> dict[str, Any]:
    return {"model": "churn", "version": "3", **answer}


def rows_of(found: Decoded) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = dict(found.tables())["churn"].to_pylist()
    return rows


def same(kept: dict[str, Any], asked: dict[str, Any], answer: dict[str, Any]) -> None:
    """Hold a row of the log against what was asked and answered."""
    assert hex_of(kept["prediction_id"]) == answer["prediction_id"]
    assert (kept["version"], kept["caller"]) == ("3", "0123456789ab")
    assert kept["at"].timestamp() * 10**9 == AT_NS
    assert kept["entity"] == answer["entity"]
    for name in INPUTS:
        assert kept[INPUT + name] == asked.get(name)
    for prefix, name, part in ((INPUT, "history", asked), (RESULT, "parts", answer["result"])):
        value = part.get(name)
        assert kept[prefix + name] == (None if value is None else orjson.dumps(value).decode())
    assert kept["result_probability"] == answer["result"]["probability"]
    assert kept["result_band"] == answer["result"]["band"]
    assert json.loads(kept["flags"] or "[]") == answer["flags"]
    assert kept["flags"] != "[]"
    drivers = kept["drivers"]
    assert (None if drivers is None else json.loads(drivers)) == answer.get("drivers")
    when(kept, answer["as_of"])


def when(kept: dict[str, Any], as_of: str | None) -> None:
    """Hold the time of a row against what was answered."""
    minutes = kept["as_of_offset_minutes"]
    if as_of is None:
        assert (kept["as_of"], minutes) == (None, None)
        return
    moment = datetime.fromisoformat(as_of)
    try:
        assert kept["as_of"] == moment.astimezone(UTC)
    except OverflowError:
        assert (kept["as_of"], minutes) == (None, None)
        return
    offset = moment.utcoffset()
    assert offset is not None
    is_utc = as_of.endswith("+00:00")
    assert minutes == (None if is_utc else int(offset.total_seconds() // 60))


class TestEveryValueIsKept:
    @settings(deadline=None)
    @given(records=st.lists(PAIRS, min_size=1, max_size=4))
    def test_single_rows_in_records_of_any_size(self, records: list[Any]) -> None:
        written = [
            rows_record(
                [orjson.dumps(asked, option=orjson.OPT_INDENT_2) for asked, _ in pairs],
                [orjson.dumps(dressed(answer)) for _, answer in pairs],
            )
            for pairs in records
        ]
        found = decode([release_record(), *written])
        assert found.faults == []
        kept = rows_of(found)
        pairs = [(place, pair) for record in records for place, pair in enumerate(record)]
        assert len(kept) == len(pairs)
        for row, (place, (asked, answer)) in zip(kept, pairs, strict=True):
            same(row, asked, answer)
            assert (row["source"], row["latency_us"]) == ("row", 100 + place)

    @settings(deadline=None)
    @given(pairs=PAIRS, refused=st.booleans())
    @pytest.mark.parametrize("answered_as", [JSON, ARROW, PARQUET])
    @pytest.mark.parametrize("asked_as", [JSON, ARROW, PARQUET])
    def test_batches_of_any_kind(
        self, pairs: list[Any], asked_as: str, answered_as: str, *, refused: bool
    ) -> None:
        problem = {"code": "RowInvalid", "title": "No."}
        asked = [one for one, _ in pairs] + ([{"hours": 1.0, "months": 2}] if refused else [])
        said = [dressed(answer) for _, answer in pairs]
        record = batch_record(
            body_of(asked, asked_as),
            answer_of(said, [problem] if refused else [], answered_as),
            (asked_as, answered_as),
        )
        found = decode([release_record(), record])
        assert found.faults == []
        kept = rows_of(found)
        assert len(kept) == len(pairs)
        for row, (one, answer) in zip(kept, pairs, strict=True):
            same(row, one, answer)
            assert (row["source"], row["latency_us"]) == ("batch", 999)
        codes = dict(found.tables())[REFUSED].column("code").to_pylist()
        assert codes == (["RowInvalid"] if refused else [])

    @pytest.mark.parametrize("hours", [2**53 + 1, -(2**60) - 1, 2**63 + 1, 10**25])
    def test_a_whole_number_beyond_a_float_is_kept_as_the_float_it_was_taken_for(
        self, hours: int
    ) -> None:
        bodies = [json.dumps({"hours": one}).encode() for one in (hours, 1)]
        said = [orjson.dumps(answer(number)) for number in range(2)]
        table = pa.table({"hours": pa.array([2**53 + 1, -(2**60) - 1])})
        asked = tables.write_arrow(table, tables.ARROW)
        answered = answer_of([answer(number) for number in range(2)], [], ARROW)
        batch = batch_record(asked, answered, (ARROW, ARROW))
        found = decode([release_record(), rows_record(bodies, said), batch])
        assert found.faults == []
        kept = [row["input_hours"] for row in rows_of(found)]
        assert sorted(kept) == sorted([float(hours), 1, float(2**53 + 1), float(-(2**60) - 1)])

    @pytest.mark.parametrize("kind", [ARROW, PARQUET])
    @pytest.mark.parametrize("refused", [0, 1])
    def test_a_decimal_is_kept_as_the_float_it_was_taken_for(self, kind: str, refused: int) -> None:
        hours = [Decimal("1.25"), None, Decimal("12345678901234.5"), Decimal(0)][: 3 + refused]
        history = [[Decimal("0.5")], None, None, None][: 3 + refused]
        table = pa.table({"hours": hours, "history": history})
        assert pa.types.is_decimal(table.schema.field("hours").type)
        problems = [{"code": "RowInvalid", "title": "No."}] * refused
        answered = answer_of([answer(number) for number in range(3)], problems, kind)
        asked = tables.write_arrow(table, kind.encode())
        found = decode([release_record(), batch_record(asked, answered, (kind, kind))])
        assert found.faults == []
        kept = rows_of(found)
        assert [row["input_hours"] for row in kept] == [1.25, None, 12345678901234.5]
        assert [row["input_history"] for row in kept] == ["[0.5]", None, None]


def body_of(rows: list[dict[str, Any]], kind: str) -> bytes:
    """Write what is asked in a batch."""
    if kind == JSON:
        return orjson.dumps({"rows": rows})
    fields = [
        ("hours", pa.float64()), ("months", pa.int64()), ("is_new", pa.bool_()),
        ("region", pa.string()), ("history", pa.list_(pa.int64())),
    ]  # fmt: skip
    schema = pa.schema(fields)
    return tables.write_arrow(pa.Table.from_pylist(rows, schema=schema), kind.encode())


def answer_of(answers: list[dict[str, Any]], problems: list[dict[str, Any]], kind: str) -> bytes:
    """Write what is answered to a batch."""
    if kind == JSON:
        rows = [{"answer": one, "problem": None} for one in answers]
        rows += [{"answer": None, "problem": one} for one in problems]
        return orjson.dumps({"rows": rows})
    flat = [
        {
            "prediction_id": one["prediction_id"], "entity": one["entity"], "as_of": one["as_of"],
            **one["result"], "flags": orjson.dumps(one["flags"]).decode(), "problem": None,
            "drivers": orjson.dumps(one["drivers"]).decode() if "drivers" in one else None,
        }
        for one in answers
    ]  # fmt: skip
    flat += [{"flags": "[]", "problem": orjson.dumps(one).decode()} for one in problems]
    texts = ("prediction_id", "entity", "as_of", "band", "flags", "problem", "drivers")
    types = dict.fromkeys(texts, pa.string())
    types |= {"probability": pa.float64(), "parts": pa.list_(pa.float64())}
    return tables.write_arrow(pa.Table.from_pylist(flat, schema=pa.schema(types)), kind.encode())


def answer(number: int) -> dict[str, Any]:
    return dressed(
        {
            "prediction_id": f"01a208e3-aa18-7595-b18e-{number:012d}", "entity": f"c{number}",
            "as_of": None, "flags": [], "result": {"probability": 0.5, "band": "low"},
        }
    )  # fmt: skip


def one_row(number: int, body: bytes | None = None, said: bytes | None = None) -> Record:
    body = orjson.dumps({"hours": number / 2}) if body is None else body
    return rows_record([body], [orjson.dumps(answer(number)) if said is None else said])


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        "broken",
        [
            one_row(1, body=b'{"hours": 1'),
            one_row(1, body=b'{"hours": 1}, {"hours": 2}'),
            one_row(1, body=b"[1]"),
            one_row(1, said=b"{}"),
            one_row(1, said=orjson.dumps(answer(1) | {"prediction_id": "01a2"})),
            one_row(1, said=orjson.dumps(answer(1) | {"as_of": "yesterday"})),
            one_row(1, said=orjson.dumps(answer(1) | {"result": 7})),
            one_row(1, body=b'{"hours": "many"}'),
            one_row(1, body=b'{"months": 1e300}'),
            one_row(1, said=orjson.dumps(answer(1) | {"entity": 7})),
            batch_record(b"{}", b"{}", (JSON, JSON)),
            batch_record(b"no table", b"no table", (ARROW, ARROW)),
            Record(Kind.ROWS, AT_NS, 0, b'["churn", "4"]', b"\1\0\0\0", b""),
        ],
    )  # fmt: skip
    def test_costs_itself_alone_and_is_told(self, broken: Record) -> None:
        found = decode([release_record(), one_row(0), broken, one_row(2)])
        assert len(found.faults) == 1
        assert [row["entity"] for row in rows_of(found)] == ["c0", "c2"]

    def test_a_row_among_thousands_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(predicted, "_TOGETHER", 16)
        records = [one_row(i) for i in range(100)]
        records[33] = one_row(33, body=b'{"hours": "many"}')
        found = decode([release_record(), *records])
        assert len(found.faults) == 1
        assert [row["input_hours"] for row in rows_of(found)] == [
            i / 2 for i in range(100) if i != 33
        ]

    def test_a_release_that_answered_nothing_has_no_table(self) -> None:
        assert "churn" not in dict(decode([release_record()]).tables())


def test_an_outcome_that_was_corrected_a_moment_later_stands_before_its_correction() -> None:
    nothing = dict.fromkeys(("outcome_of", "entity", "as_of", "value", "amount", "happened_at"))
    many = [nothing | {"entity": f"c{i}", "value": float(i)} for i in range(10_000)]
    meta = orjson.dumps(["churn", "0123456789ab"])
    told = [
        Record(Kind.OUTCOMES, at_ns, 0, meta, orjson.dumps(rows), b"")
        for at_ns, rows in ((AT_NS, many), (AT_NS + 2_000_000, [many[-1] | {"value": -1.0}]))
    ]
    rows = dict(decode(told).tables())["churn.outcomes"].to_pylist()
    assert [one["entity"] for one in sorted(rows, key=lambda one: one["at"])] == [
        *(f"c{i}" for i in range(10_000)), "c9999",
    ]  # fmt: skip
    assert rows[9999]["at"].timestamp() * 10**9 == AT_NS
