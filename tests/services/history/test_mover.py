"""From the spool to the log: exactly what was said, exactly once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from bentos.answering import predict_rows, read_row
from bentos.release import Release
from core.errors import AnswerRefused
from services.history.housekeeping import Housekeeper
from services.history.mover import Mover, merged
from services.predictions.journal import Asked, Journal
from services.predictions.segment import Segment
from tests.services.history.conftest import (
    CALLER,
    DAY_NS,
    NOON_NS,
    Pen,
    hex_of,
    ids_of,
    log_of,
    move,
    refusals_of,
    release_of,
    row,
    rows_of,
    table_of,
    write_segment,
)
from tests.services.history.killing import counted, killed_at

ROOT = Path(__file__).resolve().parents[3]
# Files may not grow beyond a size: a write fails in the middle, as it does on a full disk.
FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from tests.services.history.conftest import move
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
move(Path(sys.argv[1]))
"""


class TestWhatIsMoved:
    def test_each_prediction_stands_in_the_log_as_it_was_said(
        self, tmp_path: Path, release: Release
    ) -> None:
        asked = [row(i, hours=None if i % 5 == 0 else i / 7) for i in range(40)]
        answers = write_segment(tmp_path / "spool", release, asked, name="a-0")
        moved = move(tmp_path)
        assert (moved.segments, moved.rows, moved.damaged) == (1, 40, 0)
        rows = {hex_of(one["prediction_id"]): one for one in rows_of(log_of(tmp_path))}
        assert len(rows) == 40
        for one, answer in zip(asked, answers, strict=True):
            kept = rows[answer["prediction_id"]]
            assert kept["entity"] == answer["entity"] == one["client_id"]
            assert kept["version"] == "1"
            assert kept["caller"] == "0123456789ab"
            assert kept["source"] == "row"
            assert kept["at"].timestamp() * 10**9 == NOON_NS
            assert kept["as_of"].isoformat() == "2026-01-31T08:00:00+00:00"
            assert 0 < kept["latency_us"] < 60_000_000
            inputs = {k.removeprefix("input_"): v for k, v in kept.items() if "input_" in k}
            assert inputs == {k: v for k, v in one.items() if k not in {"client_id", "as_of"}}
            assert kept["result_probability"] == answer["result"]["probability"]
            assert kept["result_band"] == answer["result"]["band"]
        assert not list((tmp_path / "spool").glob("*.seg"))

    def test_columns_have_the_types_of_the_config(self, tmp_path: Path, release: Release) -> None:
        write_segment(tmp_path / "spool", release, [row(1)], name="a-0")
        move(tmp_path)
        schema = table_of(log_of(tmp_path)).schema
        assert schema.field("input_tenure_months").type == pa.int64()
        assert schema.field("input_hours").type == pa.float64()
        assert schema.field("input_is_active").type == pa.bool_()
        assert schema.field("prediction_id").type == pa.binary(16)
        assert schema.field("at").type == pa.timestamp("us", tz="UTC")

    def test_flags_and_refusals_are_kept(self, tmp_path: Path, release: Release) -> None:
        flagged = row(3, tenure_months=500, region="nowhere")
        refused = AnswerRefused("no history")
        write_segment(
            tmp_path / "spool", release, [row(1), flagged], name="a-0", refusals=[refused] * 3
        )
        move(tmp_path)
        flags = {one["entity"]: one["flags"] for one in rows_of(log_of(tmp_path))}
        assert flags["c1"] is None
        assert "above_training_range" in flags["c3"]
        assert "level_not_seen" in flags["c3"]
        codes = [(one["model"], one["code"]) for one in refusals_of(log_of(tmp_path))]
        assert codes == [("churn", "AnswerRefused")] * 3

    def test_rows_lie_by_day_and_months_have_manifests(
        self, tmp_path: Path, release: Release
    ) -> None:
        for number in range(3):
            at_ns = NOON_NS + number * DAY_NS
            write_segment(tmp_path / "spool", release, [row(1)], name=f"a-{number}", at_ns=at_ns)
        move(tmp_path)
        log = log_of(tmp_path)
        days = [f"{file.day}" for _, file in log.files("churn")]
        assert days == ["2026-03-31", "2026-04-01", "2026-04-02"]
        assert log.months("churn") == ["2026-03", "2026-04"]
        assert all(Path(path).parent.name == f"{file.day}" for path, file in log.files("churn"))

    def test_versions_with_other_features_are_read_together(self, tmp_path: Path) -> None:
        old = release_of(tmp_path / "old")
        features = {"tenure_months": {"type": "number", "description": "Months"}}
        new = release_of(tmp_path / "new", "2", content={"features": features}, spans={})
        write_segment(tmp_path / "spool", old, [row(1)], name="a-0")
        only = {"client_id": "c2", "tenure_months": 2.5}
        write_segment(tmp_path / "spool", new, [only], name="a-1")
        move(tmp_path)
        rows = {one["entity"]: one for one in rows_of(log_of(tmp_path))}
        assert rows["c1"]["input_tenure_months"] == 21
        assert rows["c2"]["input_tenure_months"] == 2.5
        assert rows["c2"]["input_plan"] is None

    def test_a_feature_that_became_a_text_stays_apart(self) -> None:
        numbers, texts = pa.table({"x": [1.5]}), pa.table({"x": ["many"]})
        more = pa.table({"x": [2], "y": [True]})
        together, apart = merged([numbers, texts, more])
        assert together.to_pylist() == [{"x": 1.5, "y": None}, {"x": 2.0, "y": True}]
        assert apart.to_pylist() == [{"x": "many"}]

    def test_what_a_killed_process_wrote_is_moved_and_what_a_live_one_writes_is_not(
        self, tmp_path: Path, release: Release
    ) -> None:
        spool = tmp_path / "spool"
        child = os.fork()
        if not child:
            with counted(1):
                # It makes the folder, and dies as it brings the segment to the disk.
                write_segment(spool, release, [row(1)], name="gone-0")
        os.waitpid(child, 0)
        live = Segment(spool / "live-0.open", 1 << 16)
        assert move(tmp_path).rows == 1
        assert (spool / "live-0.open").exists()
        live.finish()


class TestExactlyOnce:
    def test_one_worker_at_a_time_empties_a_spool(self, tmp_path: Path, release: Release) -> None:
        write_segment(tmp_path / "spool", release, [row(1)], name="a-0")
        first = Mover(tmp_path / "spool", log_of(tmp_path))
        second = Mover(tmp_path / "spool", log_of(tmp_path))
        assert first.step().rows == 1
        write_segment(tmp_path / "spool", release, [row(2)], name="a-1")
        assert second.step().segments == 0
        first.close()
        assert second.step().rows == 1
        second.close()

    def test_a_spool_that_could_not_be_taken_is_taken_the_next_time(
        self, tmp_path: Path, release: Release
    ) -> None:
        write_segment(tmp_path / "spool", release, [row(1)], name="a-0")
        lock = tmp_path / "spool" / ".mover"
        lock.write_text("who knows")
        mover = Mover(tmp_path / "spool", log_of(tmp_path))
        with pytest.raises(ValueError, match="invalid literal"):
            mover.step()
        os.truncate(lock, 0)
        assert mover.step().rows == 1
        mover.close()

    def test_a_disk_that_takes_no_more_in_the_middle_of_a_file_loses_nothing(
        self, tmp_path: Path, release: Release
    ) -> None:
        answers = write_segment(
            tmp_path / "spool", release, [row(i) for i in range(3000)], name="a", together=50
        )
        told = subprocess.run(
            [sys.executable, "-c", FULL_DISK, str(tmp_path)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "File too large" in told.stderr
        log = log_of(tmp_path)
        assert ids_of(log) == []
        assert [path.name for path in (tmp_path / "spool").glob("*.seg")] == ["a.seg"]
        move(tmp_path)
        assert ids_of(log) == sorted(one["prediction_id"] for one in answers)
        assert not list((tmp_path / "predictions").rglob(".*"))

    def test_a_clock_that_is_set_back_loses_nothing(self, tmp_path: Path, release: Release) -> None:
        spool = tmp_path / "spool"
        answers = []
        for name, at_ns in (("a", NOON_NS), ("b", NOON_NS - DAY_NS), ("c", NOON_NS + DAY_NS)):
            answers += write_segment(spool, release, [row(1), row(2)], name=name, at_ns=at_ns)
        pen = Pen(spool / "d.open", NOON_NS + DAY_NS)
        journal = Journal(pen)  # type: ignore[arg-type]  # what of a spool it asks for
        for at_ns in (NOON_NS + DAY_NS, NOON_NS - DAY_NS, NOON_NS):
            pen.turn(at_ns)
            body = json.dumps(row(3)).encode()
            asked = [Asked(CALLER.key_id, time.perf_counter(), body)]
            outcomes = predict_rows(release, [read_row(release, row(3))], explain=False)
            ends, _ = journal.outcomes(release, asked, outcomes)
            answers += [json.loads(end) for end in ends if isinstance(end, bytes)]
        pen.finish()
        move(tmp_path)
        log = log_of(tmp_path)
        assert ids_of(log) == sorted(one["prediction_id"] for one in answers)
        days = sorted(f"{one['at']:%F}" for one in rows_of(log))
        assert days == ["2026-03-30"] * 3 + ["2026-03-31"] * 3 + ["2026-04-01"] * 3
        Housekeeper(log, keep_days=None).step()
        assert ids_of(log) == sorted(one["prediction_id"] for one in answers)

    def test_a_segment_that_came_back_is_not_moved_twice(
        self, tmp_path: Path, release: Release
    ) -> None:
        write_segment(tmp_path / "spool", release, [row(i) for i in range(9)], name="a-0")
        path = tmp_path / "spool" / "a-0.seg"
        content = path.read_bytes()
        move(tmp_path)
        path.write_bytes(content)
        write_segment(tmp_path / "spool", release, [row(10)], name="a-1")
        move(tmp_path)
        assert len(ids_of(log_of(tmp_path))) == 10
        # Later, when it is not known any more, the doubles go when files are put together.
        write_segment(tmp_path / "spool", release, [row(11)], name="a-2")
        move(tmp_path)
        path.write_bytes(content)
        move(tmp_path)
        assert len(ids_of(log_of(tmp_path))) == 20
        Housekeeper(log_of(tmp_path), keep_days=None).step()
        assert len(set(ids_of(log_of(tmp_path)))) == len(ids_of(log_of(tmp_path))) == 11

    def test_a_crash_at_any_call_loses_nothing_and_doubles_nothing(
        self, tmp_path: Path, release: Release
    ) -> None:
        survived = 0
        for number in range(200):
            home = tmp_path / f"{number}"
            answers = []
            for segment, at_ns in enumerate((NOON_NS, NOON_NS + DAY_NS)):
                rows = [row(i + 10 * segment) for i in range(10)]
                answers += write_segment(
                    home / "spool", release, rows, name=f"a-{segment}", at_ns=at_ns
                )
            if killed_at(number, partial(move, home)):
                # Whoever reads meanwhile sees no row twice.
                assert len(ids_of(log_of(home))) == len(set(ids_of(log_of(home))))
                move(home)
            else:
                survived += 1
            assert ids_of(log_of(home)) == sorted(one["prediction_id"] for one in answers)
            assert not list((home / "spool").glob("*.seg"))
            if survived:
                break
        assert survived
        # Each rename, deletion and wait for the disk was a place to die at.
        assert number > 20

    def test_the_same_holds_while_files_are_put_together(
        self, tmp_path: Path, release: Release
    ) -> None:
        for number in range(200):
            home = tmp_path / f"{number}"
            for segment in range(3):
                rows = [row(i + 10 * segment) for i in range(5)]
                write_segment(home / "spool", release, rows, name=f"a-{segment}")
                move(home)
            before = ids_of(log_of(home))
            assert len(log_of(home).files("churn")) == 3
            killed = killed_at(number, partial(tidy, home))
            assert ids_of(log_of(home)) == before
            tidy(home)
            assert ids_of(log_of(home)) == before
            assert len(log_of(home).files("churn")) == 1
            if not killed:
                break
        assert number > 5

    def test_the_same_holds_while_days_that_are_too_old_go(
        self, tmp_path: Path, release: Release
    ) -> None:
        now_ns = time.time_ns()
        for number in range(200):
            home = tmp_path / f"{number}"
            young: list[str] = []
            for segment, days in enumerate((2, 2, 40, 41)):
                rows = [row(i + 10 * segment) for i in range(5)]
                at_ns = now_ns - days * DAY_NS
                answers = write_segment(
                    home / "spool", release, rows, name=f"a-{segment}", at_ns=at_ns
                )
                young += [one["prediction_id"] for one in answers if days < 30]
                move(home)
            before = set(ids_of(log_of(home)))
            killed = killed_at(number, partial(tidy, home, keep_days=30))
            now = ids_of(log_of(home))
            assert set(young) <= set(now) <= before
            assert len(now) == len(set(now))
            tidy(home, keep_days=30)
            assert ids_of(log_of(home)) == sorted(young)
            if not killed:
                break
        assert number > 5


def tidy(home: Path, keep_days: int | None = None) -> Any:
    keeper = Housekeeper(log_of(home), keep_days=keep_days)
    keeper.sweep(older_s=0)
    return keeper.step()


class TestDamage:
    def test_what_can_be_read_is_moved_and_the_rest_is_put_aside(
        self, tmp_path: Path, release: Release
    ) -> None:
        spool = tmp_path / "spool"
        rows = [row(i) for i in range(20)]
        write_segment(spool, release, rows, name="a-0", together=1)
        path = spool / "a-0.seg"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
        moved = move(tmp_path)
        assert (moved.rows, moved.damaged) == (19, 1)
        assert (spool / "quarantine" / "a-0.seg").read_bytes() == bytes(content)
        assert move(tmp_path).segments == 0

    def test_a_file_that_cannot_be_read_is_taken_out_of_the_log(
        self, tmp_path: Path, release: Release
    ) -> None:
        for number in range(3):
            write_segment(tmp_path / "spool", release, [row(number)], name=f"a-{number}")
            move(tmp_path)
        (bad, _), *good = log_of(tmp_path).files("churn")
        damaged = Path(bad)
        damaged.write_bytes(damaged.read_bytes()[:-40])
        kept = Housekeeper(log_of(tmp_path), keep_days=None).step()
        assert (kept.damaged, kept.compacted) == (1, 2)
        assert len(rows_of(log_of(tmp_path))) == 2 == len(good)
        assert [path.name for path in (tmp_path / "predictions" / "quarantine").iterdir()]

    @pytest.mark.parametrize("cut", [0, 1, 4, 12, 200])
    def test_a_segment_of_which_little_is_left_harms_nobody(
        self, tmp_path: Path, release: Release, cut: int
    ) -> None:
        write_segment(tmp_path / "spool", release, [row(1)], name="a-0")
        path = tmp_path / "spool" / "a-0.seg"
        path.write_bytes(path.read_bytes()[:cut])
        write_segment(tmp_path / "spool", release, [row(2)], name="a-1")
        assert move(tmp_path).rows == 1
