"""`septet demo` against a server that answers as the platform does, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bentos.catalog import CATALOG, model_name
from cli.exits import Exit
from core import clock
from services.predictions.backfill import NAME
from tests.cli.test_keys import caller_of
from tests.cli.test_main import septet

KEY = "sep_live_4fQ7hYb2LkTz_secret"
Body = dict[str, Any]


@dataclass
class Asked:
    """What a server was asked, and how it answers."""

    url: str = ""
    batches: list[tuple[str, str, bytes]] = field(default_factory=list)
    outcomes: list[list[Body]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    without: str = ""
    busy: int = 0
    refuses_first: bool = False
    is_shut: bool = False

    def batch(self, model: str, at: str, body: bytes) -> tuple[int, Body]:
        """Answer a batch."""
        if self.is_shut:
            return 403, {"code": "RoleTooLow", "detail": "The key has the role viewer."}
        if self.without in {model, "*"}:
            return 503, {"code": "NoChampion", "detail": f"{model} has no champion."}
        if self.busy:
            self.busy -= 1
            return 429, {"code": "RateLimited", "detail": "Slower."}
        self.batches.append((model, at, body))
        rows: list[Body] = []
        for index, _ in enumerate(json.loads(body)["rows"]):
            made = str(uuid4())
            is_refused = self.refuses_first and index == 0
            self.ids |= set() if is_refused else {made}
            answer = None if is_refused else {"prediction_id": made, "entity": "C0000007"}
            rows.append({"index": index, "answer": answer, "problem": None})
        refused = sum(row["answer"] is None for row in rows)
        return 200, {"answered": len(rows) - refused, "refused": refused, "rows": rows}

    def tell(self, outcomes: list[Body]) -> tuple[int, Body]:
        """Take outcomes, but for the first."""
        self.outcomes.append(outcomes)
        rows = [{"index": 0, "problem": {"code": "FieldsInvalid"}}]
        return 200, {"kept": len(outcomes) - 1, "refused": 1, "rows": rows}


class Handler(BaseHTTPRequestHandler):
    """Routes of the platform that the demo asks."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    asked: Asked

    def do_GET(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.keys.add(self.headers["X-API-Key"])
        if self.path == "/api/outcomes":
            self._answer(*self.asked.tell(json.loads(body)["outcomes"]))
            return
        _, api, model, batch = self.path.split("/")
        assert (api, batch) == ("api", "batch")
        self._answer(*self.asked.batch(model_name(model), self.headers[NAME], body))

    def _answer(self, status: int, said: Body) -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home that keeps the firm's tables over the tests."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def home(firm: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEPTET_HOME", str(firm))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("SEPTET_KEY", raising=False)
    return firm


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the key in the environment."""
    monkeypatch.setenv("SEPTET_KEY", KEY)


with_key = pytest.mark.usefixtures("key")


@pytest.fixture
def asked() -> Iterator[Asked]:
    found = Asked()
    handler = type("Own", (Handler,), {"asked": found})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@with_key
def test_months_are_played_and_told(asked: Asked) -> None:
    result = septet("demo", "--months", "2", "--drift-at", "10d", "--url", asked.url)
    assert result.exit_code == Exit.OK, result.output
    assert asked.keys == {KEY}
    days = {at[:10] for _, at, _ in asked.batches}
    assert len(days) == 61
    yesterday = clock.now().date() - timedelta(days=1)
    assert max(days) == f"{yesterday}"
    assert {model for model, _, _ in asked.batches} == set(CATALOG)
    assert all(at.endswith("+00:00") for _, at, _ in asked.batches)
    drift_on = (clock.now() - timedelta(days=10)).date()
    assert f"the drift begins on {drift_on}" in result.stdout
    assert f"{asked.url}/api/history/trends?model=churn&by=week" in result.stdout
    for model in CATALOG:
        assert model in result.stdout


@with_key
def test_what_happened_is_told_of_answers_and_put_right_in_a_later_request(asked: Asked) -> None:
    result = septet("demo", "--months", "2", "--url", asked.url)
    assert result.exit_code == Exit.OK, result.output
    first, *later = asked.outcomes
    assert later
    about = [one.get("prediction_id") or (one["entity"], one["as_of"]) for one in first]
    assert len(set(map(str, about))) == len(about)
    named = {one["prediction_id"] for told in asked.outcomes for one in told if "entity" not in one}
    assert named <= asked.ids
    again = {one.get("prediction_id") for one in later[-1]}
    assert again - {None} <= set(map(str, about))
    assert {one["model"] for one in first} >= {"revenue_leak", "anomaly", "demand", "budget"}
    assert "(2 refused)" in result.stdout or result.stdout.count("(1 refused)") == 2


@with_key
def test_two_runs_ask_the_same_and_another_seed_asks_something_else(asked: Asked) -> None:
    runs = []
    for seed in ("3", "3", "4"):
        asked.batches.clear()
        options = ("demo", "--months", "1", "--url", asked.url, "--seed", seed)
        assert septet(*options).exit_code == Exit.OK
        runs.append(list(asked.batches))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@with_key
def test_a_refused_row_is_counted_and_nothing_is_told_of_it(asked: Asked) -> None:
    asked.refuses_first, asked.busy = True, 2
    result = septet("demo", "--months", "1", "--url", asked.url)
    assert result.exit_code == Exit.OK, result.output
    assert f"{len([m for m, _, _ in asked.batches if m == 'churn'])}" in result.stdout
    named = {one["prediction_id"] for told in asked.outcomes for one in told if "entity" not in one}
    assert named <= asked.ids


@with_key
def test_a_model_without_a_champion_is_left_out(asked: Asked) -> None:
    asked.without = "demand"
    result = septet("demo", "--months", "1", "--url", asked.url)
    assert result.exit_code == Exit.OK, result.output
    assert "it has no champion yet" in result.stdout
    assert not any(one["model"] == "demand" for told in asked.outcomes for one in told)


@with_key
def test_without_any_champion_there_is_nothing_to_look_at(asked: Asked) -> None:
    asked.without = "*"
    result = septet("demo", "--months", "1", "--url", asked.url)
    assert result.exit_code == Exit.OK, result.output
    assert result.stdout.count("it has no champion yet") == len(CATALOG)
    assert "entities/" not in result.stdout


def test_without_a_key_one_is_made_for_an_hour_where_the_records_are_here(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_PORT", asked.url.rpartition(":")[2])
    result = septet("demo", "--months", "1")
    assert result.exit_code == Exit.OK, result.output
    [key] = asked.keys
    caller = caller_of(key)
    assert (caller.name, caller.role.label) == ("demo", "admin")
    assert caller.expires_at is not None
    assert timedelta(minutes=50) < caller.expires_at - clock.now() <= timedelta(hours=1)


def test_a_key_file_is_read(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    options = ("--url", asked.url, "--key-file", str(tmp_path / "key"))
    result = septet("demo", "--months", "1", *options)
    assert result.exit_code == Exit.OK, result.output
    assert asked.keys == {KEY}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--url", "ftp://somewhere"), "--url"),
        (("--url", "{url}"), "SEPTET_KEY"),
        (("--url", "{url}", "--key-file", "/nowhere"), "--key-file"),
        (("--url", "{url}", "--drift-at", "soon"), "--drift-at"),
        (("--url", "{url}", "--months", "25"), "--months"),
    ],
)
def test_what_it_cannot_play_with_is_told(
    asked: Asked, options: tuple[str, ...], said: str
) -> None:
    result = septet("demo", *(option.format(url=asked.url) for option in options))
    assert result.exit_code == Exit.USAGE, result.output
    assert said in result.output
    assert asked.batches == []


def test_without_a_platform_no_key_is_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_HOME", str(home / "empty"))
    monkeypatch.setenv("SEPTET_PORT", "1")
    result = septet("demo")
    assert result.exit_code == Exit.PLATFORM_DOWN
    assert "Start it with `septet up`" in " ".join(result.output.split())
    assert not (home / "empty" / "records.db").exists()


@with_key
def test_a_platform_that_refuses_is_quoted(asked: Asked) -> None:
    asked.is_shut = True
    result = septet("demo", "--months", "1", "--url", asked.url)
    assert result.exit_code == Exit.PLATFORM_REFUSED
    assert "The key has the role viewer." in result.output
    assert asked.outcomes == []


@with_key
def test_models_of_own_tables_are_left_out(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shutil import copytree

    from core.settings import ROOT

    configs = copytree(ROOT / "configs", tmp_path / "configs")
    path = configs / "models" / "churn.yaml"
    text = path.read_text()
    begin, end = text.index("source:"), text.index("entity:")
    path.write_text(f"{text[:begin]}source:\n  kind: csv\n  path: own.csv\n{text[end:]}")
    monkeypatch.setenv("SEPTET_CONFIGS", str(configs))
    result = septet("demo", "--months", "1", "--url", asked.url)
    assert result.exit_code == Exit.OK, result.output
    assert "churn is left out: its config reads csv." in result.output
    assert {model for model, _, _ in asked.batches} == set(CATALOG) - {"churn"}
