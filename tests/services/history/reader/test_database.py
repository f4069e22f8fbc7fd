"""DuckDB reads the log and nothing else, within bounds of time and memory."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from core.history_faults import HistoryTooLarge
from services.history.log import PredictionLog
from services.history.reader.database import Database
from tests.services.history.reader.small_log import rows, volume
from tests.services.history.reader.tables import (
    keep,
    opened,
    predicted,
)

PLACES = (
    "/etc/passwd", "/proc/self/environ", "/etc/*", "{secret}", "{log}/../secret.csv",
    "{log}/churn/../../secret.csv", "file:{secret}", "file://{secret}", "~/.bashrc", "secret.csv",
    "http://127.0.0.1:1/x.csv", "s3://x/y.csv", "{log}x/y.csv", "{log}/churn/link.csv",
    "{log}/churn/folder/secret.csv", "{log}/churn/folder/*",
)  # fmt: skip
SHUT = "disabled|has been locked|does not exist|not allowed"


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    return PredictionLog(tmp_path / "log", owner="me")


@pytest.fixture
def database(log: PredictionLog) -> Iterator[Database]:
    keep(log, "churn", predicted(rows(10)))
    with opened(log) as found:
        yield found


class TestLocked:
    """No text from outside becomes SQL; should one do so, it finds every door shut."""

    @pytest.fixture
    def outside(self, tmp_path: Path, log: PredictionLog) -> Path:
        """Put a file beside the log, links to it and its folder into the log, and one inside."""
        secret = tmp_path / "secret.csv"
        secret.write_text("a,b\n1,2\n")
        place = Path(log.address) / "churn"
        place.mkdir(parents=True, exist_ok=True)
        (place / "inside.csv").write_text("a,b\n1,2\n")
        (place / "link.csv").symlink_to(secret)
        (place / "folder").symlink_to(tmp_path, target_is_directory=True)
        return secret

    @pytest.mark.parametrize("reader", ["read_csv", "read_text", "read_blob", "glob"])
    def test_no_reader_leaves_the_folder(
        self, database: Database, log: PredictionLog, outside: Path, reader: str
    ) -> None:
        scan = database.scanner.scan("churn")
        query = f"SELECT * FROM {reader}($path) WHERE len($files) > 0"  # noqa: S608 - of our own
        inside = {"path": f"{log.address}/churn/inside.csv"}
        assert database.table(query, inside, scan).num_rows == 1
        for name in PLACES:
            path = name.format(secret=outside, log=log.address)
            with pytest.raises(duckdb.PermissionException, match="disabled by configuration"):
                database.table(query, {"path": path}, scan)
        assert volume(database)[0] == 10

    @pytest.mark.parametrize(
        "sql",
        [
            "COPY (SELECT 1) TO '{log}/../out.csv'",
            "EXPORT DATABASE '{log}/../out'",
            "ATTACH '{log}/../out.db' AS other",
            "ATTACH ':memory:' AS other (TYPE sqlite)",
            "INSTALL httpfs",
            "LOAD httpfs",
            "LOAD '{log}/../x.duckdb_extension'",
            "SET enable_external_access = true",
            "SET allowed_directories = ['/']",
            "SET allowed_paths = ['/etc/passwd']",
            "SET lock_configuration = false",
            "SET memory_limit = '1TB'",
            "SET autoload_known_extensions = true",
            "RESET lock_configuration",
            "PRAGMA threads = 64",
            "CREATE SECRET (TYPE s3)",
            "SELECT * FROM '/etc/passwd'",
            "SELECT * FROM sniff_csv('/etc/passwd')",
            "SELECT getenv('HOME')",
        ],
    )
    def test_no_statement_opens_a_door(
        self, database: Database, log: PredictionLog, tmp_path: Path, sql: str
    ) -> None:
        scan = database.scanner.scan("churn")
        before = sorted(tmp_path.iterdir())
        # The statement before the last is carried out as it stands.
        assert database.rows("SELECT 1; SELECT len($files) AS n", {}, scan) == [{"n": 1}]
        with pytest.raises(duckdb.Error) as refused:
            database.rows(f"{sql.format(log=log.address)}; SELECT len($files) AS n", {}, scan)
        assert re.search(SHUT, str(refused.value))
        assert sorted(tmp_path.iterdir()) == before
        assert volume(database)[0] == 10


def test_a_question_that_takes_too_long_is_ended(log: PredictionLog) -> None:
    keep(log, "churn", predicted(rows(10)))
    database = Database(log, memory_mib=200, threads=1, seconds=0.3)
    scan = database.scanner.scan("churn")
    began = time.monotonic()
    with pytest.raises(HistoryTooLarge, match=r"more than 0\.3 seconds.*shorter period"):
        database.rows(
            "SELECT sum(sin(a.range * b.range)) AS s FROM range(1000000) a, range(1000000) b "
            "WHERE len($files) > 0",
            {}, scan,
        )  # fmt: skip
    assert time.monotonic() - began < 10
    assert volume(database)[0] == 10
    database.close()


def test_a_question_that_takes_too_much_memory_is_ended(log: PredictionLog) -> None:
    keep(log, "churn", predicted(rows(10)))
    database = Database(log, memory_mib=20, threads=1)
    scan = database.scanner.scan("churn")
    with pytest.raises(HistoryTooLarge):
        database.rows(
            "SELECT list(range || 'x') AS s FROM range(20000000) WHERE len($files) > 0", {}, scan
        )
    database.close()


LARGE = """
    SELECT max(x) AS x FROM (
        SELECT row_number() OVER (ORDER BY md5(range::VARCHAR)) AS x,
               md5((range + 1)::VARCHAR) AS y FROM range(3000000) WHERE len($files) > 0
    ) WHERE y > '0'
"""


def test_what_does_not_fit_into_memory_is_written_nowhere_unless_told_where(
    log: PredictionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keep(log, "churn", predicted(rows(10)))
    before = sorted(tmp_path.iterdir())
    database = Database(log, memory_mib=60, threads=1)
    with pytest.raises(HistoryTooLarge):
        database.rows(LARGE, {}, database.scanner.scan("churn"))
    database.close()
    assert sorted(tmp_path.iterdir()) == before
    spill = tmp_path / "spill"
    spill.mkdir()
    database = Database(log, memory_mib=60, threads=1, spill=spill)
    assert database.rows(LARGE, {}, database.scanner.scan("churn")) == [{"x": 3_000_000}]
    database.close()
    assert not list(spill.iterdir())
    assert sorted(tmp_path.iterdir()) == sorted([*before, spill])


def test_times_are_utc_wherever_the_machine_stands(
    log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        keep(log, "churn", predicted(rows(1)))
        with opened(log) as database:
            scan = database.scanner.scan("churn")
            [row] = database.rows('SELECT "at" FROM read_parquet($files)', {}, scan)
            assert row["at"].isoformat() == "2026-03-02T00:00:00+00:00"
            table = database.table("SELECT * FROM read_parquet($files)", {}, scan)
            assert str(table.schema.field("at").type) == "timestamp[us, tz=UTC]"
    finally:
        monkeypatch.undo()
        time.tzset()
