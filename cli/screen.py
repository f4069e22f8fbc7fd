"""What the command shows: one console each for results and for troubles."""

from __future__ import annotations

import re
from functools import cache

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.exits import Exit, exit_of
from core.errors import SeptetError

_SHOWN_PROBLEMS = 10
_PIECE = re.compile(r"\S*`[^`]+`\S*|\S+")


class Sentences:
    """Sentences that are folded between words, but in no command that stands in backticks.

    Parameters
    ----------
    text
        What is said. A command that is wider than the window is folded as words are.
    """

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Fold each line to the room that there is."""
        for line in self._lines:
            yield Text(_folded(line, options.max_width) if "`" in line else line)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Tell the least room without a broken command, and the room of whole lines."""
        pieces = [piece for line in self._lines for piece in _PIECE.findall(line)]
        least = max(map(cell_len, pieces), default=0)
        most = max(map(cell_len, self._lines), default=0)
        return Measurement(least, most).with_maximum(options.max_width)


@cache
def out() -> Console:
    """Give the console of results (standard output)."""
    return Console(highlight=False)


@cache
def err() -> Console:
    """Give the console of troubles and progress (standard error)."""
    return Console(stderr=True, highlight=False)


def show_error(error: SeptetError) -> Exit:
    """Show what is wrong, why, and the fix; give the exit code that belongs to it."""
    code = exit_of(error)
    parts: list[RenderableType] = [Sentences(error.detail)]
    if error.problems:
        parts.append(_problems(error))
    err().print(
        Panel(
            Group(*parts),
            title=f"[bold]{error.title}[/bold]",
            title_align="left",
            subtitle=f"{error.code} · exit {int(code)}",
            subtitle_align="right",
            border_style="red",
        )
    )
    return code


def show_fault(error: Exception) -> Exit:
    """Show a fault that nobody foresaw, without its trace."""
    sentence = (
        f"{type(error).__name__}: {error}\n\nThis is a fault of Septet, or of what it stands on. "
        "`septet doctor` checks the installation; `septet --debug …` shows the trace, which "
        "belongs into a report."
    )
    err().print(
        Panel(
            Sentences(sentence),
            title="[bold]Something unforeseen went wrong[/bold]",
            title_align="left",
            subtitle=f"exit {int(Exit.FAULT)}",
            subtitle_align="right",
            border_style="red",
        )
    )
    return Exit.FAULT


def _problems(error: SeptetError) -> Table:
    """List the single faults of an error."""
    table = Table(box=None, padding=(1, 2, 0, 0))
    for heading in ("where", "what is wrong", "what is allowed"):
        table.add_column(heading, style="bold" if heading == "where" else "")
    for problem in error.problems[:_SHOWN_PROBLEMS]:
        allowed = Sentences(problem.allowed)
        table.add_row(Text(problem.field), Text(problem.problem), allowed)
    more = len(error.problems) - _SHOWN_PROBLEMS
    if more > 0:
        table.add_row(f"… and {more} more", "", "")
    return table


def _folded(line: str, width: int) -> str:
    """Fold a line between its words and commands."""
    lines = [""]
    for piece in _PIECE.findall(line):
        longer = f"{lines[-1]} {piece}" if lines[-1] else piece
        if lines[-1] and cell_len(longer) > width:
            lines.append(piece)
        else:
            lines[-1] = longer
    return "\n".join(lines)
