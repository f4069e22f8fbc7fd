"""What the others go on without is started anew when it ends; they are left as they are."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from cli import programs
from cli.faults import ProgramDied
from cli.processes import Processes, Program
from cli.revival import Revival
from cli.startup import Startup
from core.settings import Settings

SLEEPER = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
FALLING = "import os; print(os.getpid(), flush=True)"


@pytest.fixture
def processes() -> Iterator[Processes]:
    running = Processes()
    yield running
    running.stop(grace_seconds=0.2)


def program(tmp_path: Path, name: str, code: str = SLEEPER, *, is_spare: bool) -> Program:
    command = [sys.executable, "-c", code]
    return Program(name=name, command=command, log=tmp_path / f"{name}.log", is_spare=is_spare)


def pids(started: Program) -> list[int]:
    """Give the process ids that a program told, of each of its starts."""
    return [int(line) for line in started.last_lines(50).split()]


def wait_until(is_so: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 20
    while time.monotonic() < until_s:
        if is_so():
            return
        time.sleep(0.02)
    pytest.fail("it came to no end")


def test_only_the_historian_is_gone_on_without(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    spare = {
        one.name: one.is_spare
        for one in (
            programs.platform(settings),
            programs.worker(settings),
            programs.historian(settings),
            programs.mlflow_page(settings),
        )
    }
    assert [name for name, is_spare in spare.items() if is_spare] == ["historian"]


def test_one_that_is_killed_is_started_anew_beside_the_others(
    processes: Processes, tmp_path: Path
) -> None:
    shown = io.StringIO()
    historian = program(tmp_path, "historian", is_spare=True)
    platform = program(tmp_path, "platform", is_spare=False)
    processes.start(platform)
    processes.start(historian)
    revival = Revival(processes, Console(file=shown, width=400), first_seconds=0.05)
    wait_until(lambda: bool(pids(historian) and pids(platform)))

    os.kill(pids(historian)[0], signal.SIGKILL)

    def again() -> bool:
        revival.look()
        assert processes.ended() is None
        return len(pids(historian)) == 2

    wait_until(again)
    assert psutil.pid_exists(pids(historian)[1])
    assert psutil.pid_exists(pids(platform)[0])
    assert "The historian was ended by SIGKILL; the others go on" in shown.getvalue()
    assert str(historian.log) in shown.getvalue()


def test_one_that_ends_at_each_start_is_waited_for_longer_each_time(
    processes: Processes, tmp_path: Path
) -> None:
    shown = io.StringIO()
    processes.start(program(tmp_path, "historian", FALLING, is_spare=True))
    revival = Revival(
        processes, Console(file=shown, width=400), first_seconds=0.05, most_seconds=0.2
    )

    def often() -> bool:
        revival.look()
        return shown.getvalue().count("ended with exit code 0") == 4

    wait_until(often)
    waits = [line.split("again in ")[1].split(" ")[0] for line in shown.getvalue().splitlines()]
    assert waits == ["0.05", "0.1", "0.2", "0.2"]


def test_one_that_ran_for_long_is_waited_for_as_the_first_time(
    processes: Processes, tmp_path: Path
) -> None:
    shown = io.StringIO()
    processes.start(program(tmp_path, "historian", FALLING, is_spare=True))
    console = Console(file=shown, width=400)
    revival = Revival(processes, console, first_seconds=0.05, steady_seconds=0.0)

    def often() -> bool:
        revival.look()
        return shown.getvalue().count("ended with exit code 0") == 3

    wait_until(often)
    assert shown.getvalue().count("again in 0.05 seconds") == 3


def test_up_goes_on_without_its_historian_and_ends_without_its_platform(
    processes: Processes, tmp_path: Path
) -> None:
    console = Console(file=io.StringIO())
    platform = program(tmp_path, "platform", is_spare=False)
    historian = program(tmp_path, "historian", is_spare=True)
    processes.start(platform)
    processes.start(historian)
    startup = Startup(
        Settings(home=tmp_path), processes=processes, out=console, err=console, with_mlflow=False
    )
    wait_until(lambda: bool(pids(historian) and pids(platform)))
    os.kill(pids(historian)[0], signal.SIGKILL)

    def without_both() -> None:
        wait_until(lambda: not psutil.pid_exists(pids(historian)[0]) or is_dead(historian))
        os.kill(pids(platform)[0], signal.SIGKILL)
        startup.watch()

    with pytest.raises(ProgramDied, match="The platform was ended by SIGKILL"):
        without_both()


def is_dead(started: Program) -> bool:
    return psutil.Process(pids(started)[0]).status() == psutil.STATUS_ZOMBIE
