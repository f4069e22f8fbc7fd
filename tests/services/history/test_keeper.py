"""What the worker does for the history: again and again, whatever fails."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bentos.release import Release
from core.platform_config import History
from core.settings import Settings
from services.history.keeper import build_history
from services.history.log import PredictionLog
from services.history.manifest import ManifestCorrupt, read_manifest
from services.history.mover import owner_of
from services.history.store import FolderStore
from tests.services.history.conftest import (
    DAY_NS,
    NOON_NS,
    ids_of,
    log_of,
    row,
    rows_of,
    write_segment,
)
from tests.services.history.wishes import ask, erasure_of

ROOT = Path(__file__).resolve().parents[3]
# The disk takes small files alone, while the keeper tries again and again.
FULL_DISK = """
import resource, signal, sys, threading
from pathlib import Path
from core.platform_config import History
from core.settings import Settings
from services.history.keeper import build_history
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
config = History(move_seconds=0.02, tidy_seconds=3600, keep_days=30)
stop = threading.Event()
threading.Timer(1, stop.set).start()
build_history(Settings(home=Path(sys.argv[1])), config).run(stop)
"""
CONFIG = History(move_seconds=0.02, tidy_seconds=0.05)


def run_until(home: Path, is_done: Callable[[], bool]) -> None:
    """Let the keeper run in a thread until something holds."""
    stop = threading.Event()
    keeper = build_history(Settings(home=home), CONFIG)
    thread = threading.Thread(target=keeper.run, args=(stop,))
    thread.start()
    try:
        until_s = time.monotonic() + 20
        while not is_done():
            assert time.monotonic() < until_s
            time.sleep(0.02)
    finally:
        stop.set()
        thread.join()


def logs_of(home: Path) -> int:
    """Count the manifests of the model."""
    return len(list((home / "predictions" / "churn").glob("*.manifest.json")))


def test_only_its_user_may_read_what_callers_sent(tmp_path: Path) -> None:
    build_history(Settings(home=tmp_path), CONFIG)
    for name in ("spool", "predictions"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700


def test_what_comes_is_moved_and_what_waits_at_the_end_too(
    tmp_path: Path, release: Release
) -> None:
    write_segment(tmp_path / "spool", release, [row(1)], name="a-0")
    run_until(tmp_path, lambda: logs_of(tmp_path) == 1)
    write_segment(tmp_path / "spool", release, [row(2)], name="a-1")
    run_until(tmp_path, lambda: True)
    assert len(ids_of(log_of(tmp_path))) == 2


def test_a_fault_is_tried_again_and_nothing_is_lost(tmp_path: Path, release: Release) -> None:
    build_history(Settings(home=tmp_path), CONFIG)
    # A file stands where the model's folder must be.
    blocker = tmp_path / "predictions" / "churn"
    blocker.write_text("in the way")
    answers = write_segment(tmp_path / "spool", release, [row(1)], name="a-0")
    started_s = time.monotonic()

    def is_done() -> bool:
        if blocker.is_file() and time.monotonic() - started_s > 0.3:
            blocker.unlink()
        return logs_of(tmp_path) == 1

    run_until(tmp_path, is_done)
    assert ids_of(log_of(tmp_path)) == [answers[0]["prediction_id"]]


def test_a_disk_that_is_full_is_not_filled_further_and_what_is_too_old_goes_all_the_same(
    tmp_path: Path, release: Release
) -> None:
    write_segment(tmp_path / "spool", release, [row(1)], name="a-0", at_ns=NOON_NS - 5 * DAY_NS)
    run_until(tmp_path, lambda: logs_of(tmp_path) == 1)
    assert len(log_of_owner(tmp_path).files("churn")) == 1
    # The file of the first day can be written, that of the second day cannot.
    for name, rows, at_ns in (("b-0", 1, NOON_NS - DAY_NS), ("b-1", 3000, NOON_NS)):
        asked = [row(i) for i in range(rows)]
        spool = tmp_path / "spool"
        write_segment(spool, release, asked, name=name, at_ns=at_ns, together=50)
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert log_of_owner(tmp_path).files("churn") == []
    assert len(list((tmp_path / "spool").glob("*.seg"))) == 2
    # What was expired is there for a minute more, and that of the last try until the next one.
    assert len(list((tmp_path / "predictions" / "churn").glob("*/*"))) <= 2
    run_until(tmp_path, lambda: len(ids_of(log_of_owner(tmp_path))) == 3001)


def test_a_manifest_that_is_none_stops_the_move_and_says_so(
    tmp_path: Path, release: Release
) -> None:
    write_segment(tmp_path / "spool", release, [row(1)], name="a-0")
    run_until(tmp_path, lambda: logs_of(tmp_path) == 1)
    [path] = (tmp_path / "predictions" / "churn").glob("*.manifest.json")
    path.write_text("{")
    with pytest.raises(ManifestCorrupt, match="from a backup"):
        read_manifest(FolderStore(path.parent), path.name)
    write_segment(tmp_path / "spool", release, [row(2)], name="a-1")
    run_until(tmp_path, lambda: True)
    assert (tmp_path / "spool" / "a-1.seg").exists()


def test_a_second_worker_leaves_the_log_alone(tmp_path: Path, release: Release) -> None:
    config = History(tidy_seconds=60)
    first, second = (build_history(Settings(home=tmp_path), config) for _ in range(2))
    for number in range(2):
        write_segment(tmp_path / "spool", release, [row(number)], name=f"a-{number}")
        first.step()
    # It would put the two files together.
    second.step()
    assert len(log_of_owner(tmp_path).files("churn")) == 2
    first.close()
    second.step()
    assert len(log_of_owner(tmp_path).files("churn")) == 1
    second.close()


def test_an_entity_is_erased_by_the_way(tmp_path: Path, release: Release) -> None:
    write_segment(tmp_path / "spool", release, [row(1), row(2)], name="a-0")
    identity = ask(tmp_path / "spool", "c1")
    log = log_of_owner(tmp_path)
    place = tmp_path / "predictions" / "_erasures" / f"{identity}.json"
    run_until(tmp_path, lambda: place.exists() and erasure_of(log, identity).state == "rewritten")
    assert [one["entity"] for one in rows_of(log)] == ["c2"]


def log_of_owner(home: Path) -> PredictionLog:
    """Give the log as the keeper of a home writes it."""
    return PredictionLog(home / "predictions", owner=owner_of(home / "spool"))
