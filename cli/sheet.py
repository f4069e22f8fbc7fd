"""Tables of what the platform answered: for people in a window, for programs through a pipe."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import typer

_CELL = 60
_GAP = 2
_WHOLE_FROM, _WHOLE_TO = 1e3, 1e15
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)")
_HEADING = re.compile(r" \((.*)\)$")


def show(
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    page: dict[str, Any],
    *,
    first: Sequence[str] = (),
    whole: str = "",
) -> None:
    """Print a table, and what its reader must know.

    In a window it has the columns that fit, never a folded line; through a pipe it is
    tab-separated, whole, a line a row, times and numbers as the platform wrote them.

    Parameters
    ----------
    names
        Of the columns, a unit in parentheses behind; one that is empty in every row is left out.
    rows
        The cells.
    page
        The answer, for its ``notes``.
    first
        Columns that a narrow window has before others.
    whole
        Option that writes all columns to a file, if the command has one.
    """
    from cli.screen import err, out

    if rows:
        # What no row has takes room that others need.
        filled = [i for i in range(len(names)) if any(row[i] is not None for row in rows)]
        heads = [names[i] for i in filled]
        kept = [[row[i] for i in filled] for row in rows]
        if sys.stdout.isatty():
            _show_in_window(heads, kept, width=out().width, first=first, whole=whole)
        else:
            _show_in_pipe(heads, kept)
    notes = page.get("notes") or ([] if rows else ["There is nothing of this in the log."])
    for note in notes:
        err().print(note, markup=False, style="dim", soft_wrap=not err().is_terminal)


def _show_in_pipe(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    for row in (names, *rows):
        typer.echo("\t".join(_on_one_line(_exact(value)) for value in row))


def _show_in_window(
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    width: int,
    first: Sequence[str],
    whole: str,
) -> None:
    from rich.table import Table
    from rich.text import Text

    from cli.screen import err, out

    columns = [_column(name, [row[i] for row in rows]) for i, name in enumerate(names)]
    places = fitting(columns, width=width, first=[i for i, n in enumerate(names) if n in first])
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
    for place in places:
        table.add_column(Text(columns[place][0]), no_wrap=True, overflow="ellipsis")
    for row in zip(*(columns[place][1:] for place in places), strict=True):
        table.add_row(*map(Text, row))
    out().print(table)
    left_out = [_HEADING.sub("", name) for i, name in enumerate(names) if i not in places]
    if left_out:
        ways = f"a wider window, {whole} or a pipe" if whole else "a wider window or a pipe"
        err().print(
            f"Left out, as the window is narrow: {', '.join(left_out)}. All are in {ways}.",
            markup=False,
            style="dim",
        )


def fitting(
    columns: Sequence[Sequence[str]], *, width: int, first: Sequence[int] = ()
) -> list[int]:
    """Choose the columns that a window has room for, in their order; one at least.

    Parameters
    ----------
    columns
        The cells of each, its heading first.
    width
        Of the window, in characters.
    first
        Places of the columns that come before others.
    """
    from rich.cells import cell_len

    order = [*first, *(i for i in range(len(columns)) if i not in first)]
    # Behind the last column there is no gap.
    free = width + _GAP
    chosen: list[int] = []
    for place in order:
        lines = [line for cell in columns[place] for line in cell.split("\n")]
        needed = max(cell_len(line) for line in lines) + _GAP
        if needed <= free or not chosen:
            chosen.append(place)
            free -= needed
    return sorted(chosen)


def _column(name: str, values: Sequence[Any]) -> list[str]:
    """Write a column for a person, its heading first."""
    said = [value for value in values if value is not None]
    if all(isinstance(value, str) and _TIME.fullmatch(value) for value in said):
        moments = [datetime.fromisoformat(value).astimezone(UTC) for value in said]
        form = (
            "%Y-%m-%d %H:%M" if any(one.time() != one.min.time() for one in moments) else "%Y-%m-%d"
        )
        texts = iter([f"{one:{form}}" for one in moments])
        return [f"{name}\nUTC", *("" if value is None else next(texts) for value in values)]
    return [_HEADING.sub(r"\n\1", name), *(shown(value) for value in values)]


def shown(value: Any) -> str:
    """Write a cell for a person: numbers to four digits, and no more than 60 characters.

    Parameters
    ----------
    value
        As JSON has it.
    """
    if isinstance(value, float):
        return f"{value:,.0f}" if _WHOLE_FROM <= abs(value) < _WHOLE_TO else f"{value:.4g}"
    text = _on_one_line(_exact(value))
    return text if len(text) <= _CELL else f"{text[:_CELL]}…"


def _exact(value: Any) -> str:
    """Write a cell as the platform wrote it; nothing for null."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _on_one_line(text: str) -> str:
    """Take out what would end a cell or a line, or steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
