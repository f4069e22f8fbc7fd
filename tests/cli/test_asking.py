"""Asking over HTTP: what an answer is taken for, and when it is asked again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from cli.asking import Asker, PlatformDown, PlatformRefused, platform_url
from core.errors import FieldProblem
from core.refusals import FieldsInvalid
from core.settings import Settings

PROBLEM = {
    "status": 422,
    "code": "FieldsInvalid",
    "title": "Some fields are wrong",
    "detail": "x: is missing.",
    "problems": [{"field": "x", "problem": "is missing", "allowed": "it is needed"}],
}


class Script(HTTPServer):
    """A server that gives the answers it was given, one after another."""

    answers: list[tuple[int, dict[str, str], bytes]]
    asked: list[tuple[str, str, bytes]]


class Actor(BaseHTTPRequestHandler):
    server: Script

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((f"{self.command} {self.path}", self.headers["X-API-Key"], body))
        status, headers, content = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - its base calls it so

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Script]:
    found = Script(("127.0.0.1", 0), Actor)
    found.answers, found.asked = [], []
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def asker(server: Script, *, path: str = "", patience_seconds: float = 0) -> Asker:
    url = f"http://127.0.0.1:{server.server_port}{path}"
    return Asker(url, "sep_live_x", patience_seconds=patience_seconds)


def test_what_is_asked_has_the_key_and_the_query(server: Script) -> None:
    server.answers = [(200, {}, b'{"a": 1}'), (201, {}, b"[]")]
    assert asker(server).get("/models", {"since": "a b"}) == {"a": 1}
    assert asker(server, path="/septet/").post("/api/outcomes", {"x": 1}) == []
    assert server.asked == [
        ("GET /models?since=a+b", "sep_live_x", b""),
        ("POST /septet/api/outcomes", "sep_live_x", b'{"x": 1}'),
    ]


def test_a_problem_document_is_raised_with_all_it_says(server: Script) -> None:
    server.answers = [(422, {}, json.dumps(PROBLEM).encode())]
    with pytest.raises(PlatformRefused, match="x: is missing") as found:
        asker(server).get("/x")
    assert (found.value.code, found.value.answered) == ("FieldsInvalid", 422)
    assert found.value.problems == (FieldProblem("x", "is missing", "it is needed"),)


@pytest.mark.parametrize("status", [401, 403])
def test_of_a_key_that_is_refused_it_is_said_where_it_comes_from(
    server: Script, status: int
) -> None:
    problem = {**PROBLEM, "status": status, "detail": "This needs analyst."}
    server.answers = [(status, {}, json.dumps(problem).encode())]
    said = "This needs analyst. `septet` takes the key from SEPTET_KEY, or from --key-file."
    with pytest.raises(PlatformRefused, match=said):
        asker(server).get("/x")


@pytest.mark.parametrize(
    ("status", "content"),
    [(200, b"<html>"), (404, b"<html>"), (502, b'"no"'), (307, b""), (422, b'{"problems": [1]}')],
)
def test_an_answer_that_is_none_of_a_platform_is_said_to_be_none(
    server: Script, status: int, content: bytes
) -> None:
    server.answers = [(status, {}, content)]
    with pytest.raises(PlatformRefused, match="Is the address that of a Septet platform") as found:
        asker(server).get("/x")
    assert found.value.code == f"Http{status}"


def test_what_is_full_is_asked_again_when_it_says_so_as_long_as_patience_lasts(
    server: Script,
) -> None:
    full = (503, {"Retry-After": "1"}, json.dumps({"code": "SpoolFull", "detail": "no"}).encode())
    server.answers = [full, (200, {}, b"{}")]
    assert asker(server, patience_seconds=30).post("/x", {}) == {}
    assert len(server.asked) == 2
    server.answers = [full]
    with pytest.raises(PlatformRefused) as found:
        asker(server).post("/x", {})
    assert found.value.code == "SpoolFull"


def test_who_hangs_up_while_one_waits_is_asked_anew(server: Script) -> None:
    class Impatient(Actor):
        protocol_version = "HTTP/1.1"
        timeout = 0.2

    server.RequestHandlerClass = Impatient
    busy = (429, {"Retry-After": "1"}, json.dumps({"code": "RateLimited", "detail": "no"}).encode())
    server.answers = [busy, (200, {}, b"{}")]
    with asker(server, patience_seconds=30) as one:
        assert one.post("/x", {}) == {}
    assert len(server.asked) == 2


def test_who_hangs_up_in_the_middle_is_named(server: Script) -> None:
    server.answers = [(200, {"Content-Length": "100"}, b"{")]
    with pytest.raises(PlatformDown, match=r"No platform answers at http://127\.0\.0\.1"):
        asker(server).get("/x")


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8800", "ftp://x", "http://", "http://u:p@x", "http://x:0", "http://x:y",
     "http://x/?a=1", "http://x/\n", "http://\u00e9"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(FieldsInvalid, match="--url"):
        Asker(url, "sep_live_x")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8800"),
        ("0.0.0.0", "http://127.0.0.1:8800"),  # noqa: S104 - not bound here
        ("::1", "http://[::1]:8800"),
    ],
)
def test_the_address_of_this_installation_is_one_to_ask(host: str, url: str) -> None:
    assert platform_url(Settings(host=host)) == url
