"""What is wrong with the history stands in /metrics, though only the worker sees it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from bentos.release import Release
from core import clock
from core.platform_config import History
from core.settings import Settings
from services.history.keeper import build_history
from services.history.log import QUARANTINE
from services.predictions.condition import Condition, read_condition, write_condition
from services.predictions.segment import Segment
from tests.services.conftest import Client, start
from tests.services.history.conftest import row, write_segment
from tests.services.history.wishes import ask

HOUR_S = 3600
CONFIG = History(tidy_seconds=1e-6)


def told(home: Path) -> dict[str, float]:
    """Start a platform and read its gauges of the history."""
    platform = start(home)
    try:
        page = Client(platform.app, headers={"X-API-Key": platform.key}).get("/metrics").text
    finally:
        platform.close()
    found = re.findall(r"^septet_history_(\w+) (\S+)$", page, re.MULTILINE)
    return {name: float(value) for name, value in found}


@contextmanager
def after(**given: float) -> Iterator[None]:
    """Let time go by."""
    now = clock.now
    clock.now = lambda: now() + timedelta(**given)
    try:
        yield
    finally:
        clock.now = now


def work(home: Path) -> None:
    """Let a worker look once, and once more when what was replaced is deleted."""
    keeper = build_history(Settings(home=home), CONFIG)
    for minutes in (0, 2, 4):
        with after(minutes=minutes):
            keeper.step()
    keeper.close()


def test_all_is_well_where_nothing_was_told(tmp_path: Path) -> None:
    assert told(tmp_path) == {"set_aside": 0, "erasing_seconds": 0}


def test_files_that_were_set_aside_are_counted_wherever_they_lie(
    tmp_path: Path, release: Release
) -> None:
    write_segment(tmp_path / "spool", release, [row(i) for i in range(20)], name="a-0")
    damaged = tmp_path / "spool" / "a-0.seg"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 4
    damaged.write_bytes(content)
    aside = tmp_path / "predictions" / QUARANTINE
    aside.mkdir(parents=True)
    (aside / "churn-2026-03-31-x-me.parquet").write_bytes(b"x")
    work(tmp_path)
    assert told(tmp_path)["set_aside"] == 2
    (aside / "churn-2026-03-31-x-me.parquet").unlink()
    (tmp_path / "spool" / QUARANTINE / "a-0.seg").unlink()
    work(tmp_path)
    assert told(tmp_path)["set_aside"] == 0


def test_an_erasure_that_is_not_done_grows_older_also_while_no_worker_runs(
    tmp_path: Path, release: Release
) -> None:
    spool = tmp_path / "spool"
    write_segment(spool, release, [row(1)], name="a-0")
    left = Segment(spool / "z-0.open", 1 << 16)
    assert left.append(99, time.time_ns(), 0, b"{}", b"", b"")
    left.finish()
    ask(spool, "c1", at_ns=time.time_ns() - 2 * HOUR_S * 10**9)
    work(tmp_path)
    assert 2 * HOUR_S <= told(tmp_path)["erasing_seconds"] < 3 * HOUR_S
    (spool / "z-0.seg").unlink()
    work(tmp_path)
    assert told(tmp_path)["erasing_seconds"] == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"colour": "red"}'])
def test_what_cannot_be_read_tells_nothing(tmp_path: Path, content: bytes) -> None:
    write_condition(tmp_path, Condition(3, 7.5))
    assert read_condition(tmp_path) == Condition(3, 7.5)
    [file] = tmp_path.iterdir()
    file.write_bytes(content)
    assert read_condition(tmp_path) == Condition()
