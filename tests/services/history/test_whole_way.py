"""From a request to the log, through the whole platform, on both topologies."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.services.conftest import Client, Platform, start
from tests.services.history.conftest import hex_of, log_of, move, refusals_of, row, rows_of
from tests.tiny import Shelf

ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


class Way:
    """A platform that is asked, ended, and whose spool is then moved."""

    def __init__(self, home: Path, topology: str) -> None:
        shelf = Shelf(home / "releases")
        shelf.write("1")
        shelf.point("1")
        self.home = home
        self.platform: Platform = start(home, topology)
        self.client = Client(self.platform.app, headers={"X-API-Key": self.platform.key})

    def log(self) -> dict[str, dict[str, Any]]:
        """End the platform, move what it kept, and give the rows by id."""
        self.platform.close()
        moved = move(self.home)
        assert moved.damaged == 0
        rows = rows_of(log_of(self.home))
        assert len(rows) == moved.rows
        return {hex_of(one["prediction_id"]): one for one in rows}


@pytest.fixture
def way(tmp_path: Path, topology: str) -> Way:
    return Way(tmp_path / "home", topology)


def same(kept: dict[str, Any], answer: dict[str, Any], asked: dict[str, Any]) -> None:
    """Hold a row of the log against what was asked and answered."""
    assert kept["entity"] == answer["entity"] == asked["client_id"]
    assert kept["version"] == answer["version"]
    assert {name: kept[f"result_{name}"] for name in answer["result"]} == answer["result"]
    for name, value in asked.items():
        if name not in {"client_id", "as_of"}:
            assert kept[f"input_{name}"] == value
    assert json.loads(kept["flags"] or "[]") == answer["flags"]


def test_single_rows_with_and_without_reasons(way: Way) -> None:
    asked = [row(i) for i in range(6)]
    answers = [
        way.client.post(f"/api/churn?explain={'true' if i % 2 else 'false'}", json=one).json()
        for i, one in enumerate(asked)
    ]
    kept = way.log()
    assert len(kept) == 6
    for one, answer in zip(asked, answers, strict=True):
        same(kept[answer["prediction_id"]], answer, one)
        drivers = kept[answer["prediction_id"]]["drivers"]
        assert (None if drivers is None else json.loads(drivers)) == answer.get("drivers")
        assert kept[answer["prediction_id"]]["source"] == "row"


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows)


def as_arrow(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    whole = table(rows)
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_table(whole)
    return sink.getvalue()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table(rows), sink)
    return sink.getvalue()


@pytest.mark.parametrize("answered_as", ["application/json", ARROW, PARQUET])
@pytest.mark.parametrize("asked_as", ["application/json", ARROW, PARQUET])
@pytest.mark.parametrize("poison", [None, 13])
def test_batches_of_every_kind(
    way: Way, asked_as: str, answered_as: str, poison: int | None
) -> None:
    asked = [row(i) for i in range(20)]
    if poison is not None:
        asked[3]["tenure_months"] = poison
    body = {
        "application/json": lambda: json.dumps({"rows": asked}).encode(),
        ARROW: lambda: as_arrow(asked),
        PARQUET: lambda: as_parquet(asked),
    }[asked_as]()
    headers = {"content-type": asked_as, "accept": answered_as}
    answer = way.client.post("/api/churn/batch", content=body, headers=headers)
    assert answer.status_code == 200
    kept = {one["entity"]: one for one in way.log().values()}
    answered = [one for one in asked if one["tenure_months"] != poison]
    assert sorted(kept) == sorted(one["client_id"] for one in answered)
    for one in answered:
        held = kept[one["client_id"]]
        assert held["source"] == "batch"
        assert held["input_hours"] == one["hours"]
        assert held["as_of"].isoformat() == "2026-01-31T08:00:00+00:00"
        assert 0 <= held["result_probability"] <= 1
    codes = [one["code"] for one in refusals_of(log_of(way.home))]
    assert codes == ([] if poison is None else ["RowUnanswered"])


def test_who_was_refused_is_counted_by_its_kind(way: Way) -> None:
    bad = [
        way.client.post("/api/churn", json={**row(1), "hours": "many"}),
        way.client.post("/api/churn", content=b"{", headers={"content-type": "application/json"}),
        way.client.post("/api/churn", json=row(1, tenure_months=13)),
        way.client.post("/api/churn", json=row(1, tenure_months=15)),
    ]
    assert [one.status_code for one in bad] == [422, 400, 500, 409]
    assert way.log() == {}
    codes = [one["code"] for one in refusals_of(log_of(way.home))]
    assert sorted(codes) == ["AnswerRefused", "JsonInvalid", "RowInvalid", "RowUnanswered"]


def test_a_request_that_is_sent_again_is_kept_once(way: Way) -> None:
    headers = {"Idempotency-Key": "once"}
    answers = [way.client.post("/api/churn", json=row(1), headers=headers) for _ in range(3)]
    ids = {answer.json()["prediction_id"] for answer in answers}
    assert set(way.log()) == ids
    assert len(ids) == 1
