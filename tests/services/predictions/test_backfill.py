"""Batches that are answered now and written down as of a time that is past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import ipc

from core import clock
from core.settings import Settings
from services.access.audit import Actor
from services.access.grant import Grant
from services.access.ledger import KeyLedger
from services.predictions.backfill import EARLIEST, NAME
from services.records import Records
from tests.services.conftest import Client, Platform, assert_problem
from tests.services.history.conftest import log_of, move, row, rows_of
from tests.services.history.test_whole_way import ARROW, PARQUET, as_arrow, as_parquet

AT = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=UTC)


def ask(
    client: Client, at: str = AT.isoformat(), *, rows: int = 20, once: str | None = None
) -> httpx.Response:
    body = {"rows": [row(i) for i in range(rows)]}
    headers = {NAME: at} if once is None else {NAME: at, "Idempotency-Key": once}
    return client.post("/api/churn/batch", json=body, headers=headers)


def ids_of(answer: httpx.Response) -> list[str]:
    return [one["answer"]["prediction_id"] for one in answer.json()["rows"] if one["answer"]]


def time_of(identity: str) -> datetime:
    """Read the time out of a UUIDv7."""
    assert UUID(identity).version == 7
    return datetime.fromtimestamp((UUID(identity).int >> 80) / 1000, UTC)


def kept(platform: Platform) -> list[dict[str, Any]]:
    """End the platform, move what it kept, and read the log."""
    platform.close()
    assert move(platform.home).damaged == 0
    return rows_of(log_of(platform.home))


@pytest.mark.parametrize("kind", ["application/json", ARROW, PARQUET])
def test_it_stands_in_the_log_on_its_day(platform: Platform, client: Client, kind: str) -> None:
    rows = [row(i) for i in range(20)]
    headers = {NAME: AT.isoformat(), "content-type": kind}
    if kind == "application/json":
        answer = client.post("/api/churn/batch", json={"rows": rows}, headers=headers)
        said = ids_of(answer)
    else:
        body = (as_arrow if kind == ARROW else as_parquet)(rows)
        answer = client.post("/api/churn/batch", content=body, headers=headers)
        source = pa.BufferReader(answer.content)
        table = ipc.open_stream(source).read_all() if kind == ARROW else pq.read_table(source)
        said = table.column("prediction_id").to_pylist()
    assert answer.status_code == 200, answer.text
    assert len(set(said)) == 20
    assert {time_of(one) for one in said} == {AT.replace(microsecond=123000)}
    found = kept(platform)
    assert [UUID(bytes=one["prediction_id"]) for one in found] == sorted(map(UUID, said))
    assert {one["at"] for one in found} == {AT}
    assert {one["source"] for one in found} == {"backfill"}
    assert {one["caller"] for one in found} == {platform.key.split("_")[2]}
    [(_, file)] = log_of(platform.home).files("churn")
    assert f"{file.day}" == "2026-03-01"
    assert (file.first_at, file.last_at) == (AT, AT)


def test_rows_that_go_one_by_one_get_ids_of_then_too(platform: Platform, client: Client) -> None:
    body = {"rows": [row(1), row(2, hours="many"), row(3)]}
    answer = client.post("/api/churn/batch?explain=true", json=body, headers={NAME: "2020-02-29Z"})
    assert_problem(answer, 400, "HeaderInvalid", NAME)
    headers = {NAME: "2020-02-29T23:59:59.999999+00:00"}
    answer = client.post("/api/churn/batch?explain=true", json=body, headers=headers)
    assert (answer.json()["answered"], answer.json()["refused"]) == (2, 1)
    assert [f"{time_of(one):%F}" for one in ids_of(answer)] == ["2020-02-29"] * 2
    assert [f"{one['at']:%F}" for one in kept(platform)] == ["2020-02-29"] * 2


def test_days_of_one_segment_come_apart(platform: Platform, client: Client) -> None:
    times = [AT + timedelta(days=day) for day in (0, 40, 1)]
    asked = [ids_of(ask(client, at.isoformat(), rows=3)) for at in times]
    now = client.post("/api/churn/batch", json={"rows": [row(1)]})
    found = kept(platform)
    days = {f"{UUID(bytes=one['prediction_id'])}": f"{one['at']:%F}" for one in found}
    for at, ids in zip(times, asked, strict=True):
        assert [days[one] for one in ids] == [f"{at:%F}"] * 3
    assert days[ids_of(now)[0]] == f"{clock.now():%F}"
    for _, file in log_of(platform.home).files("churn"):
        assert file.first_id is not None
        assert f"{time_of(file.first_id):%F}" == f"{file.day}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "no time with its zone"),
        ("yesterday", "no time with its zone"),
        ("2026-03-01T09:00:00", "no time with its zone"),
        ("2026-03-01", "no time with its zone"),
        ("1772355600", "no time with its zone"),
        ("2026-02-30T09:00:00Z", "no time with its zone"),
        ("2026-03-01T09:00:00Z, 2026-03-01T09:00:00Z", "no time with its zone"),
        ("9999-12-31T23:59:59-23:59", "still to come"),
        ("1999-12-31T23:59:59Z", "too long ago"),
        ("0001-01-01T00:00:00+23:59", "too long ago"),
    ],
)
def test_what_is_no_past_time_is_refused(
    platform: Platform, client: Client, given: str, said: str
) -> None:
    answer = ask(client, given)
    assert_problem(answer, 400, "HeaderInvalid", said)
    [problem] = answer.json()["problems"]
    assert problem["field"] == NAME
    assert "such as 2026-03-01T09:00:00Z" in problem["allowed"]
    assert kept(platform) == []


def test_a_time_to_come_is_refused_and_the_first_is_taken(client: Client) -> None:
    soon = clock.now() + timedelta(minutes=1)
    assert_problem(ask(client, soon.isoformat()), 400, "HeaderInvalid", "still to come")
    answer = ask(client, EARLIEST.isoformat())
    assert {time_of(one) for one in ids_of(answer)} == {EARLIEST}


@pytest.mark.parametrize("role", ["analyst", "operator"])
def test_only_an_admin_may(platform: Platform, role: str) -> None:
    records = Records(Settings(home=platform.home).records_url)
    created = KeyLedger(records).create(Grant(name="other", role=role), by=Actor.shell())
    records.close()
    platform.runtime.keys.refresh()
    client = Client(platform.app, headers={"X-API-Key": created.key})
    assert_problem(ask(client), 403, "RoleTooLow", "this needs admin")
    assert client.post("/api/churn/batch", json={"rows": [row(1)]}).status_code == 200


def test_the_time_is_part_of_what_makes_a_request_the_same(
    platform: Platform, client: Client
) -> None:
    first = ask(client, once="k")
    again = ask(client, once="k")
    assert again.headers["idempotent-replayed"] == "true"
    assert ids_of(again) == ids_of(first)
    later = ask(client, (AT + timedelta(days=1)).isoformat(), once="k")
    assert_problem(later, 422, "IdempotencyReused", "another path")
    body = {"rows": [row(i) for i in range(20)]}
    now = client.post("/api/churn/batch", json=body, headers={"Idempotency-Key": "k"})
    assert_problem(now, 422, "IdempotencyReused", "another path")
    assert len(kept(platform)) == 20


def test_a_single_row_is_written_down_as_of_now(platform: Platform, client: Client) -> None:
    answer = client.post("/api/churn", json=row(1), headers={NAME: AT.isoformat()})
    assert answer.status_code == 200
    [found] = kept(platform)
    assert f"{found['at']:%F}" == f"{clock.now():%F}"
    assert found["source"] == "row"
