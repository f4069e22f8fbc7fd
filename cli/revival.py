"""Programs that the others go on without are started anew when they end, each time a little later.

Predictions need platform and worker; what reads their history is started again beside them, and
what ends at each start is not started without a pause.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from cli.processes import Ended, Processes, Program

_FIRST_SECONDS = 1.0
_MOST_SECONDS = 60.0
_STEADY_SECONDS = 300.0


@dataclass
class _Fall:
    """A program that ended.

    Parameters
    ----------
    program
        Which.
    wait_seconds
        How long it was or is waited before it is started.
    at_s
        When it is, or was, to be started, by the monotonic clock.
    is_due
        Whether it is still to be started.
    """

    program: Program
    wait_seconds: float
    at_s: float
    is_due: bool = True


class Revival:
    """Starts anew what ended and is not needed by the others.

    Parameters
    ----------
    processes
        What runs.
    console
        Says what ended, and when it is started again.
    first_seconds
        How long is waited the first time; twice as long each time after.
    most_seconds
        How long at most.
    steady_seconds
        Whoever ran so long is waited for as the first time again.
    """

    def __init__(
        self,
        processes: Processes,
        console: Console,
        *,
        first_seconds: float = _FIRST_SECONDS,
        most_seconds: float = _MOST_SECONDS,
        steady_seconds: float = _STEADY_SECONDS,
    ) -> None:
        self._processes = processes
        self._console = console
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._steady_seconds = steady_seconds
        self._falls: dict[str, _Fall] = {}

    def look(self) -> None:
        """Note what ended, and start what has waited long enough."""
        now_s = time.monotonic()
        for ended in self._processes.take_spare():
            self._note(ended, now_s)
        for fall in self._falls.values():
            if fall.is_due and now_s >= fall.at_s:
                fall.is_due = False
                self._processes.start(fall.program, again=True)

    def _note(self, ended: Ended, now_s: float) -> None:
        before = self._falls.get(ended.program.name)
        wait_seconds = self._first_seconds
        if before is not None and now_s - before.at_s < self._steady_seconds:
            wait_seconds = min(2 * before.wait_seconds, self._most_seconds)
        self._falls[ended.program.name] = _Fall(ended.program, wait_seconds, now_s + wait_seconds)
        said = (
            f"! The {ended.program.name} {ended.reason}; the others go on, and it is started again "
            f"in {wait_seconds:g} seconds. Its log: {ended.program.log}"
        )
        self._console.print(Text(said, style="yellow"))
