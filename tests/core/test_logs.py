"""Logs on a disk that is full: whoever logs goes on, and what was lost is told."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from core.logs import OUTLET, Outlet, configure_logs, get_logger
from tests.full_disk import FULL, needs_full

PIPE_BYTES = 4096


@pytest.fixture
def _logging() -> Iterator[None]:
    configure_logs()
    yield
    structlog.reset_defaults()


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Give the lines of a log; all of them are JSON."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@needs_full
@pytest.mark.usefixtures("_logging")
def test_a_full_disk_raises_into_nobody_who_logs_and_the_lost_lines_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = OUTLET.lost
    log = get_logger("disk")
    with FULL.open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        for number in range(3):
            log.error("lost", number=number)
    path = tmp_path / "log"
    with path.open("w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stderr", file)
        for number in range(2):
            log.info("kept", number=number)
    assert OUTLET.lost == before + 3
    told, *kept = lines_of(path)
    assert (told["event"], told["level"], told["lines"]) == ("log_lines_lost", "warning", 3)
    assert [(line["event"], line["number"]) for line in kept] == [("kept", 0), ("kept", 1)]


@pytest.mark.usefixtures("_logging")
def test_a_stream_that_was_closed_raises_into_nobody_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = OUTLET.lost
    file = (tmp_path / "log").open("w", encoding="utf-8")
    file.close()
    monkeypatch.setattr(sys, "stderr", file)
    get_logger("disk").info("lost")
    monkeypatch.undo()
    get_logger("disk").info("kept")
    assert OUTLET.lost == before + 1


def test_half_a_line_that_was_written_does_not_swallow_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    outlet = Outlet()
    with os.fdopen(reader, "rb", buffering=0) as read, os.fdopen(writer, "w") as written:
        monkeypatch.setattr(sys, "stderr", written)
        outlet.write("x" * 2 * PIPE_BYTES + "\n")
        assert read.read(PIPE_BYTES) == b"x" * PIPE_BYTES
        outlet.write('{"event": "next"}\n')
        cut, told, line = read.read(PIPE_BYTES).splitlines()
    assert (cut, outlet.lost) == (b"", 1)
    assert json.loads(told)["lines"] == 1
    assert json.loads(line) == {"event": "next"}
