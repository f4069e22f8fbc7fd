"""The board of `septet up` and `septet train`: one line for each thing that is under way."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

State = Literal["waiting", "running", "done", "failed"]
_MARKS = {"waiting": "[dim]·[/dim]", "done": "[green]✓[/green]", "failed": "[red]✗[/red]"}
_BAR_WIDTH = 24


@dataclass(frozen=True)
class Line:
    """One thing that is under way.

    Parameters
    ----------
    name
        What it is.
    state
        Where it stands.
    text
        What it does now, or how it ended.
    share
        How much of it is done, 0 to 1, when that is known.
    started_s, ended_s
        Monotonic seconds.
    """

    name: str
    state: State = "waiting"
    text: str = ""
    share: float | None = None
    started_s: float | None = None
    ended_s: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long it has taken."""
        if self.started_s is None:
            return None
        return (self.ended_s or time.monotonic()) - self.started_s


class Board:
    """Shows lines live on a terminal; elsewhere writes one plain line when one begins or ends.

    Parameters
    ----------
    console
        Where to show.
    names
        The lines, from top to bottom; a further one is added at the end when it begins.
    """

    def __init__(self, console: Console, names: tuple[str, ...] = ()) -> None:
        self._console = console
        self._lines = {name: Line(name) for name in names}
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(self, console=console, refresh_per_second=8, transient=False)

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last state on the screen."""
        if self._console.is_terminal:
            self._live.stop()

    def __rich__(self) -> Table:
        """Draw all lines."""
        table = Table.grid(padding=(0, 1))
        for line in self._lines.values():
            mark = (
                self._spinner if line.state == "running" else Text.from_markup(_MARKS[line.state])
            )
            seconds = "" if line.seconds is None else f"{line.seconds:.1f} s"
            style = "dim" if line.state == "waiting" else ""
            bar = None
            if line.state == "running" and line.share is not None:
                bar = ProgressBar(total=1.0, completed=line.share, width=_BAR_WIDTH)
            table.add_row(
                mark,
                Text(line.name, style=style or "bold"),
                Text(seconds, style="dim", justify="right"),
                bar or Text(line.text, style=style, overflow="ellipsis", no_wrap=True),
                Text(line.text, overflow="ellipsis", no_wrap=True) if bar else "",
            )
        return table

    def begin(self, name: str, text: str = "") -> None:
        """Say that a line has begun."""
        line = self._lines.get(name, Line(name))
        if line.state == "running":
            self.update(name, text)
            return
        started = replace(line, state="running", text=text, started_s=time.monotonic())
        self._set(started, say=True)

    def update(self, name: str, text: str, *, share: float | None = None) -> None:
        """Say what a line does now."""
        line = self._lines.get(name, Line(name))
        self._set(replace(line, text=text, share=share), say=False)

    def done(self, name: str, text: str = "") -> None:
        """Say that a line has ended well."""
        self._end(name, state="done", text=text)

    def fail(self, name: str, text: str) -> None:
        """Say that a line has ended badly."""
        self._end(name, state="failed", text=text)

    def _end(self, name: str, *, state: State, text: str) -> None:
        line = self._lines.get(name, Line(name))
        ended = replace(line, state=state, text=text, share=None, ended_s=time.monotonic())
        self._set(ended, say=True)

    def _set(self, line: Line, *, say: bool) -> None:
        self._lines[line.name] = line
        if say and not self._console.is_terminal:
            mark = "…" if line.state == "running" else _MARKS[line.state]
            seconds = (
                "" if not line.seconds or line.state == "running" else f"{line.seconds:.1f} s "
            )
            self._console.print(f"{mark} {line.name}: {seconds}{escape(line.text)}", soft_wrap=True)
