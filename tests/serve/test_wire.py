"""Raw bytes over a real socket: whatever is sent, the answer is HTTP, and the server goes on."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.serve.conftest import Home, Server, running

pytestmark = pytest.mark.serve

JSON = "Content-Type: application/json\r\n"
WAIT_SECONDS = 15.0
ESCAPE = "\x1b"


@dataclass(frozen=True)
class Answer:
    """One answer, as it came over the wire.

    Parameters
    ----------
    status
        HTTP status.
    headers
        Names in lower case.
    body
        The body.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Code of the problem that it is."""
        assert self.headers["content-type"] == "application/problem+json", self
        return str(json.loads(self.body)["code"])


@dataclass(frozen=True)
class Wire:
    """A server, spoken to in bytes.

    Parameters
    ----------
    server
        Who is spoken to.
    key
        Opens it.
    row
        A valid row of ``churn``.
    """

    server: Server
    key: str
    row: bytes

    def say(self, said: bytes, *, count: int = 1, shut: bool = False) -> list[Answer]:
        """Send bytes on a connection of their own, and read so many answers."""
        host, port = self.server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=WAIT_SECONDS) as line:
            line.sendall(said)
            if shut:
                line.shutdown(socket.SHUT_WR)
            held = b""
            answers: list[Answer] = []
            while len(answers) < count:
                answer, held = read_answer(line, held)
                if answer is None:
                    break
                if answer.status != httpx.codes.CONTINUE:
                    answers.append(answer)
            return answers

    def ask(self, target: str, *, method: str = "GET", more: str = "", key: bool = True) -> Answer:
        """Ask once, the target as it stands."""
        mine = f"X-API-Key: {self.key}\r\n" if key else ""
        head = f"{method} {target} HTTP/1.1\r\nHost: septet\r\n{mine}{more}\r\n"
        [answer] = self.say(head.encode("latin-1"))
        return answer

    def post(self, target: str, body: bytes, *, more: str = JSON) -> bytes:
        """Write a request with a body."""
        head = f"POST {target} HTTP/1.1\r\nHost: septet\r\nX-API-Key: {self.key}\r\n{more}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def read_answer(line: socket.socket, held: bytes) -> tuple[Answer | None, bytes]:
    """Read one answer; nothing when the connection ends before it is whole."""
    while b"\r\n\r\n" not in held:
        part = receive(line)
        if not part:
            return None, held
        held += part
    head, _, held = held.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines]
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    assert len(headers) == len(pairs), "a header came twice"
    length = int(headers.get("content-length", 0))
    while len(held) < length:
        part = receive(line)
        if not part:
            return None, held
        held += part
    return Answer(int(first.split()[1]), headers, held[:length]), held[length:]


def receive(line: socket.socket) -> bytes:
    """Read what came; nothing at the end of the connection, however it ends."""
    with suppress(ConnectionResetError):
        return line.recv(65536)
    return b""


@pytest.fixture(scope="module")
def wire(home: Home, scratch: Path) -> Iterator[Wire]:
    with running("services.platform:Platform", home=home.path, scratch=scratch) as server:
        page: Any = httpx.get(f"{server.url}/openapi.json", headers=home.headers).json()
        body = page["paths"]["/api/churn"]["post"]["requestBody"]["content"]["application/json"]
        yield Wire(server, home.key, json.dumps(body["example"]).encode())


@pytest.fixture(autouse=True)
def _goes_on(wire: Wire) -> Iterator[None]:
    """Hold the server to what it must do after anything: go on, as the same process, in silence."""
    before = [child.pid for child in psutil.Process(wire.server.process.pid).children()]
    yield
    [answer] = wire.say(wire.post("/api/churn", wire.row))
    assert answer.status == httpx.codes.OK
    assert [child.pid for child in psutil.Process(wire.server.process.pid).children()] == before
    log = wire.server.log.read_text(errors="replace")
    assert "Traceback" not in log
    assert "request_failed" not in log


def row_with(wire: Wire, text: bytes) -> bytes:
    """Put text in the place of a number of the valid row."""
    assert b'"tenure_months": 18' in wire.row
    return wire.row.replace(b'"tenure_months": 18', b'"tenure_months": ' + text)


class TestBodies:
    @pytest.mark.parametrize("target", ["/api/churn", "/api/churn/batch", "/api/demand"])
    @pytest.mark.parametrize(
        "body",
        [
            b"", b" ", b"{", b'{"a": ', b'"', b"nul", b"\x00", b"\xff\xfe{\x00}\x00",
            b"\xef\xbb\xbf{}", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e400}',
            b'{"a": "\\ud800"}', b'{"\\udfff": 1}', b'{"a": "\xed\xa0\x80"}', b'{"a": "\xff"}',
            b'{"a": 1, "a": 2}', b'{"a": 1, "\\u0061": 2}', b"[" * 100_000, b'{"a":' * 5000,
            b"9" * 100_000, b'{"a": 01}', b"{'a': 1}", b'{"a": 1} {}', b'{"a": 1,}', b"/**/{}",
        ],
        ids=lambda body: repr(body[:24]),
    )  # fmt: skip
    def test_what_is_not_strict_json_is_refused(self, wire: Wire, target: str, body: bytes) -> None:
        [answer] = wire.say(wire.post(target, body))
        assert (answer.status, answer.code) == (400, "JsonInvalid")

    @pytest.mark.parametrize(
        "text",
        [b"1e300", b"-0", b"1e-400", b"18.5", b"9007199254740993", b"9" * 300, b'"18"', b"null",
         b"[18]", b'{"$gt": 0}', b"true", b'"\\u0000"', b'"1\' OR 1=1"'],
    )  # fmt: skip
    def test_a_value_of_any_size_or_type_is_answered_or_refused_as_a_row(
        self, wire: Wire, text: bytes
    ) -> None:
        row = row_with(wire, text)
        [answer] = wire.say(wire.post("/api/churn", row))
        assert answer.status in {200, 409, 422}
        rows = b'{"rows": [' + b",".join([row] * 20) + b"]}"
        [batch] = wire.say(wire.post("/api/churn/batch", rows))
        said = json.loads(batch.body)
        assert batch.status == httpx.codes.OK
        assert said["answered"] == (20 if answer.status == httpx.codes.OK else 0)

    def test_a_body_that_is_cut_off_costs_nobody_anything(self, wire: Wire) -> None:
        whole = wire.post("/api/churn", wire.row)
        assert wire.say(whole[:-5], shut=True) == []


class TestFraming:
    def test_pipelined_requests_are_answered_in_their_order(self, wire: Wire) -> None:
        one = wire.post("/api/churn", wire.row, more=JSON + "X-Request-Id: one\r\n")
        two = wire.post("/api/churn", b"{", more=JSON + "X-Request-Id: two\r\n")
        three = wire.post("/api/churn/batch", b'{"rows": []}', more=JSON + "X-Request-Id: 3\r\n")
        answers = wire.say(one + two + three + one, count=4)
        assert [answer.status for answer in answers] == [200, 400, 422, 200]
        assert [a.headers["x-request-id"] for a in answers] == ["one", "two", "3", "one"]

    @pytest.mark.parametrize("size", [1, 7, 10_000])
    def test_a_body_in_chunks_is_put_together(self, wire: Wire, size: int) -> None:
        row = wire.row
        parts = [row[start : start + size] for start in range(0, len(row), size)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        head = f"POST /api/churn HTTP/1.1\r\nHost: x\r\nX-API-Key: {wire.key}\r\n{JSON}"
        said = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks
        [answer] = wire.say(said)
        assert answer.status == httpx.codes.OK

    @pytest.mark.parametrize(
        "framing",
        [
            "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked, identity\r\n\r\n{}",
            "Content-Length: -1\r\n\r\n{}",
            "Content-Length: +2\r\n\r\n{}",
            "Content-Length: 0x2\r\n\r\n{}",
            "Content-Length: 99999999999999999999999\r\n\r\n{}",
            "Content-Length : 2\r\n\r\n{}",
        ],
    )
    def test_a_length_that_two_readers_could_read_in_two_ways_is_refused(
        self, wire: Wire, framing: str
    ) -> None:
        head = f"POST /api/churn HTTP/1.1\r\nHost: x\r\nX-API-Key: {wire.key}\r\n{JSON}"
        hidden = "GET /models HTTP/1.1\r\nHost: hidden\r\n\r\n"
        answers = wire.say((head + framing + hidden).encode(), count=2)
        assert [answer.status for answer in answers] == [400]
        assert answers[0].headers["connection"] == "close"

    def test_a_body_is_asked_for_when_the_caller_waits_to_be_asked(self, wire: Wire) -> None:
        more = JSON + "Expect: 100-continue\r\n"
        [answer] = wire.say(wire.post("/api/churn", wire.row, more=more))
        assert answer.status == httpx.codes.OK

    def test_http_1_0_is_answered_and_the_connection_closed(self, wire: Wire) -> None:
        answers = wire.say(b"GET /livez HTTP/1.0\r\n\r\nGET /livez HTTP/1.0\r\n\r\n", count=2)
        assert [answer.status for answer in answers] == [200]

    @pytest.mark.parametrize(
        "said",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET /models\r\n\r\n",
            b"GET /models HTTP/9.9\r\nHost: x\r\n\r\n",
            b"GET  /models HTTP/1.1\r\nHost: x\r\n\r\n\r\n",
            b"get /models HTTP/1.1\r\nHost: x\r\n\r\n",
            b"JUMP /models HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /models HTTP/1.1\r\nHost: x\r\nA\x00B: 1\r\n\r\n",
            b"GET /models HTTP/1.1\r\nHost: x\r\nA: 1\x00\r\n\r\n",
            b"GET /models HTTP/1.1\r\nHost: x\r\n: 1\r\n\r\n",
            b"GET /\x1b[31m HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\r\n\r\n\r\nHELO septet\r\n\r\n",
        ],
        ids=lambda said: repr(said[:28]),
    )
    def test_what_is_no_http_is_told_so(self, wire: Wire, said: bytes) -> None:
        answers = wire.say(said, shut=True)
        assert [answer.status for answer in answers] in ([400], [401])
        assert answers[0].code in {"HttpInvalid", "AccessDenied"}


class TestTargets:
    @pytest.mark.parametrize(
        "target",
        [
            "/livez/../models", "/api/../livez", "/%2e%2e/models", "//models", "///livez",
            "/livez/", "/livez%2f..%2fmodels", "/LIVEZ", "/livez;/models", "/livez%00",
            "/livez\\..\\models", "/readyz/models", "/docs/files/../../livez", "/./livez",
            "http://septet/models", "http://x@livez/models", "/livez%0d%0a", "/%6cive%7a/x",
        ],
    )  # fmt: skip
    def test_no_spelling_of_a_path_leads_around_the_gate(self, wire: Wire, target: str) -> None:
        answer = wire.ask(target, key=False)
        assert (answer.status, answer.code) == (401, "AccessDenied")

    @pytest.mark.parametrize(
        "target",
        [
            "/docs/files/../../../../etc/passwd", "/docs/files/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
            "/docs/files//etc/passwd", "/docs/files/..%2f..%2f..%2fetc%2fpasswd",
            "/docs/files/%00", "/docs/files/" + "a/" * 2000,
            "/static_content/../../../../etc/passwd", "/static_content/%2e%2e/%2e%2e/setup.py",
            "/docs/files/....//....//etc/passwd", "/docs/files/%c0%ae%c0%ae/etc/passwd",
        ],
    )  # fmt: skip
    def test_no_file_beside_those_of_the_page_is_given(self, wire: Wire, target: str) -> None:
        answer = wire.ask(target)
        assert answer.status in {400, 404, 405}
        assert b"root:" not in answer.body

    def test_an_absolute_target_means_its_path(self, wire: Wire) -> None:
        assert wire.ask("http://elsewhere.example/livez", key=False).status == httpx.codes.OK

    @pytest.mark.parametrize("target", ["*", "septet:443"])
    def test_targets_that_are_no_path_are_refused(self, wire: Wire, target: str) -> None:
        method = "OPTIONS" if target == "*" else "CONNECT"
        assert wire.ask(target, method=method, key=False).status in {400, 401}

    @pytest.mark.parametrize(
        "name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"]
    )
    def test_a_header_makes_no_other_method_of_a_request(self, wire: Wire, name: str) -> None:
        answer = wire.ask("/api/churn", more=f"{name}: POST\r\n")
        assert (answer.status, answer.code) == (405, "MethodNotAllowed")
        answer = wire.ask("/models?_method=DELETE", more=f"{name}: DELETE\r\n")
        assert answer.status == httpx.codes.OK

    @pytest.mark.parametrize(
        "host", ["", "a b", "x" * 5000, "[::1", "septet\t", "\xff", "a,b", "/"]
    )
    def test_any_host_that_a_caller_writes_is_answered(self, wire: Wire, host: str) -> None:
        head = f"GET /models HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {wire.key}\r\n\r\n"
        [answer] = wire.say(head.encode("latin-1"))
        assert answer.status in {200, 400}
        assert "location" not in answer.headers


class TestLog:
    def test_what_a_caller_writes_into_a_path_stays_one_line_without_control_signs(
        self, wire: Wire
    ) -> None:
        start = len(wire.server.log.read_bytes())
        targets = [
            "/a%0d%0a%7b%22event%22:%22forged%22%7d", "/b%1b%5b31mred", "/c%0aX-Forged:%201",
            "/d%e2%80%a8e", "/f%00", "/g%ff", "/h\x7f", "/i" + "x" * 9000,
        ]  # fmt: skip
        answers = [wire.ask(target, more="X-Request-Id: mine\r\n") for target in targets]
        assert {answer.status for answer in answers} <= {400, 404}
        assert all("x-forged" not in answer.headers for answer in answers)
        lines = log_since(wire.server.log, start, len(answers))
        assert len(lines) == sum(answer.status != 400 for answer in answers)
        for line in lines:
            assert ESCAPE not in line
            assert line.isprintable()
            assert json.loads(line)["event"] == "request"

    @pytest.mark.parametrize("given", ["a b", "a\tb", "x" * 65, "é", "a;b", "<b>", ""])
    def test_a_request_id_that_is_none_is_replaced(self, wire: Wire, given: str) -> None:
        answer = wire.ask("/models", more=f"X-Request-Id: {given}\r\n")
        assert answer.headers["x-request-id"] != given.strip()
        assert len(answer.headers["x-request-id"]) == len("01a208e3-aa18-7595-b18e-361f686aad6c")


def log_since(path: Path, start: int, count: int) -> list[str]:
    """Give the lines of requests that were written since, once so many are there, or time is up."""
    lines: list[str] = []
    for _ in range(30):
        text = path.read_bytes()[start:].decode("utf-8", "replace")
        lines = [line for line in text.split("\n") if '"request_id":"mine"' in line]
        if len(lines) >= count:
            break
        time.sleep(0.1)
    return lines
