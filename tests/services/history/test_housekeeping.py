"""Files of the log are put together, and go when they are too old."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bentos.release import Release
from core.platform_config import History
from core.settings import Settings
from services.history.housekeeping import Housekeeper
from services.history.keeper import build_history
from services.history.log import QUARANTINE
from services.history.mover import owner_of
from tests.services.history.conftest import (
    DAY_NS,
    log_of,
    move,
    row,
    rows_of,
    write_segment,
)
from tests.services.history.reader.tables import START, TINY, keep, predicted


class TestHousekeeping:
    def test_days_that_are_too_old_go(self, tmp_path: Path, release: Release) -> None:
        now_ns = time.time_ns()
        for number, days in enumerate((0, 5, 40)):
            at_ns = now_ns - days * DAY_NS
            write_segment(tmp_path / "spool", release, [row(days)], name=f"a-{number}", at_ns=at_ns)
        move(tmp_path)
        kept = Housekeeper(log_of(tmp_path), keep_days=30).step()
        assert kept.expired == 1
        assert sorted(one["entity"] for one in rows_of(log_of(tmp_path))) == ["c0", "c5"]

    def test_of_today_only_many_files_are_put_together(
        self, tmp_path: Path, release: Release
    ) -> None:
        keeper = Housekeeper(log_of(tmp_path), keep_days=None)
        for number in range(9):
            write_segment(
                tmp_path / "spool", release, [row(number)], name=f"a-{number}",
                at_ns=time.time_ns(),
            )  # fmt: skip
            move(tmp_path)
            assert keeper.step().compacted == (0 if number != 7 else 8)
        assert len(rows_of(log_of(tmp_path))) == 9

    def test_files_that_do_not_go_together_are_not_written_again_and_again(
        self, tmp_path: Path
    ) -> None:
        log = log_of(tmp_path)
        texts = TINY | {"hours": "text"}
        for hours, inputs in ((1.5, TINY), ("many", texts), (2.5, TINY)):
            keep(log, "churn", predicted([{"at": START, "hours": hours}], inputs=inputs))
        keeper = Housekeeper(log, keep_days=None)
        assert keeper.step().compacted == 3
        found = log.files("churn")
        assert sorted(file.rows for _, file in found) == [1, 2]
        assert [keeper.step().compacted for _ in range(2)] == [0, 0]
        assert Housekeeper(log, keep_days=None).step().compacted == 0
        assert log.files("churn") == found

    def test_what_was_replaced_is_deleted_later(
        self, tmp_path: Path, release: Release, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(2):
            write_segment(tmp_path / "spool", release, [row(number)], name=f"a-{number}")
            move(tmp_path)
        old = [Path(path) for path, _ in log_of(tmp_path).files("churn")]
        keeper = Housekeeper(log_of(tmp_path), keep_days=None)
        keeper.step()
        assert all(path.exists() for path in old)
        later = time.time() + 120
        monkeypatch.setattr("core.clock.now", lambda: datetime.fromtimestamp(later, UTC))
        keeper.step()
        assert not any(path.exists() for path in old)
        assert len(rows_of(log_of(tmp_path))) == 2

    def test_who_writes_is_told_apart_for_ever(self, tmp_path: Path) -> None:
        tmp_path.mkdir(exist_ok=True)
        first = owner_of(tmp_path)
        assert first == owner_of(tmp_path)
        assert first.isalnum()


class TestQuarantine:
    def test_what_is_too_old_goes_from_both(self, tmp_path: Path) -> None:
        today = datetime.now(UTC).date()
        spool, aside = tmp_path / "spool", tmp_path / "predictions" / QUARANTINE
        (spool / QUARANTINE).mkdir(parents=True)
        aside.mkdir(parents=True)
        for days in (29, 30, 31):
            at_s = time.time() - days * 86_400
            (spool / QUARANTINE / f"a-{days}.seg").write_bytes(b"x")
            os.utime(spool / QUARANTINE / f"a-{days}.seg", (at_s, at_s))
            for place in ("churn", "_refused"):
                day = today - timedelta(days=days)
                (aside / f"{place}-{day}-{days}-me.parquet").write_bytes(b"x")
        # About a month that is long past, told when the file was written.
        for days in (2, 40):
            path = aside / f"churn.outcomes-2020-01-01-{days}-me.parquet"
            path.write_bytes(b"x")
            os.utime(path, (time.time() - days * 86_400,) * 2)
        log = log_of(tmp_path)
        Housekeeper(log, keep_days=None, spool=spool).step()
        assert len(list(aside.iterdir())) == 8
        Housekeeper(log, keep_days=30, spool=spool).step()
        assert sorted(path.name for path in (spool / QUARANTINE).iterdir()) == [
            "a-29.seg", "a-30.seg",
        ]  # fmt: skip
        assert sorted(path.name for path in aside.iterdir()) == sorted(
            [
                f"{place}-{today - timedelta(days=days)}-{days}-me.parquet"
                for place in ("churn", "_refused")
                for days in (29, 30)
            ]
            + ["churn.outcomes-2020-01-01-2-me.parquet"]
        )

    def test_the_worker_looks_after_it(self, tmp_path: Path) -> None:
        keeper = build_history(Settings(home=tmp_path), History(keep_days=30))
        old = tmp_path / "spool" / QUARANTINE / "a-0.seg"
        old.parent.mkdir()
        old.write_bytes(b"x")
        os.utime(old, (0, 0))
        keeper.step()
        keeper.close()
        assert not old.exists()
