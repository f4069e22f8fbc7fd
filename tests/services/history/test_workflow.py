"""Backtests as jobs: begun and told over HTTP, gone on with after a kill, the same result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from bentos.answering import answer_rows
from bentos.release import Pointer, open_release
from core.artifact import manifest_sha256
from tests.services.conftest import assert_problem
from tests.services.history.archive_house import PAST, House, build_house, wait_until
from tests.tiny import TinyPredictor

ROWS, DAYS = 40, 4
PATH = "/api/history/backtests"
ASKED = {"model": "churn", "against": "9"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Keep 200 predictions on five days; what became of every third is known."""
    house = build_house(tmp_path_factory.mktemp("backtests") / "home", part_rows=2)
    house.play(ROWS, days=DAYS)
    told = [
        {"model": "churn", "prediction_id": key, "value": number % 2 == 0}
        for number, key in enumerate(list(house.answers)[::3])
    ]
    assert house.client().post("/api/outcomes", json={"outcomes": told}).json()["refused"] == 0
    house.historian.start()
    house.settle(lambda: house.get("outcomes", model="churn").json()["matched"] == len(told))
    yield house
    house.close()


def begin(house: House, **more: Any) -> dict[str, Any]:
    answer = house.client("operator").post(PATH, json=ASKED | more)
    assert answer.status_code == 202, answer.text
    page: dict[str, Any] = answer.json()
    return page


def state(house: House, backtest_id: str) -> dict[str, Any]:
    answer = house.get(f"backtests/{backtest_id}", "viewer")
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def ended(house: House, backtest_id: str) -> dict[str, Any]:
    wait_until(lambda: state(house, backtest_id)["state"] != "running", "it came to no end")
    page = state(house, backtest_id)
    assert page["state"] == "done", page
    return page


def expected(house: House) -> tuple[dict[str, float], dict[str, list[tuple[float, float]]]]:
    """Compute the sums, and what was and is answered by day, without the code under test."""
    folder = house.home_of("9")
    pointer = Pointer(version="9", manifest_sha256=manifest_sha256(folder))
    release = open_release(folder, pointer=pointer, kind=TinyPredictor)
    keys = list(house.answers)
    now = [one.answer or {} for one in answer_rows(release, [house.asked[key] for key in keys])]
    told = {key: float(number % 2 == 0) for number, key in enumerate(keys[::3])}
    pairs = {
        key: (house.answers[key]["result"]["probability"], answer["result"]["probability"])
        for key, answer in zip(keys, now, strict=True)
    }
    days = defaultdict(list)
    for key, pair in pairs.items():
        days[house.day_of(key)].append(pair)
    errors = np.array([[(side - told[key]) ** 2 for side in pairs[key]] for key in told])
    sums = {
        "rows": len(keys), "refused": 0, "left_out": 0, "told": len(told),
        "changed": sum(was != new for was, new in pairs.values()),
        "was_error": errors[:, 0].mean(), "now_error": errors[:, 1].mean(),
    }  # fmt: skip
    return sums, days


def assert_right(house: House, page: dict[str, Any]) -> None:
    sums, days = expected(house)
    assert {name: page[name] for name in sums} == pytest.approx(sums)
    names = [column["name"] for column in page["series"]["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in page["series"]["rows"]]
    assert [row["day"][:10] for row in rows] == sorted(days)
    for row in rows:
        was, now = np.mean(days[row["day"][:10]], axis=0)
        assert (row["rows"], row["mean_was"], row["mean"]) == pytest.approx(
            (len(days[row["day"][:10]]), was, now)
        )


def test_its_sums_are_those_of_plain_numpy(house: House) -> None:
    page = begin(house)
    assert (page["state"], page["rows"], page["series"]) == ("running", 0, None)
    assert_right(house, ended(house, page["backtest_id"]))


def test_what_it_found_comes_as_a_picture_with_units(house: House) -> None:
    identity = begin(house)["backtest_id"]
    columns = {one["name"]: one["unit"] for one in ended(house, identity)["series"]["columns"]}
    assert (columns["mean"], columns["mean_was"], columns["error"]) == ("ratio", "ratio", None)
    for form, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        picture = house.get(f"backtests/{identity}", format=form)
        assert picture.status_code == 200, picture.text
        assert picture.content.startswith(start)


def test_the_version_that_answered_changes_nothing(house: House) -> None:
    page = ended(house, begin(house, against="1")["backtest_id"])
    assert (page["changed"], page["rows"]) == (0, len(house.answers))
    assert page["was_error"] == page["now_error"]


def test_filters_and_period_say_what_is_asked_again(house: House) -> None:
    day = PAST + timedelta(days=1)
    period = {"since": day.isoformat(), "until": (day + timedelta(hours=1)).isoformat()}
    page = ended(house, begin(house, **period, where=["region:north"])["backtest_id"])
    rows = [key for key, one in house.asked.items()
            if one["region"] == "north" and house.day_of(key) == f"{day.date()}"]  # fmt: skip
    assert page["rows"] == len(rows) > 0


def test_one_that_is_killed_goes_on_and_ends_the_same(house: House) -> None:
    identity = begin(house)["backtest_id"]
    wait_until(lambda: state(house, identity)["rows"] >= 30, "it does not get on")
    house.historian.kill()
    assert_problem(house.get(f"backtests/{identity}"), 503, "HistoryDown", "septet up")
    house.historian.start()
    assert 30 <= state(house, identity)["rows"] <= len(house.answers)
    assert_right(house, ended(house, identity))


def test_a_key_of_another_model_learns_nothing(house: House) -> None:
    identity = begin(house, entity="c1")["backtest_id"]
    answer = house.get(f"backtests/{identity}", "another model")
    assert_problem(answer, 404, "BacktestUnknown", "begins one")
    answer = house.client("another model").post(PATH, json=ASKED)
    assert_problem(answer, 403, "ModelOutOfScope", "revenue_leak")
    ended(house, identity)


@pytest.mark.parametrize(
    ("body", "status", "code", "said"),
    [
        ({}, 422, "FieldsInvalid", "model is missing"),
        ({"model": "churn"}, 422, "FieldsInvalid", "against is missing"),
        (ASKED | {"againts": "1"}, 422, "FieldsInvalid", "Did you mean 'against'?"),
        (ASKED | {"model": "chrun"}, 404, "ModelUnknown", "Did you mean 'churn'?"),
        (ASKED | {"against": "77"}, 410, "ReleaseGone", "MLflow lists the versions"),
        (ASKED | {"against": "../1"}, 410, "ReleaseGone", "MLflow lists the versions"),
        (ASKED | {"where": ["regoin:a"]}, 400, "QueryInvalid", "'input.region'?"),
        (ASKED | {"where": "region:a"}, 422, "FieldsInvalid", "where"),
        (
            ASKED | {"since": "2026-03-02T00:00:00Z", "until": "2026-03-01T00:00:00Z"},
            422, "FieldsInvalid", "since does not lie before until",
        ),
        (ASKED | {"since": "2026-03-02T00:00:00"}, 422, "FieldsInvalid", "with its zone"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_again_is_refused(
    house: House, body: dict[str, Any], status: int, code: str, said: str
) -> None:
    answer = house.client("operator").post(PATH, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    problems = answer.json().get("problems", [])
    told = [f"{one['field']} {one['problem']}: {one['allowed']}" for one in problems]
    assert said in " ".join([answer.json()["detail"], *told])
