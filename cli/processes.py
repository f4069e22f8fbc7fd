"""Programs that one command starts, watches and ends, with everything they started themselves.

A program gets a process group of its own, so that Ctrl-C reaches only the command, which then ends
the programs in order. BentoML's workers open sessions of their own and leave that group: their
process ids are gathered before the group is told to end, and what is left after the grace is
killed. Should the command itself be killed, the kernel ends its programs (Linux).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

import psutil

_POLL_SECONDS = 0.05
_PR_SET_CHILD_SUBREAPER = 36
# Runs before the program, in its process: asks for SIGTERM when the parent dies (prctl option 1),
# checks that it has not died meanwhile, and then becomes the program. A `preexec_fn` would do the
# same in a fork of a process with threads, where it may hang.
_TIED = """
import os, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, 15)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(143)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class Program:
    """Something to run.

    Parameters
    ----------
    name
        What a person calls it.
    command
        Absolute path of the executable, then its arguments.
    log
        File that takes what it writes; started anew with the command.
    environment
        Variables on top of this process's own.
    folder
        Folder it runs in.
    is_task
        Whether it ends when its work is done; anything else is meant to go on.
    is_spare
        Whether the others go on without it, should it end.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    is_task: bool = False
    is_spare: bool = False

    def last_lines(self, count: int = 12) -> str:
        """Give the end of its log; empty when there is none."""
        with suppress(OSError):
            text = self.log.read_text(encoding="utf-8", errors="replace")
            return "\n".join(text.rstrip().splitlines()[-count:])
        return ""


@dataclass(frozen=True)
class Ended:
    """A program that ended by itself.

    Parameters
    ----------
    program
        Which.
    code
        Its exit code; negative when a signal ended it.
    """

    program: Program
    code: int

    @property
    def reason(self) -> str:
        """How it ended, in words."""
        if self.code < 0:
            return f"was ended by {signal.Signals(-self.code).name}"
        return f"ended with exit code {self.code}"

    def last_lines(self, count: int = 12) -> str:
        """Give the end of its log."""
        return self.program.last_lines(count)


class Processes:
    """The running programs of one command, in the order they were started.

    Parameters
    ----------
    adopt
        Whether this process takes in what its programs leave behind when they crash, so that
        `stop` finds it (Linux). For a process whose only children are these programs.
    """

    def __init__(self, *, adopt: bool = False) -> None:
        self._running: list[tuple[Program, subprocess.Popen[str]]] = []
        self._adopt = adopt and sys.platform == "linux"
        if self._adopt:
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def start(self, program: Program, *, again: bool = False) -> None:
        """Start a program; all that it writes goes into its log.

        Parameters
        ----------
        program
            What to run.
        again
            Whether it ran before: its log is gone on with then.
        """
        self._start(program, is_piped=False, again=again)

    def start_piped(self, program: Program) -> IO[str]:
        """Start a program whose standard output comes to us; its log takes standard error.

        Returns
        -------
        IO
            What it writes, line by line.
        """
        stream = self._start(program, is_piped=True).stdout
        assert stream is not None  # noqa: S101 - Popen opens it, as it was asked to
        return stream

    def _start(
        self, program: Program, *, is_piped: bool, again: bool = False
    ) -> subprocess.Popen[str]:
        program.log.parent.mkdir(parents=True, exist_ok=True)
        tie = [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid())]
        # Of what is started again and again, the reason may stand before the last start.
        with program.log.open("a" if again else "w", encoding="utf-8") as log:
            process = subprocess.Popen(  # noqa: S603 - our own commands
                [*tie, *program.command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_piped else log,
                stderr=log if is_piped else subprocess.STDOUT,
                env={**os.environ, **program.environment},
                cwd=program.folder,
                start_new_session=True,
                text=True,
            )
        self._running.append((program, process))
        return process

    def ended(self) -> Ended | None:
        """Name the first program that ended though the others cannot go on without it."""
        for program, process in self._running:
            code = process.poll()
            if code is not None and not program.is_task and not program.is_spare:
                return Ended(program=program, code=code)
        return None

    def take_spare(self) -> list[Ended]:
        """Let go of the programs that ended and that the others go on without; name them."""
        gone = [
            (program, process)
            for program, process in self._running
            if program.is_spare and process.poll() is not None
        ]
        self._running = [one for one in self._running if one not in gone]
        return [Ended(program=program, code=process.returncode) for program, process in gone]

    def stop(self, *, grace_seconds: float = 10.0) -> None:
        """End every program and all that it started.

        Parameters
        ----------
        grace_seconds
            How long they may take to end by themselves before they are killed.
        """
        everyone = self._descendants()
        for _, process in self._running:
            if process.poll() is None:
                _signal_group(process, signal.SIGTERM)
        for orphan in self._orphans():
            orphan.terminate()
        _wait(everyone, seconds=grace_seconds)
        # A worker may have been started between the gathering and the signal: look again.
        rest = [p for p in {*everyone, *self._descendants()} if _alive(p)]
        for one in rest:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        for _, process in self._running:
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        _wait(rest, seconds=grace_seconds)
        self._running.clear()

    def _orphans(self) -> list[psutil.Process]:
        """Gather what crashed programs left behind, which is now ours."""
        if not self._adopt:
            return []
        own = {process.pid for _, process in self._running}
        return [p for p in psutil.Process().children() if p.pid not in own and _alive(p)]

    def _descendants(self) -> list[psutil.Process]:
        """Gather the programs and all that they started."""
        if self._adopt:
            return psutil.Process().children(recursive=True)
        found: list[psutil.Process] = []
        for _, process in self._running:
            with suppress(psutil.NoSuchProcess):
                top = psutil.Process(process.pid)
                found += [top, *top.children(recursive=True)]
        return found


@contextmanager
def ending(processes: Processes) -> Iterator[None]:
    """End every process on the way out, whatever the reason; SIGTERM and SIGHUP are as Ctrl-C."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = [signal.signal(number, interrupt) for number in signals]
    try:
        yield
    finally:
        # An impatient second Ctrl-C must not leave anything running.
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        processes.stop()
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Signal the process group of a program, which outlives the program itself."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _wait(processes: Sequence[psutil.Process], *, seconds: float) -> None:
    """Wait until all have ended, or the time is over."""
    deadline = time.monotonic() + seconds
    while any(_alive(p) for p in processes) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
