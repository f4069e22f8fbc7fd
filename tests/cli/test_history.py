"""`septet history`, `replay` and `backtest` against a real server and a real historian."""

from __future__ import annotations

import csv
import errno
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from uuid_utils import uuid7

from cli.asking import Asker, PlatformDown
from cli.exits import Exit
from core import clock
from core.platform_config import History
from core.settings import Settings
from services.history.keeper import build_history
from services.history.log import PredictionLog
from tests.cli.test_main import septet
from tests.conftest import ROOT
from tests.services.history.archive_house import PORT, Historian, build_house, free_port, wait_until
from tests.services.history.reader.tables import keep, predicted

ROWS = 12


@dataclass
class Office:
    """A platform and its historian, and what was answered."""

    home: Path
    port: int
    keys: dict[str, str]
    answers: dict[str, dict[str, Any]]
    historian: Historian

    @property
    def some_id(self) -> str:
        return next(key for key, one in self.answers.items() if one["entity"] == "c7")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    home = tmp_path_factory.mktemp("cli-history") / "home"
    house = build_house(home)
    house.play(ROWS, days=2)
    told = [{"model": "churn", "entity": name, "value": True} for name in ("c7", "nobody")]
    house.client().post("/api/outcomes", json={"outcomes": told})
    house.close()
    keeper = build_history(Settings(home=home, configs=home / "configs"), History())
    keeper.step()
    keeper.close()
    house.historian.start()
    port = free_port()
    command = [
        sys.executable,
        str(ROOT / "tests" / "faults" / "tiny_server.py"),
        str(home),
        str(port),
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT), PORT: str(house.historian.port)}
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=env)
    asker = Asker(f"http://127.0.0.1:{port}", house.keys["admin"])
    wait_until(lambda: is_up(asker), "the platform did not come up")
    yield Office(home, port, house.keys, house.answers, house.historian)
    server.kill()
    server.wait()
    house.historian.kill()


def is_up(asker: Asker) -> bool:
    try:
        asker.get("/models")
    except PlatformDown:
        return False
    return True


@pytest.fixture(autouse=True)
def _at_the_desk(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_CONFIGS", str(office.home / "configs"))
    monkeypatch.setenv("SEPTET_PORT", str(office.port))
    monkeypatch.setenv("SEPTET_KEY", office.keys["admin"])
    monkeypatch.setenv("COLUMNS", "250")


def said(*words: str, code: Exit = Exit.OK) -> str:
    result = septet(*words)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return str(result.output)


def in_window(width: int, *words: str) -> tuple[str, str]:
    """Run it as in a window; give what it wrote there, and what it told beside."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    command = [sys.executable, "-m", "cli.main", *words]
    env = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    # The size is that of the window.
    del env["COLUMNS"]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE
    ) as process:
        os.close(theirs)
        written = b"".join(iter(partial(_read_window, ours), b""))
        told = process.stderr.read() if process.stderr is not None else b""
    os.close(ours)
    assert process.returncode == Exit.OK, told
    plain = re.sub(r"\x1b\[[0-9;]*m", "", written.decode())
    return plain.replace("\r\n", "\n"), " ".join(told.decode().split())


def _read_window(end: int) -> bytes:
    try:
        return os.read(end, 1 << 16)
    except OSError as error:
        # So says Linux that nobody writes there any more.
        if error.errno != errno.EIO:
            raise
        return b""


def read(*words: str) -> Any:
    return json.loads(said(*words))


class TestPredictions:
    def test_they_are_listed_with_entity_and_result(self, office: Office) -> None:
        output = said("history", "predictions", "churn", "--limit", "50", "--since", "20d")
        assert "prediction_id\tat\tentity\tprobability\t" in output
        assert all(key in output for key in office.answers)

    def test_filters_are_passed_on(self, office: Office) -> None:
        assert office.some_id in said("history", "predictions", "churn", "--entity", "c7")
        output = said("history", "predictions", "churn", "--where", "region:north",
                      "--with", "source=row", "--limit", "100")  # fmt: skip
        assert output.count("\trow") == ROWS / 3

    @pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "json"])
    def test_they_are_written_to_a_file(self, office: Office, tmp_path: Path, form: str) -> None:
        path = tmp_path / f"out.{form}"
        output = said("history", "predictions", "churn", "--limit", "1000", "-o", str(path))
        assert "Written" in output
        rows: list[dict[str, Any]]
        if form == "csv":
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
        elif form == "json":
            rows = json.loads(path.read_text())["predictions"]
        else:
            rows = (pq.read_table(path) if form == "parquet"
                    else pa.ipc.open_stream(path.read_bytes()).read_all()).to_pylist()  # fmt: skip
        assert {row["prediction_id"] for row in rows} == set(office.answers)

    def test_what_a_damaged_file_took_from_a_table_is_said(
        self, office: Office, tmp_path: Path
    ) -> None:
        log = PredictionLog(office.home / "predictions", owner="me")
        [broken] = keep(log, "pricing", predicted([{"at": clock.now() - timedelta(days=1)}]))
        broken.write_bytes(broken.read_bytes()[:-40])
        result = septet("history", "predictions", "pricing", "-o", str(tmp_path / "out.csv"))
        assert result.exit_code == Exit.OK
        assert "1 file of the log could not be read and is left out" in result.stderr
        assert (tmp_path / "out.csv").exists()

    def test_a_form_that_there_is_not_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "out.xlsx"
        output = said("history", "predictions", "churn", "-o", str(path), code=Exit.USAGE)
        assert ".csv, .parquet, .arrow, .json" in output
        assert not path.exists()

    def test_a_file_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "nowhere" / "out.csv"
        output = said("history", "predictions", "churn", "-o", str(path), code=Exit.USAGE)
        assert "--output cannot be written: No such file or directory" in " ".join(output.split())

    def test_in_a_narrow_window_ids_are_whole_and_what_is_left_out_is_said(
        self, office: Office
    ) -> None:
        table, told = in_window(80, "history", "predictions", "churn", "--limit", "50")
        assert all(key in table for key in office.answers)
        assert "probability" in table
        assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d ", table)
        assert "source" not in table
        assert "Left out, as the window is narrow: band, version, source." in told
        assert "-o all.csv" in told
        table, told = in_window(150, "history", "predictions", "churn", "--limit", "50")
        assert "source" in table
        assert "Left out" not in told


@pytest.mark.parametrize(
    "words",
    [
        ("trends", "churn", "--by", "week", "--measure", "volume", "--group", "region"),
        ("compare", "churn", "region:south", "--where", "region:north"),
        ("feature", "churn", "hours", "--by", "day"),
        ("entity", "c7"),
    ],
    ids=lambda words: words[0],
)
class TestSeries:
    def test_through_a_pipe_each_row_is_a_line_with_all_cells(
        self, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        result = septet("history", *words, "--since", "20d")
        assert result.exit_code == Exit.OK, result.output
        heads, *rows = (line.split("\t") for line in result.stdout.splitlines())
        assert rows
        assert {len(row) for row in rows} == {len(heads)}

    @pytest.mark.parametrize("width", [80, 150])
    def test_in_a_window_no_cell_and_no_heading_is_folded(
        self, words: tuple[str, ...], width: int
    ) -> None:
        table, _ = in_window(width, "history", *words, "--since", "20d")
        page = septet("history", *words, "--since", "20d").stdout
        assert len(table.splitlines()) - 2 == len(page.splitlines()) - 1
        assert max(map(len, table.splitlines())) <= width
        assert "…" not in table

    @pytest.mark.parametrize(
        ("form", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("json", b"{")]
    )
    def test_it_is_written_as_a_picture_or_data(
        self, words: tuple[str, ...], tmp_path: Path, form: str, begin: bytes
    ) -> None:
        path = tmp_path / f"out.{form}"
        said("history", *words, "--since", "20d", "-o", str(path))
        assert path.read_bytes().startswith(begin)


class TestOnePrediction:
    def test_its_receipt_is_json(self, office: Office) -> None:
        page = read("history", "receipt", office.some_id)
        assert page["result"] == office.answers[office.some_id]["result"]
        assert page["outcome"]["value"] == 1.0

    def test_a_replay_says_whether_it_is_the_same(self, office: Office) -> None:
        assert "the same, byte for byte" in said("replay", office.some_id)
        output = said("replay", office.some_id, "--version", "9")
        assert "asked again of 9: it differs" in output
        assert "result.probability" in output

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (("history", "receipt", "nothing"), "a UUID of version 7"),
            (("history", "receipt", "é nothing"), "a UUID of version 7"),
            (("replay", "é nothing"), "a UUID of version 7"),
            (("history", "erasure", "é nothing"), "There is no erasure"),
            (("history", "receipt", str(uuid7())), "The log has no prediction"),
            (("history", "erasure", "0"), "There is no erasure"),
            (("history", "trends", "churn", "--group", "regoin"), "Did you mean 'input.region'?"),
            (("history", "trends", "churn", "--by", "year"), "'month'"),
            (("history", "predictions", "churn", "--with", "sql=1"), "is not known here"),
            (("history", "predictions", "chrun"), "Did you mean 'churn'?"),
            (("backtest", "chrun", "9"), "Did you mean 'churn'?"),
        ],
    )
    def test_what_the_platform_refuses_is_said(self, words: tuple[str, ...], told: str) -> None:
        output = said(*words, code=Exit.PLATFORM_REFUSED)
        assert told in " ".join(output.split())


def test_of_whom_nobody_asked_there_is_no_empty_table() -> None:
    output = said("history", "entity", "nobody")
    assert "No model was asked about it" in output
    assert "measure" not in output


def test_of_a_list_that_is_empty_it_is_said() -> None:
    output = said("history", "predictions", "churn", "--entity", "nobody")
    assert output.strip() == "No predictions in this time."


def test_outcomes_say_where_they_belong() -> None:
    output = said("history", "outcomes", "churn")
    assert "1 belong to a prediction, 1 to none so far" in output
    assert (
        "c7" not in said("history", "outcomes", "churn", "--state", "unmatched").split("belong")[0]
    )


def test_a_backtest_is_waited_for(office: Office) -> None:
    output = said("backtest", "churn", "9", "--since", "20d")
    page = json.loads(output[output.index("{") :])
    assert (page["state"], page["rows"]) == ("done", len(office.answers))


def test_an_erasure_is_asked_for_once_it_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody is there to say yes.
    assert septet("history", "erase", "nobody").exit_code != Exit.OK
    monkeypatch.setenv("COLUMNS", "40")
    output = said("history", "erase", "nobody", "--yes")
    assert re.search(r"^septet history erasure [0-9a-f]{32}$", output, re.MULTILINE)


def test_a_key_that_may_not_is_refused(office: Office, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(office.keys["viewer"])
    given = ("--key-file", str(key))
    assert "RoleTooLow" in said("replay", office.some_id, *given, code=Exit.PLATFORM_REFUSED)
    words = ("history", "predictions", "churn", "--limit", "2000", *given)
    table = ("-o", str(tmp_path / "churn.csv"))
    assert "needs the role operator" in said(*words, *table, code=Exit.PLATFORM_REFUSED)
    assert "csv, parquet or arrow, which" in said(*words, code=Exit.PLATFORM_REFUSED)
    # No key is left behind: what a run of tests leaves is searched for them.
    key.unlink()


@pytest.mark.parametrize("since", ["tomorrow", "30x", "-5d"])
def test_a_time_that_is_none_is_named(since: str) -> None:
    assert "--since" in said("history", "trends", "churn", "--since", since, code=Exit.USAGE)


def test_a_platform_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_PORT", "1")
    for words in (("history", "trends", "churn"), ("replay", "x"), ("backtest", "churn", "1")):
        assert "No platform answers" in said(*words, code=Exit.PLATFORM_DOWN)
