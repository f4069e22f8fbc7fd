"""Backtests as jobs: how many at once, for how long, and what becomes of those that fail."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from services.history.workflow import KEPT_DAYS, MOST_WAITING
from tests.services.conftest import assert_problem
from tests.services.history.archive_house import House, build_house, wait_until
from tests.services.history.stumbling import BUSY, GONE, HOLD, KILL, SECRET, SLOW, STRANGE, stumble

ROWS, DAYS = 10, 1
PATH = "/api/history/backtests"
ASKED = {"model": "churn", "against": "9"}
ENDED = {"done", "failed"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Keep 20 predictions on two days."""
    house = build_house(tmp_path_factory.mktemp("jobs") / "home", part_rows=2)
    house.play(ROWS, days=DAYS)
    house.historian.start()
    house.settle(lambda: len(predictions(house)) == ROWS * (DAYS + 1))
    yield house
    house.close()


@pytest.fixture(autouse=True)
def _steady(house: House) -> Iterator[None]:
    """Leave a historian that does not stumble to the next test."""
    yield
    for kind in (KILL, BUSY, GONE, STRANGE, SLOW, HOLD):
        stumble(house.historian.home, kind, 0)


def predictions(house: House) -> list[dict[str, Any]]:
    answer = house.get("predictions", model="churn", since="2026-01-01T00:00:00Z")
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


def start(house: House) -> None:
    house.historian.start()
    # The first question may still go over a connection to the one that is gone.
    wait_until(lambda: house.get("predictions", model="churn").status_code == 200, "it is down")


def restart(house: House) -> None:
    house.historian.kill()
    start(house)


def ask(house: House, **more: Any) -> httpx.Response:
    return house.client("operator").post(PATH, json=ASKED | more)


def begin(house: House, **more: Any) -> str:
    answer = ask(house, **more)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["backtest_id"])


def page(house: House, identity: str) -> dict[str, Any]:
    answer = house.get(f"backtests/{identity}", "viewer")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ended(house: House, identity: str) -> dict[str, Any]:
    wait_until(lambda: page(house, identity)["state"] in ENDED, "it came to no end")
    return page(house, identity)


def jobs_of(house: House) -> Path:
    return house.historian.home / "jobs.db"


def select(house: House, sql: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(jobs_of(house), timeout=30)) as database:
        found = database.execute(sql, values).fetchall()
        database.commit()
        return found


def test_the_jobs_stand_in_a_file_that_readers_do_not_wait_for(house: House) -> None:
    assert select(house, "PRAGMA journal_mode") == [("wal",)]
    assert jobs_of(house).stat().st_mode & 0o077 == 0


def test_one_runs_some_wait_and_one_too_many_is_refused(house: House) -> None:
    stumble(house.historian.home, HOLD, 1)
    first = begin(house)
    pending = "SELECT status FROM workflow_status WHERE status = 'PENDING'"
    wait_until(lambda: bool(select(house, pending)), "it does not begin")
    waiting = [begin(house, where=["region:nowhere"]) for _ in range(MOST_WAITING)]
    answer = ask(house)
    assert_problem(answer, 429, "BacktestsWaiting", f"{MOST_WAITING} wait already")
    assert answer.headers["retry-after"].isdecimal()
    states = select(house, "SELECT status FROM workflow_status WHERE status != 'SUCCESS'")
    assert sorted(one for (one,) in states) == ["ENQUEUED"] * MOST_WAITING + ["PENDING"]
    stumble(house.historian.home, HOLD, 0)
    assert [ended(house, one)["state"] for one in (first, *waiting)] == ["done"] * 9
    assert ended(house, begin(house))["state"] == "done"


def test_one_that_ends_the_historian_at_each_start_is_given_up(house: House) -> None:
    stumble(house.historian.home, KILL, 40)
    identity = begin(house)
    assert not wait_for_end_or_kill(house, identity)
    # As after four more.
    change = "UPDATE workflow_status SET recovery_attempts = 5 WHERE workflow_uuid = ?"
    select(house, change, identity)
    house.historian.start()
    assert not wait_for_end_or_kill(house, identity)
    house.historian.start()
    assert wait_for_end_or_kill(house, identity)
    assert "is given up" in page(house, identity)["reason"]
    stumble(house.historian.home, KILL, 0)
    assert ended(house, begin(house))["state"] == "done"


def wait_for_end_or_kill(house: House, identity: str) -> bool:
    """Say whether a backtest came to an end, and not its historian."""
    process = house.historian.process
    assert process is not None

    def is_over() -> bool:
        return process.poll() is not None or page_or_none(house, identity) in ENDED

    wait_until(is_over, "neither ended")
    return process.poll() is None


def page_or_none(house: House, identity: str) -> str | None:
    answer = house.get(f"backtests/{identity}")
    return answer.json()["state"] if answer.status_code == 200 else None


def test_a_part_that_fails_by_time_is_tried_again(house: House) -> None:
    stumble(house.historian.home, BUSY, 2)
    assert ended(house, begin(house))["rows"] == ROWS * (DAYS + 1)


def test_one_that_cannot_be_gone_on_with_says_why(house: House) -> None:
    stumble(house.historian.home, GONE, 1)
    found = ended(house, begin(house))
    assert found["state"] == "failed"
    assert "somebody deleted it. GET /models/churn/info" in found["reason"]


def test_what_was_not_foreseen_stands_in_the_log_alone(house: House) -> None:
    stumble(house.historian.home, STRANGE, 40)
    identity = begin(house)
    found = ended(house, identity)
    assert found["state"] == "failed"
    picture = house.get(f"backtests/{identity}", format="svg")
    assert_problem(picture, 400, "QueryInvalid", "is svg, and the backtest is failed")
    assert SECRET not in json.dumps(found)
    assert "log" in found["reason"]
    assert SECRET in (house.historian.home / "historian.log").read_text()


def test_what_is_kept_of_a_part_does_not_grow_with_the_parts_before(house: House) -> None:
    identity = begin(house)
    ended(house, identity)
    sizes = select(
        house,
        "SELECT length(value) FROM workflow_events_history WHERE workflow_uuid = ?",
        identity,
    )
    assert len(sizes) >= 10
    assert max(sizes)[0] < 400


def test_one_that_another_version_began_has_failed(house: House) -> None:
    stumble(house.historian.home, SLOW, 40)
    identity = begin(house)
    wait_until(lambda: page(house, identity)["rows"] > 0, "it does not begin")
    house.historian.kill()
    change = "UPDATE workflow_status SET application_version = 'backtest-0' WHERE workflow_uuid = ?"
    select(house, change, identity)
    start(house)
    found = ended(house, identity)
    assert found["state"] == "failed"
    assert "Another version of Septet began it" in found["reason"]


def test_one_whose_progress_cannot_be_written_has_failed_until_it_can(house: House) -> None:
    identity = begin(house)
    ended(house, identity)
    process = psutil.Process(house.historian.process.pid)  # type: ignore[union-attr]  # it runs
    wal = Path(f"{jobs_of(house)}-wal")
    stumble(house.historian.home, SLOW, 4)
    identity = begin(house)
    wait_until(lambda: page(house, identity)["rows"] > 0, "it does not begin")
    files = [wal, house.historian.home / "historian.log"]
    most = max(file.stat().st_size for file in files)
    # No file of the process may grow any more, as on a disk that is full.
    process.rlimit(psutil.RLIMIT_FSIZE, (most, psutil.RLIM_INFINITY))
    found = ended(house, identity)
    assert (found["state"], "log says what" in found["reason"]) == ("failed", True)
    restart(house)
    assert ended(house, identity)["rows"] == ROWS * (DAYS + 1)


def test_what_ended_long_ago_is_deleted(house: House) -> None:
    old, new = begin(house), begin(house)
    assert {ended(house, one)["state"] for one in (old, new)} == {"done"}
    age_ms = (KEPT_DAYS + 1) * 86_400_000
    change = "UPDATE workflow_status SET created_at = created_at - ? WHERE workflow_uuid = ?"
    select(house, change, age_ms, old)
    restart(house)
    wait_until(lambda: page_or_none(house, old) is None, "it is not deleted")
    assert page(house, new)["state"] == "done"
    for table in ("operation_outputs", "workflow_events", "workflow_events_history"):
        query = f"SELECT count(*) FROM {table} WHERE workflow_uuid = ?"  # noqa: S608 - of our own
        assert select(house, query, old) == [(0,)]


def test_nothing_is_left_of_one_that_names_an_erased_entity(house: House) -> None:
    filters: list[dict[str, Any]] = [
        {"entity": "c3"}, {"where": ["region:c3"]}, {"entity": "c4"}, {},
    ]  # fmt: skip
    begun = [begin(house, **one) for one in filters]
    assert {ended(house, one)["state"] for one in begun} == {"done"}
    assert b'"c3"' in written(house)
    answer = house.client("admin of each").request("DELETE", "/api/history/entities/c3")
    assert answer.status_code == 202, answer.text
    proof = f"erasures/{answer.json()['erasure_id']}"
    house.settle(lambda: house.get(proof).status_code == 200)
    later = begin(house, where=["region:c3"])
    assert ended(house, later)["state"] == "done"
    restart(house)
    wait_until(lambda: page_or_none(house, begun[0]) is None, "it is not forgotten")
    known = [page_or_none(house, one) is not None for one in (*begun, later)]
    assert known == [False, False, True, True, True]
    wait_until(lambda: b'"c3"' not in written(house), "its name is left in the file")
    assert b"region:c3" in written(house)


def written(house: House) -> bytes:
    """Give all that stands in the file of the jobs and beside it."""
    home = house.historian.home
    return b"".join(file.read_bytes() for file in home.glob("jobs.db*"))
