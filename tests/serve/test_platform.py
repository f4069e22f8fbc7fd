"""The composite in its own process, over real HTTP: every route, every bad input."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import pytest

from bentos.catalog import CATALOG, path_name
from tests.serve.conftest import (
    ROOT,
    TOPOLOGIES,
    Fleet,
    Home,
    Server,
    environment,
    running,
    running_platform,
    stop,
)

pytestmark = pytest.mark.serve

JSON = {"Content-Type": "application/json"}
TARGET = "services.platform:Platform"
MOST_MEMORY_BYTES = 250 * 2**20
FORBIDDEN = (
    "mlflow", "pandas", "prophet", "sklearn", "evidently", "dbos", "duckdb", "scipy",
    "matplotlib",
)  # fmt: skip

ANSWER_ALL = """
import json, sys
from bentos.answering import answer_row
from bentos.catalog import CATALOG
from services.platform import RUNTIME, Platform
Platform.to_asgi()
RUNTIME.start()
for model in CATALOG:
    release = RUNTIME.holder.champion(model)
    answer_row(release, release.contract.example(), explain=True)
print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture(scope="module", params=TOPOLOGIES)
def fleet(request: pytest.FixtureRequest, home: Home, scratch: Path) -> Iterator[Fleet]:
    with running_platform(request.param, home=home.path, scratch=scratch) as started:
        yield started


@pytest.fixture(scope="module")
def server(fleet: Fleet) -> Server:
    return fleet.platform


@pytest.fixture(scope="module")
def client(server: Server, home: Home) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=home.headers, timeout=30) as asking:
        yield asking


@pytest.fixture(scope="module")
def examples(client: httpx.Client) -> dict[str, dict[str, Any]]:
    """Give the example row of each model, as its page shows it."""
    paths = client.get("/openapi.json").json()["paths"]
    return {
        model: paths[f"/api/{path_name(model)}"]["post"]["requestBody"]["content"][
            "application/json"
        ]["example"]
        for model in CATALOG
    }


@pytest.mark.parametrize("model", CATALOG)
class TestEveryModel:
    def test_one_row_is_answered(
        self, client: httpx.Client, examples: dict[str, dict[str, Any]], model: str
    ) -> None:
        answer = client.post(f"/api/{path_name(model)}", json=examples[model])
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert said["model"] == model
        assert UUID(said["prediction_id"]).version == 7
        assert said["result"]

    def test_reasons_add_up(
        self, client: httpx.Client, examples: dict[str, dict[str, Any]], model: str
    ) -> None:
        path = f"/api/{path_name(model)}?explain=true"
        drivers = client.post(path, json=examples[model]).json()["drivers"]
        parts = sum(part["contribution"] for part in drivers["contributions"])
        assert drivers["base"] + parts == pytest.approx(drivers["total"], abs=1e-9)

    def test_a_batch_is_answered_row_by_row(
        self, client: httpx.Client, examples: dict[str, dict[str, Any]], model: str
    ) -> None:
        rows = {"rows": [examples[model], {"nonsense": 1}, examples[model]]}
        said = client.post(f"/api/{path_name(model)}/batch", json=rows).json()
        assert (said["answered"], said["refused"]) == (2, 1)
        assert said["rows"][1]["index"] == 1
        assert said["rows"][1]["problem"]["code"] == "RowInvalid"
        single = client.post(f"/api/{path_name(model)}", json=examples[model]).json()
        assert said["rows"][0]["answer"]["result"] == single["result"]

    def test_info_and_health_answer(self, client: httpx.Client, model: str) -> None:
        info = client.get(f"/models/{path_name(model)}/info").json()
        assert info["metrics"]
        assert info["template_csv"].count("\n") == 2
        health = client.get(f"/models/{path_name(model)}/health").json()
        assert health["healthy"] is True
        assert health["version"] == info["version"]


class TestRoutes:
    def test_models_are_listed(self, client: httpx.Client) -> None:
        models = client.get("/models").json()["models"]
        assert [m["model"] for m in models] == list(CATALOG)
        assert all(m["serving"] for m in models)

    @pytest.mark.parametrize("path", ["/livez", "/readyz"])
    def test_probes_need_no_key(self, server: Server, path: str) -> None:
        assert httpx.get(server.url + path).status_code == 200

    def test_docs_open_in_a_browser_with_the_key_as_password(
        self, server: Server, home: Home
    ) -> None:
        with httpx.Client(base_url=server.url, auth=("me", home.key)) as browser:
            assert "swagger-ui" in browser.get("/docs").text
            for path in ("/docs/files/swagger-ui-bundle.js", "/docs/start.js", "/openapi.json"):
                assert browser.get(path).status_code == 200

    @pytest.mark.parametrize(
        "path",
        ["/", "/docs", "/docs.json", "/schema.json", "/metrics", "/openapi.json", "/models",
         "/static_content/index.css", "/healthz", "/api/churn"],
    )  # fmt: skip
    def test_nothing_else_answers_without_a_key(self, server: Server, path: str) -> None:
        answer = httpx.get(server.url + path)
        assert_problem(answer, 401, "No API key was sent.")

    def test_the_metrics_are_ours_and_not_bentomls(self, client: httpx.Client) -> None:
        page = client.get("/metrics").text
        assert "septet_requests_total" in page
        assert "bentoml" not in page


class TestBadInput:
    """Every item of the list that comes over HTTP; the fields' own are in tests/services."""

    def test_no_key_and_a_wrong_key(self, server: Server) -> None:
        answer = httpx.post(f"{server.url}/api/churn", json={})
        assert_problem(answer, 401, "No API key was sent. Send a key in the header `X-API-Key`.")
        answer = httpx.post(f"{server.url}/api/churn", json={}, headers={"X-API-Key": "sep"})
        assert_problem(answer, 401, "not an API key of Septet")

    def test_an_unknown_model_path_and_method(self, client: httpx.Client) -> None:
        answer = client.post("/api/chrun", json={})
        assert_problem(answer, 404, "Did you mean 'churn'?")
        assert_problem(client.get("/api/churn/x/y"), 404, "Nothing is served under")
        answer = client.get("/api/churn")
        assert_problem(answer, 405, "GET is not allowed here. Use POST.")
        assert answer.headers["allow"] == "POST"

    def test_a_missing_and_an_extra_field(
        self, client: httpx.Client, examples: dict[str, dict[str, Any]]
    ) -> None:
        assert_problem(client.post("/api/churn", json={}), 422, "is missing")
        answer = client.post("/api/churn", json=examples["churn"] | {"colour": "red"})
        assert_problem(answer, 422, "colour: is not a field of this model")

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b'{"a": NaN}', "NaN is not JSON at line 1 column 7"),
            (b'{"a": -Infinity}', "Infinity is not JSON"),
            (b'{"a": 1e400}', "The number at a is beyond a 64-bit float"),
            (b'{"a": 1, "a": 2}', 'Detected duplicate key "a"'),
            (b'{"a": "\xff"}', "Bytes that are not UTF-8"),
            (b'{"a": "\\ud800"}', "half of a surrogate pair"),
            (b"[" * 100_000, "nested deeper than 16 levels"),
            (b"1" * 5000, "A number of too many digits"),
            (b"", "The body is empty"),
        ],
    )
    def test_a_body_that_is_not_strict_json(
        self, client: httpx.Client, body: bytes, said: str
    ) -> None:
        for path in ("/api/churn", "/api/churn/batch"):
            assert_problem(client.post(path, content=body, headers=JSON), 400, said)

    def test_an_empty_batch_and_one_over_the_limit(
        self, client: httpx.Client, examples: dict[str, dict[str, Any]]
    ) -> None:
        answer = client.post("/api/churn/batch", json={"rows": []})
        assert_problem(answer, 422, "rows: is empty; send at least one row")
        most = client.get("/models/churn/info").json()["max_batch_rows"]
        rows = {"rows": [examples["churn"]] * (most + 1)}
        answer = client.post("/api/churn/batch", json=rows)
        assert_problem(answer, 413, f"has {most + 1:,} rows; at most {most:,}")

    def test_a_body_over_the_limit_declared_or_in_chunks(self, client: httpx.Client) -> None:
        big = b" " * (9 * 2**20)
        answer = client.post("/api/churn", content=big, headers=JSON)
        assert_problem(answer, 413, "more than the 8,388,608 bytes allowed")

        def chunks() -> Iterator[bytes]:
            for _ in range(9):
                yield b" " * 2**20

        answer = client.post("/api/churn", content=chunks(), headers=JSON)
        assert_problem(answer, 413, "more than the 8,388,608 bytes allowed")

    def test_headers_over_the_limit(self, client: httpx.Client) -> None:
        answer = client.get("/models", headers={"X-Long": "x" * 40_000})
        assert_problem(answer, 431, "more than the 32,768 bytes allowed")

    @pytest.mark.parametrize("kind", ["text/plain", "application/vnd.bentoml+pickle", "text/csv"])
    def test_another_content_type(self, client: httpx.Client, kind: str) -> None:
        answer = client.post("/api/churn", content=b"{}", headers={"Content-Type": kind})
        assert_problem(answer, 415, f"'{kind}' was sent; send `Content-Type: application/json`.")

    def test_the_connection_stays_open_after_errors(self, server: Server, home: Home) -> None:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as line:
            for path in ("/nothing", "/api/churn", "/models/x/info", "/models"):
                head = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {home.key}\r\n\r\n"
                line.sendall(head.encode())
                first = read_answer(line)
                assert first.startswith(b"HTTP/1.1 "), "the connection was closed"


class TestProcess:
    def test_it_stays_small_and_imports_nothing_that_trains(
        self, server: Server, client: httpx.Client, examples: dict[str, dict[str, Any]]
    ) -> None:
        for model in CATALOG:
            rows = {"rows": [examples[model]] * 100}
            client.post(f"/api/{path_name(model)}/batch?explain=true", json=rows)
        [worker] = psutil.Process(server.process.pid).children()
        assert worker.memory_info().rss < MOST_MEMORY_BYTES
        # A library that is imported has its compiled parts mapped.
        mapped = {part for m in worker.memory_maps() for part in Path(m.path).parts}
        assert not mapped.intersection(FORBIDDEN)

    def test_its_modules_hold_none_of_the_training_libraries(
        self, home: Home, scratch: Path
    ) -> None:
        done = subprocess.run(
            [sys.executable, "-c", ANSWER_ALL],
            cwd=ROOT,
            env=environment(home.path, scratch),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        modules = set(json.loads(done.stdout))
        assert "services.app" in modules
        assert not modules.intersection({*FORBIDDEN, "lightgbm", "core.registry"})

    def test_many_callers_at_once_each_get_their_own_answer(
        self, client: httpx.Client, examples: dict[str, dict[str, Any]]
    ) -> None:
        def ask(turn: int) -> bool:
            row = examples["churn"]
            entity = next(k for k in row if row[k] == "example-1")
            if turn % 5 == 0:
                said = client.post("/api/churn/batch", json={"rows": [row | {entity: f"{turn}"}]})
                return bool(said.json()["rows"][0]["answer"]["entity"] == f"{turn}")
            said = client.post("/api/churn", json=row | {entity: f"{turn}"})
            return bool(said.json()["entity"] == f"{turn}")

        with ThreadPoolExecutor(max_workers=8) as pool:
            assert all(pool.map(ask, range(200)))


def test_without_any_champion_it_starts_and_says_what_to_run(
    tmp_path: Path, home: Home, scratch: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "records.db").write_bytes((home.path / "records.db").read_bytes())
    with running(TARGET, home=bare, scratch=scratch, wait_for="/livez") as server:
        assert_problem(httpx.get(f"{server.url}/readyz"), 503, "Run `septet train")
        answer = httpx.post(f"{server.url}/api/revenue-leak", json={}, headers=home.headers)
        assert_problem(answer, 503, "Run `septet train revenue_leak`.")


def test_told_to_stop_it_finishes_what_it_began(home: Home, scratch: Path) -> None:
    with running(TARGET, home=home.path, scratch=scratch) as server:
        page = httpx.get(f"{server.url}/openapi.json", headers=home.headers).json()
        operation = page["paths"]["/api/churn/batch"]["post"]
        example = operation["requestBody"]["content"]["application/json"]["example"]
        body = {"rows": example["rows"] * 500}

        def ask(caller: httpx.Client) -> httpx.Response:
            return caller.post("/api/churn/batch?explain=true", json=body, timeout=60)

        with ExitStack() as lines:
            callers = [
                lines.enter_context(httpx.Client(base_url=server.url, headers=home.headers))
                for _ in range(3)
            ]
            for caller in callers:
                # A line that the server has taken; one that waits at its door may be refused.
                assert caller.get("/livez").status_code == 200
            with ThreadPoolExecutor() as pool:
                asked = [pool.submit(ask, caller) for caller in callers]
                time.sleep(1.0)
                assert stop(server.process) == 0
                answers = [one.result() for one in asked]
        assert [answer.status_code for answer in answers] == [200] * 3


def assert_problem(answer: httpx.Response, status: int, said: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = json.loads(answer.text)
    assert problem["status"] == status
    assert said in problem["detail"]
    assert problem["instance"] == answer.headers["x-request-id"]


def read_answer(line: socket.socket) -> bytes:
    """Read one whole answer of HTTP/1.1 that states its length."""
    held = b""
    while b"\r\n\r\n" not in held:
        part = line.recv(65536)
        if not part:
            return held
        held += part
    head, _, body = held.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    assert found is not None
    while len(body) < int(found[1]):
        body += line.recv(65536)
    return held
