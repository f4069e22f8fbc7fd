"""DuckDB reads the log and nothing else; what is damaged or gone costs no answer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from core.history_faults import HistoryTooLarge
from services.history.log import PredictionLog
from services.history.manifest import Manifest
from services.history.questions import OutcomesQuestion, RowsQuestion, TrendsQuestion
from services.history.reader.cursor import Sealer
from services.history.reader.database import Database
from services.history.reader.page import Pages
from services.history.reader.scan import Scan
from services.history.reader.told import Outcomes
from services.history.reader.trends import Trends
from tests.services.history.reader.tables import (
    START,
    keep,
    keep_outcomes,
    opened,
    predicted,
    table_of,
)
from tests.tiny import TinyPredictor

DAY = timedelta(days=1)
PLACES = (
    "/etc/passwd", "/proc/self/environ", "/etc/*", "{secret}", "{log}/../secret.csv",
    "{log}/churn/../../secret.csv", "file:{secret}", "file://{secret}", "~/.bashrc", "secret.csv",
    "http://127.0.0.1:1/x.csv", "s3://x/y.csv", "{log}x/y.csv", "{log}/churn/link.csv",
    "{log}/churn/folder/secret.csv", "{log}/churn/folder/*",
)  # fmt: skip
SHUT = "disabled|has been locked|does not exist|not allowed"
SPAN: dict[str, Any] = {"model": "churn", "since": START - DAY, "until": START + 5 * DAY}


def rows(count: int, day: int = 0) -> list[dict[str, Any]]:
    start = START + day * DAY
    return [
        {
            "at": start + timedelta(seconds=i), "entity": f"c{i}", "probability": i / count,
            "hours": float(i % 7), "region": f"r{i % 3}", "is_active": True, "tenure_months": i,
            "band": "low",
        }
        for i in range(count)
    ]  # fmt: skip


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


def pages(database: Database, **asked: Any) -> tuple[list[str | None], list[str]]:
    question = RowsQuestion(**{**SPAN, "limit": 1000, **asked})
    page = Pages(database, Sealer(b"s")).read(question, TinyPredictor)
    return [one.entity for one in page.predictions], page.notes


def volume(database: Database) -> tuple[int, list[str]]:
    question = TrendsQuestion(**SPAN, measure=["volume", "value", "outcomes"])
    series = Trends(database).read(question, TinyPredictor)
    return sum(row["volume"] for row in table_of(series)), series.notes


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(len(content) * share)]


def flip(share: float) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        place = int(len(content) * share)
        return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]

    return damage


DAMAGES = {
    **{f"cut at {share}": cut(share) for share in (0, 0.01, 0.3, 0.6, 0.99)},
    "no footer": lambda content: content[:-8],
    "no parquet": lambda content: b"x" * len(content),
}


class TestDamage:
    @pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
    @pytest.mark.parametrize("is_known", [True, False])
    def test_a_file_that_was_cut_is_left_out_and_told(
        self, log: PredictionLog, damage: Callable[[bytes], bytes], *, is_known: bool
    ) -> None:
        broken, _ = (*keep(log, "churn", predicted(rows(20))),
                     *keep(log, "churn", predicted(rows(7, day=1))))  # fmt: skip
        with opened(log) as database:
            if is_known:
                assert len(pages(database)[0]) == 27
            broken.write_bytes(damage(broken.read_bytes()))
            found, notes = pages(database)
            assert sorted(str(one) for one in found) == [f"c{i}" for i in range(7)]
            assert len(notes) == 1
            assert notes[0].startswith("1 file of the log could not be read and is left out")
            assert volume(database)[0] == 7
            assert notes[0] in volume(database)[1]

    @pytest.mark.parametrize(
        "name", ["at", "version", "entity", "caller", "flags", "result_probability", "input_hours"]
    )
    def test_a_name_of_a_column_that_was_damaged_costs_its_file_alone(
        self, log: PredictionLog, name: str
    ) -> None:
        [broken] = keep(log, "churn", predicted(rows(40)))
        whole = broken.read_bytes()
        start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
        # The name in Parquet's own schema; Arrow's beside it is in Base64.
        other = name.replace(name[0], "z", 1).encode()
        broken.write_bytes(whole[:start] + whole[start:].replace(name.encode(), other))
        with opened(log) as database:
            for count in (0, 7):
                if count:
                    keep(log, "churn", predicted(rows(7, day=1)))
                assert [len(one) for one in pages(database)] == [count, 1]
                assert pages(database, flagged=False, version="1", caller="x")[0] == []
                assert volume(database)[0] == count

    def test_whatever_bit_flips_a_question_is_answered(self, log: PredictionLog) -> None:
        [broken] = keep(log, "churn", predicted(rows(40)))
        keep(log, "churn", predicted(rows(7, day=1)))
        whole = broken.read_bytes()
        random = np.random.default_rng(8)
        told = 0
        for share in random.random(60):
            broken.write_bytes(flip(share)(whole))
            with opened(log) as database:
                found, notes = pages(database)
                # What no checksum is over: statistics, indexes, names that are not asked for.
                assert len(found) == (7 if notes else 47)
                total, _ = volume(database)
                assert total in {7, 47}
                told += bool(notes)
        assert told > 10

    def test_a_fault_of_the_disk_is_not_remembered_as_damage(
        self, log: PredictionLog, tmp_path: Path
    ) -> None:
        keep(log, "churn", predicted(rows(3)))
        [path] = keep(log, "churn", predicted(rows(5, day=1)))
        with opened(log) as database:
            path.rename(tmp_path / "away")
            path.mkdir()
            total, [note, _] = volume(database)
            assert (total, "could not be read" in note) == (3, True)
            path.rmdir()
            (tmp_path / "away").rename(path)
            assert volume(database)[0] == 8

    def test_damaged_outcomes_cost_no_prediction(self, log: PredictionLog) -> None:
        keep(log, "churn", predicted(rows(7)))
        told = [
            {"at": START + timedelta(minutes=i), "entity": f"c{i}", "value": 1.0}
            for i in range(200)
        ]
        keep_outcomes(log, "churn", *told)
        [(path, _)] = log.files("churn.outcomes")
        whole = Path(str(path)).read_bytes()
        with opened(log) as database:
            assert volume(database)[0] == 7
            middle = len(whole) // 3
            Path(str(path)).write_bytes(whole[:middle] + b"x" * 60 + whole[middle + 60 :])
            total, [note, _] = volume(database)
            assert (total, "could not be read" in note) == (7, True)
            question = OutcomesQuestion(**SPAN)
            page = Outcomes(database).read(question, TinyPredictor)
            assert (page.outcomes, len(page.notes)) == ([], 1)

    def test_damaged_predictions_cost_no_outcome(self, log: PredictionLog) -> None:
        [broken] = keep(log, "churn", predicted(rows(40)))
        keep_outcomes(log, "churn", {"at": START, "entity": "c1", "value": 1.0})
        with opened(log) as database:
            question = OutcomesQuestion(**SPAN)
            assert Outcomes(database).read(question, TinyPredictor).matched == 1
            broken.write_bytes(cut(0.5)(broken.read_bytes()))
            page = Outcomes(database).read(question, TinyPredictor)
            assert (page.matched, page.unmatched, len(page.notes)) == (0, 1, 1)


class TestFilesThatWereReplaced:
    @pytest.mark.parametrize("is_known", [True, False])
    def test_a_file_that_goes_between_manifest_and_read_is_looked_for_again(
        self, log: PredictionLog, *, is_known: bool
    ) -> None:
        old = [*keep(log, "churn", predicted(rows(5))), *keep(log, "churn", predicted(rows(3)))]
        with opened(log) as database:
            if is_known:
                assert len(pages(database)[0]) == 8
            asked = 0

            def ask() -> int:
                nonlocal asked
                asked += 1
                scan = database.scanner.scan("churn")
                if asked == 1:
                    compact(log, old)
                query = f"SELECT count(*) AS n FROM {scan.source}"  # noqa: S608 - of our own
                return int(database.rows(query, {}, scan)[0]["n"])

            assert database.ask(ask, lambda: database.scanner.scan("churn")) == 8
            assert asked == 2
            assert pages(database) == ([f"c{i}" for i in range(7, -1, -1)], [])

    @pytest.mark.parametrize("is_known", [True, False])
    def test_a_file_that_a_manifest_names_and_nobody_has_costs_its_own_rows(
        self, log: PredictionLog, *, is_known: bool
    ) -> None:
        [gone] = keep(log, "churn", predicted(rows(5)))
        keep(log, "churn", predicted(rows(3, day=1)))
        with opened(log) as database:
            if is_known:
                assert len(pages(database)[0]) == 8
            whole = gone.read_bytes()
            gone.unlink()
            found, [note] = pages(database)
            assert (len(found), "could not be read" in note) == (3, True)
            assert volume(database)[0] == 3
            gone.write_bytes(whole)
            assert len(pages(database)[0]) == 8

    def test_what_is_wrong_with_a_question_is_not_tried_again(self, database: Database) -> None:
        asked = 0

        def ask() -> Scan:
            nonlocal asked
            asked += 1
            database.rows("SELECT nothing FROM nowhere", {}, database.scanner.scan("churn"))
            raise AssertionError

        with pytest.raises(duckdb.Error):
            database.ask(ask, lambda: database.scanner.scan("churn"))
        assert asked == 1


def compact(log: PredictionLog, old: list[Path]) -> None:
    """Put files together, as the worker does, and delete them at once."""
    files = log.write("churn", predicted(rows(8)))
    log.commit("churn", "2026-03", Manifest(files=tuple(files)))
    for path in old:
        path.unlink()
