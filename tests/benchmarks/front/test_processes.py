"""Nothing of a server outlives its measurement."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.front.processes import DidNotStartError, running

# A child that leaves the session and whose parent ends at once, as daemons do.
ESCAPED = """
import os, pathlib, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        pathlib.Path("child.txt").write_text(str(os.getpid()))
        time.sleep(300)
    os._exit(0)
time.sleep(300)
"""


def test_a_child_that_left_its_session_is_weighed_and_ended(tmp_path: Path) -> None:
    child = tmp_path / "child.txt"
    with running(
        [sys.executable, "-c", ESCAPED], port=1, environment={}, folder=tmp_path,
        ready=lambda: child.exists() and child.read_text() != "",
    ) as server:  # fmt: skip
        pid = int(child.read_text())
        assert pid in {process.pid for process in server.tree()}
        assert server.rss_mib() > 0
    assert not psutil.pid_exists(pid)


def test_a_server_that_ends_says_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with (
        pytest.raises(DidNotStartError, match="no such model"),
        running(command, port=1, environment={}, folder=tmp_path, ready=lambda: False),
    ):
        pass
