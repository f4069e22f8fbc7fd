"""The history over HTTP: gate, routes, and the historian as the process it is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.routing import Match, Mount
from uuid_utils import uuid7

from core import clock
from tests.services.conftest import Client, assert_problem, start
from tests.services.history.archive_house import PORT, House, build_house, prepared, wait_until
from tests.services.history.bad_questions import BAD
from tests.services.history.conftest import row

ROWS, DAYS = 12, 3
SERIES = [
    ("trends", {"model": "churn", "measure": ["volume", "value", "errors", "outcomes", "latency"]}),
    ("trends", {"model": "churn", "group": "region", "by": "week"}),
    ("compare", {"model": "churn", "versus": "region:south", "where": "region:north"}),
    ("features/hours", {"model": "churn", "by": "day"}),
    ("features/region", {"model": "churn", "by": "day"}),
    ("entities/c7", {}),
]  # fmt: skip

PICTURES = {"png": ("image/png", b"\x89PNG\r\n\x1a\n"), "svg": ("image/svg+xml", b"<?xml")}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = build_house(tmp_path_factory.mktemp("history") / "home")
    told = {"model": "churn", "entity": "c7", "value": True}
    assert house.client().post("/api/outcomes", json=told).json()["kept"] == 1
    house.play(ROWS, days=DAYS)
    late = {"model": "churn", "entity": "nobody", "value": False}
    assert house.client("analyst").post("/api/outcomes", json=late).json()["kept"] == 1
    house.historian.start()
    house.settle(lambda: everything(house) == len(house.answers))
    yield house
    house.close()


def everything(house: House) -> int:
    answer = house.get("trends", model="churn", by="month")
    assert answer.status_code == 200, answer.text
    place = [column["name"] for column in answer.json()["columns"]].index("volume")
    return sum(one[place] for one in answer.json()["rows"])


def some_id(house: House, entity: str = "c7") -> str:
    return next(key for key, one in house.asked.items() if one["client_id"] == entity)


class TestPredictions:
    def test_pages_hold_what_was_answered(self, house: House) -> None:
        found: dict[str, Any] = {}
        cursor: dict[str, str] = {}
        while True:
            page = house.get("predictions", "viewer", model="churn", limit=7, **cursor).json()
            found |= {one["prediction_id"]: one for one in page["predictions"]}
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert set(found) == set(house.answers)
        for key, answer in house.answers.items():
            one, asked = found[key], house.asked[key]
            for name in ("model", "version", "entity", "as_of", "result", "flags", "drivers"):
                assert one[name] == answer.get(name, "1" if name == "version" else None) or (
                    name == "model"
                )
            assert {**one["input"], "client_id": one["entity"], "as_of": one["as_of"]} == asked

    @pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
    def test_tables_hold_the_same_rows(self, house: House, form: str) -> None:
        page = house.get("predictions", model="churn", limit=1000).json()["predictions"]
        answer = house.get("predictions", "viewer", model="churn", limit=1000, format=form)
        assert answer.status_code == 200
        assert answer.headers["content-disposition"] == f'attachment; filename="churn.{form}"'
        kinds = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet",
                 "arrow": "application/vnd.apache.arrow.stream"}  # fmt: skip
        assert answer.headers["content-type"] == kinds[form]
        rows: list[dict[str, Any]]
        if form == "csv":
            rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
            assert {one["input_region"] for one in rows} == {"north", "south", "'=1+1"}
        else:
            content = io.BytesIO(answer.content)
            read = (
                pq.read_table if form == "parquet" else lambda c: pa.ipc.open_stream(c).read_all()
            )
            rows = read(content).to_pylist()
        assert [one["prediction_id"] for one in rows] == [one["prediction_id"] for one in page]
        told = [float(one["result_probability"]) for one in rows]
        assert told == [one["result"]["probability"] for one in page]

    def test_the_link_of_a_table_leads_to_its_next_page(self, house: House) -> None:
        asked = {"model": "churn", "limit": 5, "format": "csv", "flagged": "false"}
        answer = house.get("predictions", "viewer", **asked)
        seen = ids_of(answer)
        while "next" in answer.links:
            path = str(httpx.URL("http://septet/api/history/predictions").join(
                answer.links["next"]["url"]).copy_with(scheme=None, host=None))  # fmt: skip
            answer = house.client("viewer").get(path)
            assert answer.status_code == 200, answer.text
            seen += ids_of(answer)
        plain = [key for key, one in house.answers.items() if not one["flags"]]
        assert sorted(seen) == sorted(plain)


def ids_of(answer: httpx.Response) -> list[str]:
    return [one["prediction_id"] for one in csv.DictReader(io.StringIO(answer.text, newline=""))]


class TestReceipt:
    def test_it_tells_all_and_an_outcome_that_came_before(self, house: House) -> None:
        key = some_id(house)
        page = house.get(f"predictions/{key}", "viewer").json()
        assert page["result"] == house.answers[key]["result"]
        assert page["drivers"] == house.answers[key]["drivers"]
        assert page["lineage"]["run_id"] == "run-1"
        assert len(page["lineage"]["manifest_sha256"]) == 64
        assert (page["outcome"]["value"], page["outcome"]["steps"]) == (1.0, 1)
        assert page["outcome_due_at"].startswith("2026-05-01")
        other = house.get(f"predictions/{some_id(house, 'c8')}").json()
        assert other["outcome"] is None

    def test_an_id_in_any_writing_is_the_same(self, house: House) -> None:
        key = some_id(house)
        for text in (key.upper(), key.replace("-", ""), f"{{{key}}}"):
            assert house.get(f"predictions/{text}").json()["prediction_id"] == key


class TestReplay:
    def path(self, house: House) -> str:
        return f"/api/history/predictions/{some_id(house)}/replay"

    def test_the_very_version_gives_the_very_answer(self, house: House) -> None:
        page = house.client("analyst").post(self.path(house), json={}).json()
        assert (page["identical"], page["differences"], page["refused"]) == (True, [], None)
        assert page["now"]["result"] == house.answers[some_id(house)]["result"]

    def test_another_version_differs(self, house: House) -> None:
        page = house.client("analyst").post(self.path(house), json={"version": "9"}).json()
        assert (page["identical"], page["replayed_version"]) == (False, "9")
        fields = [one["field"] for one in page["differences"]]
        assert "result.probability" in fields

    @pytest.mark.parametrize(
        ("body", "status", "code", "said"),
        [
            ({"version": "77"}, 410, "ReleaseGone", "are kept (`septet models churn`)"),
            ({"versoin": "9"}, 422, "FieldsInvalid", "Did you mean 'version'?"),
            ({"version": 9}, 422, "FieldsInvalid", "version"),
            ({"version": ""}, 422, "FieldsInvalid", "version"),
            ([], 422, "FieldsInvalid", "an object with the fields version"),
        ],
    )
    def test_what_cannot_be_replayed_is_refused(
        self, house: House, body: Any, status: int, code: str, said: str
    ) -> None:
        answer = house.client("analyst").post(self.path(house), json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert said in answer.text

    def test_a_body_that_is_none_is_refused(self, house: House) -> None:
        headers = {"content-type": "application/json"}
        answer = house.client("analyst").post(self.path(house), content=b"{", headers=headers)
        assert_problem(answer, 400, "JsonInvalid", "")


def test_outcomes_tell_whether_they_belong_to_a_prediction(house: House) -> None:
    page = house.get("outcomes", "viewer", model="churn").json()
    assert (page["matched"], page["unmatched"]) == (1, 1)
    assert {one["entity"]: one["predictions"] for one in page["outcomes"]} == {
        "c7": 1, "nobody": 0,
    }  # fmt: skip
    page = house.get("outcomes", model="churn", state="unmatched").json()
    assert [one["entity"] for one in page["outcomes"]] == ["nobody"]


class TestSeries:
    @pytest.mark.parametrize(("path", "query"), SERIES)
    def test_data_comes_ready_to_draw(self, house: House, path: str, query: dict[str, Any]) -> None:
        answer = house.get(path, "viewer", **query)
        assert answer.status_code == 200, answer.text
        series = answer.json()
        assert series["rows"]
        names = [column["name"] for column in series["columns"]]
        assert all(len(one) == len(names) for one in series["rows"])
        chart = series["chart"]
        drawn = [chart["x"], *chart["y"], chart["low"], chart["high"], chart["by"]]
        assert {one for one in drawn if one is not None} <= set(names)

    @pytest.mark.parametrize(("path", "query"), SERIES)
    @pytest.mark.parametrize("form", PICTURES)
    def test_it_comes_as_a_picture(
        self, house: House, path: str, query: dict[str, Any], form: str
    ) -> None:
        answer = house.get(path, "viewer", **query, format=form)
        assert answer.status_code == 200, answer.text
        kind, begin = PICTURES[form]
        assert answer.headers["content-type"] == kind
        assert answer.content.startswith(begin)

    def test_refusals_stand_in_the_trend(self, house: House) -> None:
        page = house.get("trends", model="churn", measure=["errors"], by="month").json()
        names = [column["name"] for column in page["columns"]]
        assert sum(one[names.index("refused")] for one in page["rows"]) == 1


class TestWhoMay:
    def test_a_large_table_needs_an_operator(self, house: House) -> None:
        asked = {"model": "churn", "limit": 1001, "format": "csv"}
        for who in ("viewer", "analyst"):
            answer = house.get("predictions", who, **asked)
            assert_problem(answer, 403, "ExportTooLarge", "needs the role operator")
        assert house.get("predictions", "operator", **asked).status_code == 200
        answer = house.get("predictions", "operator", model="churn", limit=100_001)
        assert_problem(answer, 400, "QueryInvalid", "limit")

    def test_large_pages_and_backtests_stand_in_the_audit_without_whom_they_are_about(
        self, house: House
    ) -> None:
        operator = house.client("operator")
        since = "2026-01-01T00:00:00+00:00"
        asked = {"model": "churn", "entity": "c7", "against": "9", "since": since}
        for limit in (1000, 1001):
            told = {"limit": limit, "format": "csv", "entity": "c7", "model": "churn"}
            assert house.get("predictions", "operator", since=since, **told).status_code == 200
        gone = operator.post("/api/history/backtests", json={**asked, "against": "77"})
        assert gone.status_code == 410, gone.text
        begun = operator.post("/api/history/backtests", json=asked).json()["backtest_id"]

        def entries() -> list[dict[str, Any]]:
            page = house.client().get("/api/audit", params={"since": since, "limit": 100}).json()
            return [one for one in page["entries"] if one["detail"].get("since") == since]

        wait_until(lambda: len(entries()) == 2, "they are not in the audit")
        found = [(one["action"], one["target"], one["role"], one["detail"]) for one in entries()]
        assert found == [
            ("backtest.started", f"backtest {begun}", "operator",
             {"model": "churn", "against": "9", "since": since}),
            ("predictions.exported", "predictions of churn", "operator",
             {"limit": 1001, "format": "csv", "since": since}),
        ]  # fmt: skip

    @pytest.mark.parametrize(("path", "query"), [*SERIES[:-1], ("predictions", {"model": "churn"}),
                                                 ("outcomes", {"model": "churn"})])  # fmt: skip
    def test_a_key_of_another_model_reads_no_page(
        self, house: House, path: str, query: dict[str, Any]
    ) -> None:
        answer = house.get(path, "another model", **query)
        assert_problem(answer, 403, "ModelOutOfScope", "revenue_leak")
        assert house.get(path, "churn alone", **query).status_code == 200

    def test_nor_a_receipt_nor_an_entity_nor_a_replay(self, house: House) -> None:
        key = some_id(house)
        answer = house.get(f"predictions/{key}", "another model")
        assert_problem(answer, 404, "PredictionUnknown", key)
        assert house.get(f"predictions/{key}", "churn alone").status_code == 200
        path = f"/api/history/predictions/{key}/replay"
        answer = house.client("another model").post(path, json={})
        assert_problem(answer, 404, "PredictionUnknown", key)
        mine, other = (
            house.get("entities/c7", who).json()["rows"] for who in ("churn alone", "another model")
        )
        assert (len(mine), len(other)) == (1, 0)

    @pytest.mark.parametrize(
        ("method", "path", "who"),
        [
            ("POST", "predictions/01a208e3-aa18-7595-b18e-361f686aad6c/replay", "viewer"),
            ("POST", "backtests", "analyst"),
            ("DELETE", "entities/c7", "operator"),
            ("GET", "erasures/0", "operator"),
        ],
    )
    def test_what_a_role_may_not_do(self, house: House, method: str, path: str, who: str) -> None:
        answer = house.client(who).request(method, f"/api/history/{path}", json={})
        assert_problem(answer, 403, "RoleTooLow", "")


@pytest.mark.parametrize("case", BAD, ids=[f"{i}-{case[0]}" for i, case in enumerate(BAD)])
def test_bad_input_is_refused_with_the_fix(
    house: House, case: tuple[str, dict[str, Any], int, str, str]
) -> None:
    path, query, status, code, said = case
    answer = house.get(path, **query)
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == code or not code
    assert said in answer.json()["detail"]


def test_a_model_may_be_named_with_hyphens(house: House) -> None:
    for path in ("trends", "predictions", "outcomes"):
        assert house.get(path, model="revenue-leak").status_code == 200
    assert_problem(house.get("trends", model="revenue-lek"), 404, "ModelUnknown", "revenue_leak")


def test_a_cursor_serves_its_own_question_alone(house: House) -> None:
    cursor = house.get("predictions", model="churn", limit=3).json()["next"]
    assert house.get("predictions", model="churn", limit=3, cursor=cursor).status_code == 200
    flipped = ("B" if cursor[3] == "A" else "A").join((cursor[:3], cursor[4:]))
    bad = [{"cursor": flipped}, {"cursor": cursor[:-2]}, {"cursor": cursor, "version": "1"},
           {"cursor": cursor, "where": "region:north"}]  # fmt: skip
    for query in bad:
        answer = house.get("predictions", model="churn", limit=3, **query)
        assert_problem(answer, 400, "QueryInvalid", "send `next` of the page before it")


class TestHistorian:
    def test_it_answers_nobody_without_the_token(self, house: House) -> None:
        url = f"http://127.0.0.1:{house.historian.port}/rows"
        for shown in (b"", b"Bearer x", b"Bearer \xfc"):
            headers = [(b"Authorization", shown)] if shown else []
            answer = httpx.post(url, json={"question": {"model": "churn"}}, headers=headers)
            assert answer.status_code == 401
            assert "churn" not in answer.text

    @pytest.mark.parametrize("is_there", [True, False])
    def test_one_that_is_down_or_not_ours_costs_no_prediction(
        self, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_there: bool
    ) -> None:
        prepared(tmp_path / "home")
        monkeypatch.setenv(PORT, str(house.historian.port if is_there else 1))
        platform = start(tmp_path / "home", configs=tmp_path / "home" / "configs")
        client = Client(platform.app, headers={"X-API-Key": platform.key})
        for path in ("trends?model=churn", "predictions?model=churn", "entities/c1",
                     f"predictions/{uuid7()}", "backtests/x", "erasures/x"):  # fmt: skip
            answer = client.get(f"/api/history/{path}")
            assert_problem(answer, 503, "HistoryDown", "septet up")
            assert answer.headers["retry-after"] == "2"
            assert ("status 401" in answer.text) == is_there
        assert client.post("/api/churn", json=row(1)).status_code == 200
        platform.close()


class TestErasure:
    @pytest.mark.parametrize(
        ("name", "written"),
        [("a/b ü#1", "a%2Fb%20%C3%BC%231"), ("\nline\nbreak\n", "%0Aline%0Abreak%0A")],
        ids=["signs", "lines"],
    )
    def test_an_entity_is_erased_and_it_is_proved(
        self, house: House, monkeypatch: pytest.MonkeyPatch, name: str, written: str
    ) -> None:
        answer = house.client().post("/api/churn", json=row(1, client_id=name)).json()
        key = answer["prediction_id"]
        path = f"entities/{written}"
        house.settle(lambda: house.get(f"predictions/{key}").status_code == 200)
        assert len(house.get(path).json()["rows"]) == 1
        asked = house.client().request("DELETE", f"/api/history/{path}")
        assert asked.status_code == 202
        assert asked.json()["state"] == "asked"
        proof = f"erasures/{asked.json()['erasure_id']}"
        house.settle(lambda: house.get(proof).status_code == 200)
        assert house.get(proof).json()["state"] in {"running", "done"}
        now = clock.now
        monkeypatch.setattr(clock, "now", lambda: now() + timedelta(minutes=2))
        monkeypatch.setattr(house.keeper, "_tidied_s", None)
        house.settle(lambda: house.get(proof).json()["state"] == "done")
        [told] = house.get(proof).json()["proofs"]
        assert told["places"]["churn"]["erased_rows"] == 1
        assert all(place["remaining_rows"] == 0 for place in told["places"].values())
        assert name not in house.get(proof).text
        assert house.get(f"predictions/{key}").status_code == 404
        assert house.get(path).json()["rows"] == []
        assert everything(house) == len(house.answers)
        lines = house.client().get("/api/audit", params={"action": "entity.erased"}).text
        assert "entity.erased" in lines
        assert name not in lines

    def test_an_entity_of_several_lines_is_found_behind_a_mount(self, house: House) -> None:
        # As BentoML mounts the platform; the client of the other tests asks it without.
        mounted = Mount("/", house.platform.app)
        scope = {"type": "http", "path": "/api/history/entities/a\nb", "method": "GET"}
        assert mounted.matches(scope)[0] is Match.FULL

    def test_who_may_not_read_every_model_erases_of_none_and_reads_no_proof(
        self, house: House
    ) -> None:
        for method, path in (("DELETE", "entities/nobody-else"), ("GET", "erasures/0")):
            answer = house.client("admin of churn").request(method, f"/api/history/{path}")
            assert_problem(answer, 403, "ModelOutOfScope", "only churn")
        answer = house.get("erasures/0", "admin of each")
        assert_problem(answer, 404, "ErasureUnknown", "There is no erasure")

    def test_a_name_that_is_too_long_is_refused(self, house: House) -> None:
        answer = house.client().request("DELETE", f"/api/history/entities/{'x' * 3000}")
        assert_problem(answer, 400, "PathInvalid", "entity has 3000 characters; 1 to 512 are")
