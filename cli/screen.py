"""What the command shows: one console each for results and for troubles."""

from __future__ import annotations

from functools import cache

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.exits import Exit, exit_of
from core.errors import SeptetError

_SHOWN_PROBLEMS = 10


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
    parts: list[RenderableType] = [Text(error.detail)]
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
            Text(sentence),
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
        table.add_row(Text(problem.field), Text(problem.problem), Text(problem.allowed))
    more = len(error.problems) - _SHOWN_PROBLEMS
    if more > 0:
        table.add_row(f"… and {more} more", "", "")
    return table
