"""What the history refuses, in words: which field is at fault, in what, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.services.conftest import assert_problem
from tests.services.history.archive_house import House, build_house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = build_house(tmp_path_factory.mktemp("words") / "home")
    house.play(3, days=1)
    house.historian.start()
    house.settle(lambda: len(everything(house)) == len(house.answers))
    yield house
    house.close()


def everything(house: House) -> list[dict[str, Any]]:
    page = house.get("predictions", model="churn")
    return page.json()["predictions"] if page.is_success else []


class TestFields:
    @pytest.mark.parametrize(
        ("path", "query", "code", "told"),
        [
            ("trends", {"model": "chrun"}, "ModelUnknown",
             ("model", "is 'chrun'", "one of profitability, churn,")),
            ("predictions/01a2233d-fc9a-77d1-9fc3-0653f532e5cc", {}, "PredictionUnknown",
             ("prediction_id", "is the id of no prediction", "prediction_id of an answer")),
            ("backtests/nothing", {}, "BacktestUnknown",
             ("backtest_id", "is 'nothing'", "POST /api/history/backtests")),
            ("erasures/nothing", {}, "ErasureUnknown",
             ("erasure_id", "is 'nothing'", "DELETE /api/history/entities/")),
            ("predictions", {"model": "churn", "limit": 1001, "format": "csv"}, "ExportTooLarge",
             ("limit", "is 1,001", "1 to 1,000 are allowed")),
        ],
    )  # fmt: skip
    def test_the_field_at_fault_is_named_with_what_is_allowed(
        self, house: House, path: str, query: dict[str, Any], code: str, told: tuple[str, str, str]
    ) -> None:
        who = "viewer" if code == "ExportTooLarge" else "admin"
        problem = house.get(path, who, **query).json()
        [said] = problem["problems"]
        field, fault, allowed = told
        assert (problem["code"], said["field"]) == (code, field)
        assert fault in said["problem"]
        assert allowed in said["allowed"]

    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("predictions/nothing", "prediction_id"),
            ("features/huors", "feature"),
            (f"entities/{'x' * 600}", "entity"),
        ],
    )
    def test_a_part_of_the_path_bears_no_question_mark(
        self, house: House, path: str, field: str
    ) -> None:
        method = "DELETE" if field == "entity" else "GET"
        query = {"model": "churn"} if field == "feature" else {}
        answer = house.client().request(method, f"/api/history/{path}", params=query)
        assert_problem(answer, 400, "PathInvalid", field)
        problem = answer.json()
        assert problem["title"] == "A part of the path is wrong"
        assert problem["detail"].startswith(f"{field} ")
        assert [one["field"] for one in problem["problems"]] == [field]


class TestReplay:
    def path(self, house: House) -> str:
        return f"/api/history/predictions/{next(iter(house.answers))}/replay"

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"content-type": "application/json"},
            # As `curl -d ""` sends it.
            {"content-type": "application/x-www-form-urlencoded"},
            {"content-type": "application/json", "idempotency-key": "once-is-enough"},
        ],
    )
    def test_without_a_body_the_very_release_is_asked_again(
        self, house: House, headers: dict[str, str]
    ) -> None:
        answer = house.client("analyst").post(self.path(house), headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["identical"]

    @pytest.mark.parametrize(
        ("content", "headers"),
        [(b"{}", {}), (b" ", {}), (None, {"transfer-encoding": "chunked"})],
        ids=["{}", "blank", "chunked"],
    )
    def test_a_body_of_no_type_is_refused_as_ever(
        self, house: House, content: bytes | None, headers: dict[str, str]
    ) -> None:
        answer = house.client("analyst").post(self.path(house), content=content, headers=headers)
        assert_problem(answer, 415, "ContentTypeUnsupported", "application/json")

    def test_other_routes_need_their_body(self, house: House) -> None:
        for path in ("/api/history/backtests", "/api/outcomes", "/api/churn"):
            answer = house.client().post(path)
            assert_problem(answer, 415, "ContentTypeUnsupported", "No Content-Type was sent; send")


class TestPaths:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("DELETE", "/api/history/entities"),
            ("GET", "/api/history/entities"),
            ("GET", "/api/history/trends/"),
            ("GET", "/api/history/predictions/"),
            ("GET", "/models/"),
            ("POST", "/api/outcomes/"),
        ],
    )
    def test_a_path_that_is_none_is_said_to_be_none(
        self, house: House, method: str, path: str
    ) -> None:
        answer = house.client().request(method, path, **({"json": {}} if method == "POST" else {}))
        assert_problem(answer, 404, "PathUnknown", f"Nothing is served under '{path}'")


def test_a_row_that_the_model_learned_too_little_of_is_no_question_to_the_history(
    house: House,
) -> None:
    row = next(iter(house.asked.values())) | {"tenure_months": 15}
    answer = house.client().post("/api/churn", json=row)
    assert_problem(answer, 409, "AnswerRefused", "no history near")
    assert answer.json()["title"] == "The model did not learn enough to answer this"
