"""Programs are ended with everything they started; nothing is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.processes import Processes, Program

# Starts a child that opens a session of its own, as BentoML's workers do, and tells its id.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""
SLEEPER = "import time; time.sleep(60)"
DEAF = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def processes() -> Iterator[Processes]:
    running = Processes()
    yield running
    running.stop(grace_seconds=0.2)


def program(tmp_path: Path, code: str, *arguments: str, name: str = "one") -> Program:
    return Program(
        name=name,
        command=[sys.executable, "-c", code, *arguments],
        log=tmp_path / "logs" / f"{name}.log",
    )


def wait_for_text(path: Path) -> str:
    for _ in range(200):
        if path.exists() and (text := path.read_text().strip()):
            return text
        time.sleep(0.05)
    pytest.fail(f"{path} stayed empty")


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_grandchild_in_a_session_of_its_own_is_ended_too(
    processes: Processes, tmp_path: Path
) -> None:
    started = program(tmp_path, PARENT, SLEEPER)
    processes.start(started)
    grandchild = int(wait_for_text(started.log))
    assert not is_gone(grandchild)

    processes.stop(grace_seconds=0.5)

    assert is_gone(grandchild)


def test_what_does_not_listen_is_killed_after_the_grace(
    processes: Processes, tmp_path: Path
) -> None:
    started = program(tmp_path, DEAF)
    processes.start(started)
    pid = int(wait_for_text(started.log))
    began = time.monotonic()

    processes.stop(grace_seconds=0.5)

    assert 0.4 < time.monotonic() - began < 5
    assert is_gone(pid)


def test_a_program_that_ends_by_itself_is_named_with_its_code_and_last_lines(
    processes: Processes, tmp_path: Path
) -> None:
    processes.start(program(tmp_path, "import time; time.sleep(60)", name="steady"))
    processes.start(program(tmp_path, "print('no such table'); raise SystemExit(3)", name="weak"))
    for _ in range(200):
        ended = processes.ended()
        if ended is not None:
            break
        time.sleep(0.05)

    assert ended is not None
    assert (ended.program.name, ended.code) == ("weak", 3)
    assert ended.reason == "ended with exit code 3"
    assert ended.last_lines() == "no such table"


def test_a_task_may_end(processes: Processes, tmp_path: Path) -> None:
    log = tmp_path / "task.log"
    command = [sys.executable, "-c", "print('done')"]
    processes.start(Program(name="task", command=command, log=log, is_task=True))
    wait_for_text(log)
    for _ in range(20):
        assert processes.ended() is None
        time.sleep(0.02)


def test_a_program_that_a_signal_ended_is_named_with_the_signal(
    processes: Processes, tmp_path: Path
) -> None:
    processes.start(program(tmp_path, "import os; os.kill(os.getpid(), 9)"))
    for _ in range(200):
        if (ended := processes.ended()) is not None:
            break
        time.sleep(0.05)

    assert ended is not None
    assert ended.reason == "was ended by SIGKILL"


def test_a_piped_program_is_read_line_by_line_and_its_troubles_go_to_the_log(
    processes: Processes, tmp_path: Path
) -> None:
    code = "import sys; print('one'); print('two'); print('trouble', file=sys.stderr)"
    piped = Program(
        name="piped",
        command=[sys.executable, "-c", code],
        log=tmp_path / "piped.log",
    )

    lines = processes.start_piped(piped)

    assert list(lines) == ["one\n", "two\n"]
    assert wait_for_text(piped.log) == "trouble"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ties parent and child")
def test_programs_end_when_the_command_itself_is_killed(tmp_path: Path) -> None:
    command = f"""
import sys, time
from pathlib import Path
from cli.processes import Processes, Program
running = Processes(adopt=True)
log = Path({str(tmp_path)!r}) / "child.log"
code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
running.start(Program(name="child", command=[sys.executable, "-c", code], log=log))
time.sleep(60)
"""
    supervisor = psutil.Popen([sys.executable, "-c", command])
    child = int(wait_for_text(tmp_path / "child.log"))

    supervisor.kill()
    supervisor.wait()

    for _ in range(100):
        if is_gone(child):
            break
        time.sleep(0.05)
    assert is_gone(child)
