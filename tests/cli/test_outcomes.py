"""`septet outcomes load` against a real server, and what it makes of every kind of file."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from uuid_utils import uuid7

from cli.asking import Asker, PlatformDown
from cli.exits import Exit
from cli.outcome_rows import OutcomeRows
from core.config import ModelConfig
from services.access.audit import Actor
from services.access.caller import Role
from services.access.first_key import create_admin_key
from services.access.grant import Grant
from services.access.ledger import KeyLedger
from services.records import Records
from tests.cli.test_main import septet
from tests.conftest import ROOT
from tests.services.history.conftest import hex_of, log_of, move, rows_of
from tests.tiny import CONTENT, Shelf


@dataclass
class Office:
    """A platform that runs, and is ended when its log is asked for."""

    home: Path
    port: int
    server: subprocess.Popen[bytes]
    viewer: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kept(self, model: str = "churn") -> list[dict[str, Any]]:
        """End it, and give what of a model's outcomes is in the log."""
        self.server.terminate()
        self.server.wait(30)
        move(self.home)
        return rows_of(log_of(self.home), f"{model}.outcomes")


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    home = tmp_path / "home"
    shelf = Shelf(home / "releases")
    shelf.write("1")
    shelf.point("1")
    shutil.copytree(ROOT / "configs", home / "configs")
    (home / "configs" / "models" / "churn.yaml").write_text(yaml.safe_dump(CONTENT))
    key = create_admin_key(home)
    records = Records(f"sqlite:///{home / 'records.db'}")
    grant = Grant(name="viewer", role=Role.VIEWER.label)
    viewer = KeyLedger(records).create(grant, by=Actor("cli:test")).key
    records.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = str(ROOT / "tests" / "faults" / "tiny_server.py")
    with (tmp_path / "log.txt").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, script, str(home), str(port)], cwd=ROOT, stdout=log, stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    monkeypatch.setenv("SEPTET_CONFIGS", str(home / "configs"))
    monkeypatch.setenv("SEPTET_PORT", str(port))
    monkeypatch.setenv("SEPTET_KEY", key)
    monkeypatch.setenv("COLUMNS", "200")
    found = Office(home, port, server, viewer)
    wait_until_up(Asker(found.url, key))
    yield found
    server.kill()
    server.wait()


def wait_until_up(asker: Asker) -> None:
    for _ in range(400):
        try:
            asker.get("/models")
        except PlatformDown:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the platform did not come up")


def table(tmp_path: Path, text: str, name: str = "outcomes.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


class TestLoad:
    def test_a_csv_with_the_models_own_columns_is_in_the_log(
        self, office: Office, tmp_path: Path
    ) -> None:
        rows = "c1;2026-01-31;yes\nc2;2026-01-31T02:00:00+02:00;no\nc3;2026-01-31;\n"
        file = table(tmp_path, f"\ufeffclient_id;as_of;left\n{rows}")

        result = septet("outcomes", "load", str(file), "--model", "churn")

        assert result.exit_code == Exit.OK, result.output
        assert "2 kept" in result.output
        assert "1 not known yet" in result.output
        assert "refused" not in result.output
        kept = {one["entity"]: one for one in office.kept()}
        assert {name: one["value"] for name, one in kept.items()} == {"c1": 1.0, "c2": 0.0}
        assert {one["as_of"] for one in kept.values()} == {datetime(2026, 1, 31, tzinfo=UTC)}

    def test_a_parquet_file_of_several_models_is_in_the_log(
        self, office: Office, tmp_path: Path
    ) -> None:
        named = str(uuid7())
        path = tmp_path / "outcomes.parquet"
        rows = [
            {"model": "churn", "prediction_id": named, "entity": "c1", "value": 1.0,
             "amount": None},
            {"model": "revenue-leak", "entity": "l1", "value": 1.0, "amount": 12.5},
            {"model": "revenue_leak", "entity": "l2", "amount": 0.1},
        ]  # fmt: skip
        when = datetime(2026, 2, 1, 8, 30, tzinfo=UTC)
        whole = [{**one, "happened_at": when, "parts": [1]} for one in rows]
        pq.write_table(pa.Table.from_pylist(whole), path)

        result = septet("outcomes", "load", str(path))

        assert result.exit_code == Exit.OK, result.output
        [churned] = office.kept()
        assert (hex_of(churned["outcome_of"]), churned["entity"]) == (named, None)
        assert churned["happened_at"] == when
        leaks = {
            one["entity"]: one for one in rows_of(log_of(office.home), "revenue_leak.outcomes")
        }
        assert (leaks["l1"]["value"], leaks["l1"]["amount"]) == (1.0, 12.5)
        assert (leaks["l2"]["value"], leaks["l2"]["amount"]) == (None, 0.1)

    def test_every_refused_row_stands_in_the_file_that_was_asked_for(
        self, office: Office, tmp_path: Path
    ) -> None:
        rows = [f"c{i},{'maybe' if i % 50 == 0 else 'true'},churn" for i in range(2500)]
        rows[7] = "c7,true"
        rows[8] = "c8,true,chrun"
        rows[9] = '=HYPERLINK("x"),"=1+1",churn'
        file = table(tmp_path, "\n".join(["entity,value,model", *rows, ""]))
        wrong = tmp_path / "wrong.csv"

        result = septet("outcomes", "load", str(file), "--refused", str(wrong))

        assert result.exit_code == Exit.ROWS_REFUSED, result.output
        assert "2,447 kept" in result.output
        assert "53 refused" in result.output
        assert result.output.count("  line ") == 20
        with wrong.open(newline="") as opened:
            told = {int(one["line"]): one["problem"] for one in csv.DictReader(opened)}
        assert list(told) == sorted(told)
        assert set(told) == {*range(2, 2502, 50), 9, 10, 11}
        assert told[2].startswith("value is the text 'maybe' (true or false")
        assert told[9] == "has 2 cells; the header has 3"
        assert "Did you mean 'churn'?" in told[10]
        assert "'=1+1'" in told[11]
        assert len(office.kept()) == 2447

    def test_the_same_file_twice_harms_nothing(self, office: Office, tmp_path: Path) -> None:
        file = table(tmp_path, "client_id,left\nc1,yes\n")
        for _ in range(2):
            assert septet("outcomes", "load", str(file), "--model", "churn").exit_code == Exit.OK
        assert [(one["entity"], one["value"]) for one in office.kept()] == [("c1", 1.0)] * 2

    def test_a_key_that_may_not_tell_is_refused(self, office: Office, tmp_path: Path) -> None:
        key = table(tmp_path, f"{office.viewer}\n", "key")
        file = table(tmp_path, "client_id,left\nc1,yes\n")
        options = ("--model", "churn", "--key-file", str(key))
        result = septet("outcomes", "load", str(file), *options)
        key.unlink()
        assert result.exit_code == Exit.PLATFORM_REFUSED
        assert "RoleTooLow" in result.output
        assert office.viewer not in result.output


class TestWhatCannotBeSent:
    @pytest.fixture(autouse=True)
    def _alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SEPTET_KEY", "sep_live_x")
        monkeypatch.setenv("SEPTET_PORT", "1")
        monkeypatch.setenv("COLUMNS", "200")

    def test_a_platform_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        file = table(tmp_path, "client_id,churned\nc1,1\nc2,\n")
        result = septet("outcomes", "load", str(file), "--model", "churn")
        assert result.exit_code == Exit.PLATFORM_DOWN
        assert "No platform answers at http://127.0.0.1:1" in result.output
        assert "kept" not in result.output

    @pytest.mark.parametrize(
        ("text", "options", "code", "said"),
        [
            ("", ("--model", "churn"), Exit.INPUT, "is empty"),
            ("client_id,churned\nc1,1\n", (), Exit.INPUT, "has no column model"),
            ("churned\n1\n", ("--model", "churn"), Exit.INPUT, "prediction_id, entity, client_id"),
            ("client_id\nc1\n", ("--model", "churn"), Exit.INPUT, "of the columns value, churned"),
            ("a,a\n1,1\n", ("--model", "churn"), Exit.INPUT, "has the column 'a' twice"),
            ("client_id,churned\n", ("--model", "chrun"), Exit.USAGE, "Did you mean 'churn'?"),
            ("x\n", ("--url", "ftp://a:b@x"), Exit.USAGE, "--url"),
            ("x\n", ("--key-file", "/nowhere"), Exit.USAGE, "--key-file"),
            ("PAR1 and then nothing", ("--model", "churn"), Exit.INPUT, "is a Parquet file that"),
        ],
    )
    def test_a_file_or_an_option_that_is_wrong_is_named(
        self, tmp_path: Path, text: str, options: tuple[str, ...], code: Exit, said: str
    ) -> None:
        result = septet("outcomes", "load", str(table(tmp_path, text)), *options)
        assert result.exit_code == code, result.output
        assert said in " ".join(result.output.split())
        assert "Traceback" not in result.output

    @pytest.mark.parametrize(
        ("cut", "fault"),
        [
            (slice(4, None), "it does not begin with PAR1"),
            (slice(None, -12), "magic bytes not found"),
            (None, "is a Parquet file that cannot be read"),
        ],
    )
    def test_a_damaged_parquet_file_is_said_to_be_one(
        self, tmp_path: Path, cut: slice | None, fault: str
    ) -> None:
        path = tmp_path / "the outcomes.parquet"
        rows = pa.table({"client_id": [f"c{i}" for i in range(999)], "churned": [1] * 999})
        pq.write_table(rows, path, use_dictionary=False)
        whole = path.read_bytes()
        torn = whole[:30] + b"\xff" * 300 + whole[330:]
        path.write_bytes(torn if cut is None else whole[cut])
        result = septet("outcomes", "load", str(path), "--model", "churn")
        assert result.exit_code == Exit.INPUT, result.output
        said = " ".join(result.output.replace("│", " ").split())
        assert "is a Parquet file that cannot be read" in said
        assert fault in said
        assert "write or copy it anew; `pyarrow.parquet.read_table`" in said
        assert "UTF-8" not in said

    def test_a_file_that_is_not_there_is_named(self) -> None:
        result = septet("outcomes", "load", "/nowhere.csv", "--model", "churn")
        assert result.exit_code == Exit.INPUT

    def test_the_refused_rows_do_not_go_into_the_file_itself(self, tmp_path: Path) -> None:
        file = table(tmp_path, "client_id,churned\nc1,1\n")
        options = ("--model", "churn", "--refused", str(file))
        assert septet("outcomes", "load", str(file), *options).exit_code == Exit.INPUT
        assert file.read_text() == "client_id,churned\nc1,1\n"

    @pytest.mark.parametrize("key", ["", "two words", "sep\u00e9"])
    def test_a_key_that_is_none_is_said_without_showing_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
    ) -> None:
        monkeypatch.setenv("SEPTET_KEY", key)
        result = septet("outcomes", "load", str(table(tmp_path, "a\n")))
        assert result.exit_code == Exit.USAGE
        assert "SEPTET_KEY" in result.output
        assert not key or key not in result.output


def config_of(**target: Any) -> ModelConfig:
    content = {**CONTENT, "target": {"column": "left", "description": "Left.", **target}}
    return ModelConfig.model_validate(content)


def read(config: ModelConfig, header: str, line: str) -> dict[str, Any] | str | None:
    rows = OutcomeRows(header.split(","), source="x.csv", model="churn", config_of=lambda _: config)
    return rows.outcome(line.split(","))


class TestCells:
    @pytest.mark.parametrize(
        ("target", "column", "text", "value"),
        [
            ({"positive": "yes"}, "left", "YES", True),
            ({"positive": "yes"}, "left", "no", False),
            ({"positive": "gone"}, "left", "gone", True),
            ({"positive": "gone"}, "left", "stayed", False),
            ({"positive": "gone"}, "value", "stayed", "stayed"),
            ({"positive": "gone"}, "value", "gone", True),
            ({"positive": "gone"}, "value", "false", False),
            ({"positive": 0}, "left", "0", True),
            ({"positive": 0}, "left", "1.0", False),
            ({"positive": 0}, "value", "0", False),
            ({"positive": 1}, "left", "1.0", True),
            ({"positive": 1}, "left", "maybe", "maybe"),
            ({}, "left", "12.5", 12.5),
            ({}, "value", "1e3", 1000.0),
            ({}, "value", "1_000", "1_000"),
            ({}, "value", "inf", "inf"),
            ({}, "value", "=1+1", "=1+1"),
        ],
    )
    def test_what_happened_is_read_as_training_reads_it(
        self, target: dict[str, Any], column: str, text: str, value: object
    ) -> None:
        found = read(config_of(**target), f"client_id,{column}", f"c1,{text}")
        assert isinstance(found, dict)
        assert found.get("value") == value
        assert type(found.get("value")) is type(value)

    @pytest.mark.parametrize(
        ("target", "column", "text"),
        [
            ({"positive": 1, "unknown": 9}, "left", "9"),
            ({"positive": 1}, "value", "N/A"),
            ({"positive": "yes"}, "left", ""),
            ({}, "value", ""),
        ],
    )
    def test_a_row_that_tells_nothing_is_no_outcome_yet(
        self, target: dict[str, Any], column: str, text: str
    ) -> None:
        assert read(config_of(**target), f"client_id,{column}", f"c1,{text}") is None
        told = read(config_of(amount="loss", **target), f"client_id,{column},loss", f"c1,{text},7")
        assert told == {"model": "churn", "entity": "c1", "amount": 7.0}

    def test_an_id_counts_before_the_entity_that_stands_beside_it(self) -> None:
        header = "prediction_id,client_id,as_of,value"
        found = read(config_of(), header, "0190,c1,2026-01-31,4")
        assert found == {"model": "churn", "prediction_id": "0190", "value": 4.0}
        found = read(config_of(), header, ",c1,2026-01-31,4")
        assert found == {
            "model": "churn", "entity": "c1", "as_of": "2026-01-31T00:00:00+00:00", "value": 4.0,
        }  # fmt: skip

    def test_the_sources_own_names_are_known(self) -> None:
        config = ModelConfig.model_validate(
            {**CONTENT, "source": {**CONTENT["source"], "columns": {"client_id": "Kunde"}}}
        )
        found = read(config, "Kunde,left", "c1,yes")
        assert found == {"model": "churn", "entity": "c1", "value": True}
