"""The gate: who passes, what is refused before any route, and how errors leave."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from bentos.problem import MEDIA_TYPE
from core.errors import SeptetError
from services.access.origin import Origin
from services.gate import Gate, key_of
from tests.services.conftest import RUNNER, Client, Platform, assert_problem, start
from tests.tiny import Shelf

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


def limited(folder: Path, **limits: int) -> Platform:
    """Start a platform whose callers may do no more than that."""
    usual = {
        "requests_per_minute": 100, "rows_per_minute": 100, "burst_per_second": 100,
        "concurrent": 100,
    }  # fmt: skip
    configs = folder / "configs"
    configs.mkdir()
    (configs / "platform.yaml").write_text(json.dumps({"tiers": {"standard": usual | limits}}))
    shelf = Shelf(folder / "home" / "releases")
    shelf.write("1")
    shelf.point("1")
    return start(folder / "home", configs=configs)


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


class TestTiers:
    def test_what_is_left_stands_in_every_answer(self, client: Client) -> None:
        answer = client.get("/models")
        assert answer.headers["ratelimit-policy"].startswith('"requests";q=6000;w=60')
        assert answer.headers["ratelimit"] in {f'"requests";r=5999;t={t}' for t in (60, 61)}

    @pytest.mark.parametrize(
        ("limits", "said"),
        [
            ({"burst_per_second": 5}, "5 requests a second"),
            ({"requests_per_minute": 5}, "5 requests a minute"),
        ],
    )
    def test_beyond_a_limit_it_is_refused_with_the_time_to_wait(
        self, tmp_path: Path, limits: dict[str, int], said: str
    ) -> None:
        platform = limited(tmp_path, **limits)
        client = Client(platform.app, headers={"X-API-Key": platform.key})
        answers = [client.get("/models") for _ in range(60)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert_problem(refused[0], 429, "RateLimited", said)
        assert 1 <= int(refused[0].headers["retry-after"]) <= 61
        assert {answer.status_code for answer in answers} == {200, 429}
        platform.close()

    def test_rows_are_counted_and_not_only_requests(self, tmp_path: Path) -> None:
        platform = limited(tmp_path, rows_per_minute=5)
        client = Client(platform.app, headers={"X-API-Key": platform.key})
        row = {"tenure_months": 12, "is_active": True, "plan": "basic", "region": "north"}
        first = client.post("/api/churn/batch", json={"rows": [row] * 4})
        assert first.status_code == 200
        second = client.post("/api/churn/batch", json={"rows": [row] * 2})
        assert_problem(second, 429, "RateLimited", "5 rows a minute")
        assert client.post("/api/churn", json=row).status_code == 200
        page = client.get("/metrics").text
        assert 'septet_limited_total{limit="rows",tier="standard"} 1.0' in page
        platform.close()

    def test_too_many_at_once_are_refused_and_the_others_answered(self, tmp_path: Path) -> None:
        platform = limited(tmp_path, concurrent=3)

        async def run() -> list[httpx.Response]:
            transport = httpx.ASGITransport(app=platform.app)
            headers = {"X-API-Key": platform.key}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://septet", headers=headers
            ) as asking:
                path = "/models/churn/health"
                return await asyncio.gather(*[asking.get(path) for _ in range(10)])

        answers = RUNNER.run(run())
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) == 7
        assert_problem(refused[0], 429, "TooManyAtOnce", "3 requests of this key")
        platform.close()


class TestOrigin:
    def test_a_page_of_an_allowed_site_may_call(self, platform: Platform) -> None:
        platform.runtime.origin = Origin(cors_origins=["https://app.example"])
        asked = Client(platform.app).request(
            "OPTIONS",
            "/api/churn",
            headers={
                "Origin": "https://app.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "x-api-key",
            },
        )
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == "https://app.example"
        assert "x-api-key" in asked.headers["access-control-allow-headers"]
        # Also the refusal for want of a key can be read by the page.
        answer = Client(platform.app).get("/models", headers={"Origin": "https://app.example"})
        assert answer.status_code == 401
        assert answer.headers["access-control-allow-origin"] == "https://app.example"

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.evil"])
    def test_a_page_of_another_site_may_not(self, platform: Platform, origin: str) -> None:
        platform.runtime.origin = Origin(cors_origins=["https://app.example"])
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = Client(platform.app).request("OPTIONS", "/api/churn", headers=headers)
        assert_problem(answer, 403, "OriginUnknown", "may not call")
        assert "access-control-allow-origin" not in answer.headers

    def test_options_without_a_preflight_needs_a_key(self, platform: Platform) -> None:
        assert Client(platform.app).request("OPTIONS", "/api/churn").status_code == 401

    @pytest.mark.parametrize(
        ("host", "status"),
        [("septet.example", 200), ("septet.example:8800", 200), ("SEPTET.example", 200),
         ("evil.example", 421), ("", 421), ("septet.example.evil", 421)],
    )  # fmt: skip
    def test_only_the_names_that_are_set_are_answered(
        self, platform: Platform, client: Client, host: str, status: int
    ) -> None:
        platform.runtime.origin = Origin(hosts=["septet.example"])
        answer = client.get("/models", headers={"Host": host})
        assert answer.status_code == status
