"""A disk that refuses any call: what was kept is in the log once, and nothing is left behind."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bentos.release import Release
from core.platform_config import History
from core.settings import Settings
from services.history.decoding import OUTCOMES_OF
from services.history.keeper import HistoryKeeper, build_history
from services.history.log import PredictionLog
from services.history.mover import owner_of
from tests.services.history.conftest import DAY_NS, ids_of, row, rows_of, write_segment
from tests.services.history.wishes import ask, erasure_of, later, tell

TIDY_SECONDS = 0.001
CALLS = ("fsync", "mkdir", "rename", "replace", "unlink")


class Disk:
    """Refuses some calls in a row, and takes all others.

    Parameters
    ----------
    first
        Which call is the first that is refused.
    times
        How many are.
    """

    def __init__(self, first: int, times: int) -> None:
        self._refused = range(first, first + times)
        self.calls = 0

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse them in this block."""
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, self._counted(getattr(os, name)))
            yield

    def _counted(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls - 1 in self._refused:
                raise OSError(errno.ENOSPC, "No space left on device")
            return original(*given, **options)

        return call


def kept(home: Path, release: Release) -> tuple[list[str], str]:
    """Write what waits to be moved; give the ids that stay, and the erasure of an entity."""
    spool = home / "spool"
    yesterday_ns = time.time_ns() - DAY_NS
    # Too old to be kept.
    write_segment(spool, release, [row(3)], name="a-0", at_ns=yesterday_ns - 40 * DAY_NS)
    stays = []
    for name, numbers in (("a-1", range(4)), ("a-2", (7, 1))):
        rows = [row(number) for number in numbers]
        answers = write_segment(spool, release, rows, name=name, at_ns=yesterday_ns)
        stays += [one["prediction_id"] for one in answers if one["entity"] != "c1"]
    told = [{"entity": one, "value": 1.0} for one in ("c1", "c2")]
    tell(spool, told, name="b-0", at_ns=yesterday_ns)
    return sorted(stays), ask(spool, "c1", at_ns=time.time_ns())


def step(keeper: HistoryKeeper, disk: Disk) -> bool:
    """Let it look once, on a disk that may refuse; say whether it came to the end."""
    time.sleep(1.2 * TIDY_SECONDS)
    with disk.refusing():
        try:
            keeper.step()
        except OSError:
            return False
    return True


def named(log: PredictionLog) -> set[str]:
    """Give the files that the manifests name, and those they say are replaced."""
    found = set()
    for place in log.models():
        for month in log.months(place):
            manifest = log.manifest(place, month)
            found |= {log.key(place, file) for file in manifest.files}
            found |= {f"{place}/{one.path}" for one in manifest.retired}
    return found


@pytest.mark.parametrize("times", [1, 3])
def test_whatever_call_is_refused_all_is_there_once_in_the_end(
    tmp_path: Path, release: Release, times: int
) -> None:
    for number in range(300):
        home = tmp_path / f"{number}"
        stays, identity = kept(home, release)
        keeper = build_history(
            Settings(home=home), History(keep_days=30, move_seconds=0.02, tidy_seconds=TIDY_SECONDS)
        )
        log = PredictionLog(home / "predictions", owner=owner_of(home / "spool"))
        disk = Disk(number, times)
        ended = 0
        for _ in range(times + 1):
            ended += step(keeper, disk)
            assert len(ids_of(log)) == len(set(ids_of(log)))
        with later():
            for _ in range(times + 2):
                ended += step(keeper, disk)
        keeper.close()
        assert ended
        assert ids_of(log) == stays
        assert [one["entity"] for one in rows_of(log, "churn" + OUTCOMES_OF)] == ["c2"]
        assert erasure_of(log, identity).state == "done"
        assert not list((home / "spool").glob("*.seg"))
        there = {str(one.relative_to(home / "predictions")) for one in log_files(home)}
        assert there == named(log)
        if disk.calls <= number:
            break
    assert 30 < number < 299


def log_files(home: Path) -> list[Path]:
    """Give the files of the log that are on the disk, drafts among them."""
    return [one for one in (home / "predictions").glob("churn*/*/*") if one.is_file()]
