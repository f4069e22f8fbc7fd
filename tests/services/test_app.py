"""The platform's routes, and every bad input that comes over HTTP with the sentence it earns."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from bentos.problem import MEDIA_TYPE
from tests.services.conftest import Client, Platform, assert_problem

JSON = {"Content-Type": "application/json"}
EXAMPLE: dict[str, Any] = {
    "client_id": "c-1", "as_of": "2026-01-31T00:00:00Z", "tenure_months": 12, "hours": 10.5,
    "is_active": True, "plan": "basic", "region": "north",
}  # fmt: skip


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in EXAMPLE.items() if key != name}


def raw(text: str | bytes) -> dict[str, Any]:
    return {"content": text, "headers": JSON}


class TestOneRow:
    def test_a_row_is_answered(self, client: Client) -> None:
        answer = client.post("/api/churn", json=EXAMPLE)
        assert answer.status_code == 200
        said = answer.json()
        assert UUID(said["prediction_id"]).version == 7
        assert (said["model"], said["version"], said["entity"]) == ("churn", "1", "c-1")
        assert 0 <= said["result"]["probability"] <= 1
        assert "drivers" not in said

    def test_reasons_are_given_when_asked_for(self, client: Client) -> None:
        drivers = client.post("/api/churn?explain=true", json=EXAMPLE).json()["drivers"]
        parts = sum(part["contribution"] for part in drivers["contributions"])
        assert drivers["base"] + parts == pytest.approx(drivers["total"], abs=1e-9)

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            (without("plan"), "plan: is missing; one of basic, pro is allowed"),
            (EXAMPLE | {"plann": "x"}, "plann: is not a field of this model; did you mean 'plan'?"),
            (EXAMPLE | {"hours": "10"}, "hours: is the text '10'; a number of at least 0 in hours"),
            (EXAMPLE | {"hours": True}, "hours: is the boolean true; a number of at least 0"),
            (EXAMPLE | {"is_active": 1}, "is_active: is the number 1; true or false is allowed"),
            (EXAMPLE | {"tenure_months": 700}, "tenure_months: is the number 700; an integer from"),
            (EXAMPLE | {"tenure_months": 1.5}, "tenure_months: is the number 1.5; an integer from"),
            (EXAMPLE | {"plan": "gold"}, "plan: is the text 'gold'; one of basic, pro is allowed"),
            (EXAMPLE | {"tenure_months": None}, "tenure_months: is null; an integer from 0 to 600"),
            (EXAMPLE | {"as_of": "yesterday"}, "as_of: is 'yesterday', not a time with its zone"),
            (EXAMPLE | {"client_id": 5}, "client_id: is the number 5; a text of 1 to 512"),
            ([], "row: is a list; an object of field names to values"),
        ],
    )
    def test_a_row_that_breaks_the_contract_says_field_fault_and_what_is_allowed(
        self, client: Client, row: object, said: str
    ) -> None:
        answer = client.post("/api/churn", json=row)
        assert_problem(answer, 422, "RowInvalid", said)
        [problem] = answer.json()["problems"]
        assert set(problem) == {"field", "problem", "allowed"}

    def test_every_fault_of_a_row_is_told_at_once(self, client: Client) -> None:
        answer = client.post("/api/churn", json={"hours": -1, "plan": "gold", "x": 1})
        fields = {problem["field"] for problem in answer.json()["problems"]}
        assert fields == {"hours", "plan", "x", "tenure_months", "is_active", "region"}
        assert answer.json()["detail"].startswith("6 fields are wrong, the first: ")

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ('{"hours": NaN}', "NaN is not JSON at line 1 column 11"),
            ('{"hours": Infinity}', "Infinity is not JSON at line 1 column 11"),
            ('{"hours": 1e400}', "The number at hours is beyond a 64-bit float"),
            ('{"hours": 1, "hours": 2}', 'Detected duplicate key "hours"'),
            ('{"region": "\\ud800"}', "half of a surrogate pair"),
            (b'{"region": "\xff"}', "Bytes that are not UTF-8 at line 1 column 13"),
            ("[" * 200 + "]" * 200, "nested deeper than 16 levels"),
            ("", "The body is empty"),
            ("{", "EOF while parsing an object at line 1 column 1"),
        ],
    )
    def test_a_body_that_is_not_strict_json_says_where(
        self, client: Client, body: str | bytes, said: str
    ) -> None:
        answer = client.post("/api/churn", **raw(body))
        assert_problem(answer, 400, "JsonInvalid", said)
        assert "NaN" not in answer.text.replace("NaN is not JSON", "").replace("no NaN or", "")

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("explain=maybe", "?explain is 'maybe'; true or false is allowed"),
            ("verbose=1", "?verbose is not known here; explain=true is all there is"),
        ],
    )
    def test_a_wrong_query_says_what_is_allowed(
        self, client: Client, query: str, said: str
    ) -> None:
        answer = client.post(f"/api/churn?{query}", json=EXAMPLE)
        assert_problem(answer, 400, "QueryInvalid", said)

    def test_an_unknown_model_names_those_there_are(self, client: Client) -> None:
        answer = client.post("/api/chrun", json=EXAMPLE)
        assert_problem(answer, 404, "ModelUnknown", "Did you mean 'churn'?")
        assert "revenue-leak" in answer.json()["detail"]

    @pytest.mark.parametrize("path", ["/api/revenue-leak", "/api/revenue-leak/batch"])
    def test_a_model_without_a_champion_says_what_to_run(self, client: Client, path: str) -> None:
        answer = client.post(path, json={"rows": [{}]})
        assert_problem(answer, 503, "NoChampion", "Run `septet train revenue_leak`")
        assert answer.headers["retry-after"] == "10"

    def test_a_row_the_model_fails_on_is_a_500_that_tells_nothing(self, client: Client) -> None:
        answer = client.post("/api/churn", json=EXAMPLE | {"tenure_months": 13})
        assert_problem(answer, 500, "RowUnanswered", "failed on this row")
        assert "poison" not in answer.text


class TestBatch:
    def test_each_row_is_answered_or_refused_with_its_index(self, client: Client) -> None:
        rows = [EXAMPLE, without("plan"), EXAMPLE | {"tenure_months": 13}, EXAMPLE | {"hours": 90}]
        said = client.post("/api/churn/batch", json={"rows": rows}).json()
        assert (said["answered"], said["refused"]) == (2, 2)
        assert [row["index"] for row in said["rows"]] == [0, 1, 2, 3]
        codes = [row["problem"] and row["problem"]["code"] for row in said["rows"]]
        assert codes == [None, "RowInvalid", "RowUnanswered", None]
        assert [row["answer"] is not None for row in said["rows"]] == [True, False, False, True]
        assert said["ranking"] == [3, 0]

    def test_rows_without_any_field_are_each_refused(self, client: Client) -> None:
        said = client.post("/api/churn/batch", json={"rows": [{}] * 20})
        assert (said.status_code, said.json()["refused"]) == (200, 20)

    def test_reasons_are_given_to_each_row_when_asked_for(self, client: Client) -> None:
        rows = {"rows": [EXAMPLE, EXAMPLE]}
        said = client.post("/api/churn/batch?explain=1", json=rows).json()
        assert all("drivers" in row["answer"] for row in said["rows"])

    @pytest.mark.parametrize(
        ("body", "status", "said"),
        [
            ({"rows": []}, 422, "rows: is empty; send at least one row"),
            ({"rows": {}}, 422, "rows: is not a list"),
            ([EXAMPLE], 422, "body: is not an object"),
            ({"rows": [EXAMPLE], "explain": True}, 422, "explain: is not a field of a batch"),
            ({"rows": [EXAMPLE] * 51}, 413, "The batch has 51 rows; at most 50 are taken"),
        ],
    )
    def test_another_body_is_refused(
        self, client: Client, body: object, status: int, said: str
    ) -> None:
        answer = client.post("/api/churn/batch", json=body)
        assert answer.status_code == status
        assert said in answer.json()["detail"]


class TestModels:
    def test_all_models_are_listed_with_their_state(self, client: Client) -> None:
        models = client.get("/models").json()["models"]
        assert [(m["model"], m["version"], m["serving"]) for m in models] == [
            ("churn", "1", True),
            ("revenue_leak", None, False),
        ]
        assert models[1]["path"] == "/api/revenue-leak"

    def test_info_tells_version_training_metrics_features_and_template(
        self, client: Client
    ) -> None:
        info = client.get("/models/churn/info").json()
        assert info["version"] == "1"
        assert info["metrics"] == {"auc_score": 0.8}
        assert info["trained_on"]["rows_train"] == 60
        assert info["trained_at"].endswith("Z")
        hours = next(f for f in info["features"] if f["name"] == "hours")
        assert (hours["unit"], hours["minimum"], hours["nullable"]) == ("hours", 0, True)
        assert info["template_csv"].startswith("client_id,tenure_months,hours,is_active,plan,")
        assert info["max_batch_rows"] == 50
        assert info["ranks_by"] == "probability"

    def test_health_is_a_real_prediction(self, client: Client) -> None:
        health = client.get("/models/churn/health").json()
        assert health["healthy"] is True
        assert 0 <= health["result"]["probability"] <= 1

    @pytest.mark.parametrize("page", ["info", "health"])
    def test_a_model_without_a_champion_says_what_to_run(self, client: Client, page: str) -> None:
        answer = client.get(f"/models/revenue-leak/{page}")
        assert_problem(answer, 503, "NoChampion", "Run `septet train revenue_leak`")

    @pytest.mark.parametrize("page", ["info", "health"])
    def test_an_unknown_model_names_those_there_are(self, client: Client, page: str) -> None:
        assert_problem(client.get(f"/models/nope/{page}"), 404, "ModelUnknown", "The models: ")

    def test_a_refused_release_is_told_and_the_old_one_answers(
        self, platform: Platform, client: Client
    ) -> None:
        (platform.shelf.write("2") / "encoder.json").write_text("{}")
        platform.shelf.point("2")
        platform.refresh()
        for page in ("/models/churn/info", "/models/churn/health"):
            said = client.get(page).json()
            assert said["version"] == "1"
            assert said["refused"]["version"] == "2"
            assert "'encoder.json' is not the one that was written" in said["refused"]["reason"]
        assert client.post("/api/churn", json=EXAMPLE).json()["version"] == "1"

    def test_a_model_that_fails_after_it_was_taken_is_unhealthy(
        self, platform: Platform, client: Client
    ) -> None:
        predictor: Any = platform.predictor("churn")
        predictor.base = float("nan")
        answer = client.get("/models/churn/health")
        assert_problem(answer, 503, "ModelUnhealthy", "does not answer its own example")


class TestPages:
    def test_docs_load_nothing_from_elsewhere(self, client: Client) -> None:
        page = client.get("/docs")
        assert page.status_code == 200
        assert "http" not in page.text.replace("http-equiv", "")
        for path in ("swagger-ui-bundle.js", "swagger-ui.css"):
            assert f"/docs/files/{path}" in page.text
            assert client.get(f"/docs/files/{path}").status_code == 200
        assert '"/openapi.json"' in client.get("/docs/start.js").text

    def test_the_front_leads_to_the_docs(self, client: Client) -> None:
        assert client.get("/").headers["location"] == "/docs"

    def test_openapi_has_each_models_own_row_result_and_example(self, client: Client) -> None:
        document = client.get("/openapi.json").json()
        operation = document["paths"]["/api/churn"]["post"]
        content = operation["requestBody"]["content"]["application/json"]
        assert content["schema"]["$ref"].endswith("/ChurnRow")
        assert client.post("/api/churn", json=content["example"]).status_code == 200
        row = document["components"]["schemas"]["ChurnRow"]
        assert row["additionalProperties"] is False
        assert row["properties"]["tenure_months"]["maximum"] == 600
        assert "/api/revenue-leak/batch" in document["paths"]

    def test_openapi_refers_to_nothing_that_is_not_there(self, client: Client) -> None:
        text = client.get("/openapi.json").text
        known = set(json.loads(text)["components"]["schemas"])
        used = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
        assert used <= known

    def test_openapi_follows_the_champion(self, platform: Platform, client: Client) -> None:
        features = {
            "age": {"type": "integer", "description": "Age", "example": 3},
            **{n: {"type": "number", "description": "More"} for n in ("a", "b", "c", "d")},
        }
        client.get("/openapi.json")
        platform.shelf.write("2", content={"features": features}, spans={})
        platform.shelf.point("2")
        platform.refresh()
        row = client.get("/openapi.json").json()["components"]["schemas"]["ChurnRow"]
        assert "age" in row["properties"]
        assert "hours" not in row["properties"]


class TestDocumentedErrors:
    """Each error that the pages document can be provoked, and none that they do not is given."""

    PROVOKED: tuple[tuple[int, Callable[[Client], httpx.Response]], ...] = (
        (400, lambda c: c.post("/api/churn", **raw("{"))),
        (413, lambda c: c.post("/api/churn", **raw(b" " * (8 * 2**20 + 1)))),
        (415, lambda c: c.post("/api/churn", content=b"{}")),
        (422, lambda c: c.post("/api/churn", json={})),
        (431, lambda c: c.post("/api/churn", json={}, headers={"X": "x" * 40_000})),
        (500, lambda c: c.post("/api/churn", json=EXAMPLE | {"tenure_months": 13})),
        (401, lambda c: c.post("/api/churn", json={}, headers={"X-API-Key": "x"})),
    )

    @pytest.mark.parametrize(("status", "provoke"), PROVOKED)
    def test_an_error_that_is_given_is_documented(
        self, client: Client, status: int, provoke: Callable[[Client], httpx.Response]
    ) -> None:
        answer = provoke(client)
        assert answer.status_code == status
        assert answer.headers["content-type"] == MEDIA_TYPE
        document = client.get("/openapi.json").json()
        given = document["paths"]["/api/churn"]["post"]["responses"][str(status)]
        name = given["$ref"].removeprefix("#/components/responses/")
        documented = document["components"]["responses"][name]
        assert answer.json()["code"] in documented["description"]
        assert MEDIA_TYPE in documented["content"]
