"""The access log: one line a request, true, and without anything that should not stand there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.logs import configure_logs
from core.settings import ROOT, Settings
from services.access import log
from services.access.first_key import create_admin_key
from services.access.log import AccessLog, Lines
from services.app import create_app
from services.docs import docs_files
from services.gate import Gate
from services.runtime import Runtime
from tests.full_disk import FULL, comes_true, needs_full
from tests.services.conftest import MODELS, Client
from tests.tiny import Shelf, tiny_type

ROW = {"tenure_months": 12, "hours": 3.5, "is_active": True, "plan": "basic", "region": "n0rth"}


class Kept:
    """A platform whose log is kept here."""

    def __init__(self, home: Path) -> None:
        shelf = Shelf(home / "releases")
        shelf.write("1")
        shelf.point("1")
        self.key = create_admin_key(home)
        self.blocks: list[bytes] = []
        self.runtime = Runtime(MODELS, kind_of=tiny_type)
        self.runtime.access_log = AccessLog(Lines(self.blocks.append))
        self.runtime.start(Settings(home=home, configs=ROOT / "configs"))
        app = Gate(create_app(self.runtime, docs_files=docs_files()), runtime=self.runtime)
        self.client = Client(app, headers={"X-API-Key": self.key})

    def lines(self) -> list[dict[str, Any]]:
        """Give what was written so far, line by line."""
        self.runtime.access_log.lines.flush()
        text = b"".join(self.blocks).decode()
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    found = Kept(tmp_path)
    yield found
    found.runtime.stop()


def test_a_line_says_who_asked_what_and_what_became_of_it(kept: Kept) -> None:
    answer = kept.client.post("/api/churn", json=ROW, headers={"X-Request-Id": "mine-1"})
    [line] = kept.lines()
    assert line["request_id"] == answer.headers["x-request-id"] == "mine-1"
    assert (line["method"], line["route"], line["status"]) == ("POST", "/api/{model}", 200)
    assert (line["model"], line["version"]) == ("churn", "1")
    assert line["key"] == kept.key.split("_")[2]
    assert line["bytes"] == len(answer.content)
    assert 0 < line["ms"] < 60_000


def test_neither_keys_nor_values_of_features_nor_queries_stand_in_it(kept: Kept) -> None:
    kept.client.post("/api/churn?explain=true", json=ROW)
    kept.client.post("/api/churn", json=ROW | {"region": ["n0rth"]})
    kept.client.get(f"/{kept.key}/x", headers={"Authorization": f"Bearer {kept.key}"})
    kept.client.get("/models?token=s3cret")
    assert len(kept.lines()) == 4
    text = b"".join(kept.blocks)
    assert kept.key.encode() not in text
    assert kept.key.split("_")[-1].encode() not in text
    assert b"n0rth" not in text
    assert b"s3cret" not in text


@pytest.mark.parametrize("path", ["/a%0d%0ab", "/%1b[31mred", "/%00", "/%ff%fe", "/" + "x" * 3000])
def test_whatever_the_path_holds_a_request_is_one_line(kept: Kept, path: str) -> None:
    kept.client.get(path)
    [line] = kept.lines()
    text = b"".join(kept.blocks)
    assert text.count(b"\n") == 1
    assert b"\x1b" not in text
    assert line["route"] == "unmatched"
    assert len(line["path"]) <= 200


def test_probes_that_pass_are_not_written(kept: Kept) -> None:
    kept.client.get("/readyz")
    assert not [line for line in kept.lines() if line["status"] == 200]


def test_a_refusal_names_its_kind(kept: Kept) -> None:
    kept.client.post("/api/churn", json=ROW | {"hours": -1})
    assert kept.lines()[-1]["code"] == "RowInvalid"


def test_lines_that_cannot_be_kept_are_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log, "MOST_LINES", 3)
    blocks: list[bytes] = []
    lines = Lines(blocks.append)
    for i in range(5):
        lines.info(b"%d" % i)
    assert lines.dropped == 2
    lines.start()
    lines.stop()
    assert b"".join(blocks).startswith(b"0\n1\n2\n")


@needs_full
def test_the_thread_outlives_a_full_disk_and_tells_how_many_lines_it_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Lines()
    with FULL.open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        lines.start()
        for _ in range(2):
            lines.info(b"{}")
        assert comes_true(lambda: lines.dropped == 2)
    path = tmp_path / "log"
    with path.open("w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stderr", file)
        lines.info(b'{"event": "request"}')
        assert comes_true(lambda: path.stat().st_size > 0)
        lines.stop()
    request, told = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert request == {"event": "request"}
    assert (told["event"], told["lines"]) == ("access_log_dropped", 2)
    assert lines.dropped == 2


def test_a_level_above_info_silences_it(tmp_path: Path) -> None:
    create_admin_key(tmp_path)
    runtime = Runtime(MODELS, kind_of=tiny_type)
    blocks: list[bytes] = []
    runtime.access_log = AccessLog(Lines(blocks.append))
    runtime.start(Settings(home=tmp_path, configs=ROOT / "configs", log_level="ERROR"))
    Client(Gate(create_app(runtime, docs_files=docs_files()), runtime=runtime)).get("/models")
    runtime.stop()
    configure_logs()
    assert blocks == []
