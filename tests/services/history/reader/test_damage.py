"""What of the log is damaged, gone or replaced costs no answer but its own rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from services.history.log import PredictionLog
from services.history.manifest import Manifest
from services.history.questions import OutcomesQuestion, RowsQuestion
from services.history.reader.cursor import Sealer
from services.history.reader.database import Database
from services.history.reader.page import Pages
from services.history.reader.scan import Scan
from services.history.reader.told import Outcomes
from tests.services.history.reader.small_log import SPAN, rows, volume
from tests.services.history.reader.tables import (
    START,
    keep,
    keep_outcomes,
    opened,
    predicted,
)
from tests.tiny import TinyPredictor


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    return PredictionLog(tmp_path / "log", owner="me")


@pytest.fixture
def database(log: PredictionLog) -> Iterator[Database]:
    keep(log, "churn", predicted(rows(10)))
    with opened(log) as found:
        yield found


def pages(database: Database, **asked: Any) -> tuple[list[str | None], list[str]]:
    question = RowsQuestion(**{**SPAN, "limit": 1000, **asked})
    page = Pages(database, Sealer(b"s")).read(question, TinyPredictor)
    return [one.entity for one in page.predictions], page.notes


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(len(content) * share)]


def flip(share: float) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        place = int(len(content) * share)
        return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]

    return damage


def spoil(content: bytes) -> bytes:
    return content[:40] + b"x" * 400 + content[440:]


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
                assert [len(one) for one in pages(database)] == [count, 1 + (count == 0)]
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

    @pytest.mark.parametrize("damage", [cut(0.3), spoil], ids=["no footer", "a page"])
    def test_files_that_were_put_right_are_read_again(
        self, log: PredictionLog, damage: Callable[[bytes], bytes]
    ) -> None:
        paths = [keep(log, "churn", predicted(rows(40, day=day)))[0] for day in range(3)]
        whole = [path.read_bytes() for path in paths]
        times = [path.stat() for path in paths]
        with opened(log) as database:
            for path, content in zip(paths[:2], whole[:2], strict=True):
                path.write_bytes(damage(content))
            found, [note] = pages(database)
            assert len(found) == 40
            assert note == (
                "2 files of the log could not be read and are left out; the historian's log names "
                "them."
            )
            for path, content, time in zip(paths, whole, times, strict=True):
                path.write_bytes(content)
                os.utime(path, ns=(time.st_atime_ns, time.st_mtime_ns))
            assert (len(pages(database)[0]), volume(database)[0]) == (120, 120)

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
