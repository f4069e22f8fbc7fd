"""The border on its own: deadlines, silence, and callers that leave."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos import border
from bentos.border import BODY, Border
from core.platform_config import Limits
from core.refusals import AccessDenied

Sent = list[dict[str, Any]]


def ask(app: ASGIApp, *messages: dict[str, Any], method: str = "POST", **scope: Any) -> Sent:
    """Put one request through a border around an app, and give what was sent."""
    waiting = list(messages) or [{"type": "http.request", "body": b"{}", "more_body": False}]
    sent: Sent = []

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(dict(message))

    request: Scope = {
        "type": "http", "method": method, "path": "/x", "raw_path": b"/x", "query_string": b"",
        "headers": [(b"content-type", b"application/json")], **scope,
    }  # fmt: skip
    gate = Border(app, limits=lambda: Limits(body_bytes=1024), admit=lambda *_: None)
    asyncio.run(gate(request, receive, send))
    return sent


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    assert message["body"] == scope[BODY]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"server", b"X")]})
    await send({"type": "http.response.body", "body": message["body"]})


def problem(sent: Sent) -> dict[str, Any]:
    assert sent[0]["type"] == "http.response.start"
    said: dict[str, Any] = json.loads(sent[1]["body"])
    assert said["status"] == sent[0]["status"]
    return said


def test_a_body_in_pieces_arrives_whole() -> None:
    pieces = [{"type": "http.request", "body": b, "more_body": b != b"}"} for b in (b"{", b"}")]
    sent = ask(echo, *pieces)
    assert sent[1]["body"] == b"{}"


def test_the_servers_name_is_not_told_and_the_id_is() -> None:
    headers = dict(ask(echo)[0]["headers"])
    assert b"server" not in headers
    assert b"x-request-id" in headers


def test_an_answer_that_takes_too_long_is_a_504(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(border, "DEADLINE_SECONDS", 0.01)

    async def slow(*_: Any) -> None:
        await asyncio.sleep(5)

    assert problem(ask(slow))["code"] == "DeadlinePassed"


def test_a_timeout_of_the_apps_own_is_a_failure_and_no_deadline() -> None:
    async def slow(*_: Any) -> None:
        raise TimeoutError

    assert problem(ask(slow))["status"] == 500


def test_an_app_that_says_nothing_is_a_500() -> None:
    async def silent(*_: Any) -> None:
        return

    assert "gave no answer" in problem(ask(silent))["detail"]


def test_a_failure_after_the_answer_began_sends_no_second_answer() -> None:
    async def half(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError

    assert [message["type"] for message in ask(half)] == ["http.response.start"]


def test_a_caller_that_left_is_not_answered() -> None:
    assert ask(echo, {"type": "http.disconnect"}) == []


@pytest.mark.parametrize("status", [400, 403, 409, 429, 500, 501, 503])
def test_a_bare_status_of_a_library_becomes_a_problem_of_that_status(status: int) -> None:
    async def bare(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b'[{"error": "internal"}]'})

    said = problem(ask(bare))
    assert said["status"] == status
    assert "internal" not in said["detail"]


def test_a_library_that_refuses_a_caller_gets_our_words() -> None:
    async def bare(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})

    assert problem(ask(bare))["code"] == AccessDenied.__name__


def test_what_is_no_request_passes_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        seen.append(scope["type"])

    assert ask(app, type="lifespan") == []
    assert seen == ["lifespan"]


def test_no_half_of_a_declared_body_is_read_when_it_is_too_large() -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2000")]

    async def never(*_: Any) -> None:
        pytest.fail("the app was asked")

    assert problem(ask(never, headers=headers))["status"] == 413
