"""The gate: who passes, what is refused before any route, and how errors leave."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send

from bentos.problem import MEDIA_TYPE
from core.errors import SeptetError
from services.gate import Gate, key_of
from tests.services.conftest import Client, Platform

EVERY_PATH = [
    "/", "/docs", "/docs/start.js", "/docs/files/swagger-ui.css", "/openapi.json", "/models",
    "/models/churn/info", "/models/churn/health", "/api/churn", "/nothing", "/healthz", "/metrics",
]  # fmt: skip


class TestKeys:
    @pytest.mark.parametrize("path", EVERY_PATH)
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
    def test_without_a_key_nothing_but_the_probes_answers(
        self, platform: Platform, path: str, method: str
    ) -> None:
        answer = Client(platform.app).request(method, path)
        assert answer.status_code == 401
        assert answer.json()["detail"].startswith("No API key was sent.")
        assert "Basic" in answer.headers["www-authenticate"]

    def test_a_wrong_key_is_told_from_none(self, platform: Platform) -> None:
        asking = Client(platform.app, headers={"X-API-Key": "let me in"})
        answer = asking.get("/models")
        assert answer.status_code == 401
        assert "not an API key of Septet" in answer.json()["detail"]

    def test_a_key_passes_as_header_as_bearer_and_as_password(self, platform: Platform) -> None:
        asking = Client(platform.app)
        basic = base64.b64encode(f"me:{platform.key}".encode()).decode()
        for headers in (
            {"X-API-Key": platform.key},
            {"Authorization": f"Bearer {platform.key}"},
            {"Authorization": f"Basic {basic}"},
        ):
            assert asking.get("/models", headers=headers).status_code == 200

    def test_a_browsers_password_does_not_open_posting(self, platform: Platform) -> None:
        answer = Client(platform.app).post("/api/churn", auth=("me", platform.key), json={})
        assert answer.status_code == 401

    @pytest.mark.parametrize("value", ["Basic", "Basic !!!", "Basic YWJj", "Digest x", ""])
    def test_malformed_credentials_are_no_key(self, value: str) -> None:
        assert key_of("GET", {b"authorization": value.encode()}) == ""


class TestProbes:
    def test_live_is_open(self, platform: Platform) -> None:
        # Under BentoML its own route answers; here the app has none, and what counts is: no 401.
        assert Client(platform.app).get("/livez").status_code != 401

    def test_ready_is_refused_without_any_champion(self, bare: Platform) -> None:
        answer = Client(bare.app).get("/readyz")
        assert answer.status_code == 503
        assert "Run `septet train churn`" in answer.json()["detail"]


class TestLimits:
    def test_a_body_over_the_limit_is_refused(self, client: Client) -> None:
        answer = client.post("/api/churn", content=b" " * (8 * 2**20 + 1), headers=JSON)
        assert answer.status_code == 413
        assert "more than the 8,388,608 bytes allowed" in answer.json()["detail"]

    def test_a_chunked_body_over_the_limit_is_refused(self, client: Client) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(9):
                yield b" " * 2**20

        answer = client.post("/api/churn", content=chunks(), headers=JSON)
        assert answer.status_code == 413

    def test_headers_over_the_limit_are_refused(self, client: Client) -> None:
        answer = client.get("/models", headers={"X-Long": "x" * 40_000})
        assert answer.status_code == 431
        assert "32,768 bytes" in answer.json()["detail"]

    @pytest.mark.parametrize(
        "kind",
        [
            "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
            "application/vnd.bentoml+pickle", "application/json; charset=latin-1", "",
        ],
    )  # fmt: skip
    def test_another_content_type_than_json_is_refused(self, client: Client, kind: str) -> None:
        answer = client.post("/api/churn", content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 415
        assert "send `Content-Type: application/json`" in answer.json()["detail"]

    def test_a_compressed_body_is_refused(self, client: Client) -> None:
        answer = client.post("/api/churn", content=b"x", headers=JSON | {"Content-Encoding": "br"})
        assert answer.status_code == 415
        assert "Content-Encoding br" in answer.json()["detail"]


class TestErrors:
    def test_an_unknown_path_names_itself(self, client: Client) -> None:
        answer = client.get("/nothing/here")
        assert answer.status_code == 404
        assert "Nothing is served under '/nothing/here'" in answer.json()["detail"]

    def test_a_wrong_method_says_which_is_right(self, client: Client) -> None:
        answer = client.get("/api/churn")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"
        assert "GET is not allowed here. Use POST." in answer.json()["detail"]

    def test_every_error_is_a_problem_document_with_the_requests_id(self, client: Client) -> None:
        answer = client.get("/nothing", headers={"X-Request-Id": "mine-1"})
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert answer.headers["x-request-id"] == "mine-1"
        problem = answer.json()
        assert problem["instance"] == "mine-1"
        assert problem["status"] == 404
        assert {"type", "title", "code", "detail"} <= set(problem)

    def test_an_id_that_could_spoil_a_log_is_replaced(self, client: Client) -> None:
        answer = client.get("/models", headers={"X-Request-Id": 'a"b\\n' * 3})
        assert len(answer.headers["x-request-id"]) == 36

    @pytest.mark.parametrize("sends_first", [False, True])
    def test_a_failure_nobody_foresaw_is_a_500_that_tells_nothing(
        self, platform: Platform, *, sends_first: bool
    ) -> None:
        async def broken(_: Scope, __: Receive, send: Send) -> None:
            if sends_first:
                await send({"type": "http.response.start", "status": 500, "headers": []})
                await send({"type": "http.response.body", "body": b"Traceback: secret"})
            raise KeyError("secret")

        gate = Gate(broken, runtime=platform.runtime)
        answer = Client(gate).get("/x", headers={"X-API-Key": platform.key})
        assert answer.status_code == SeptetError.status
        assert "secret" not in answer.text
        assert "the reason stands in its log" in answer.json()["detail"]

    def test_answers_forbid_sniffing_framing_and_caching(self, client: Client) -> None:
        headers = client.get("/models").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'none'")


JSON = {"Content-Type": "application/json"}
