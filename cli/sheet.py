"""Tables of what the platform answered, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_CELL = 60


def show(names: Sequence[str], rows: Sequence[Sequence[Any]], page: dict[str, Any]) -> None:
    """Print a table, and what its reader must know.

    Parameters
    ----------
    names
        Of the columns; one that is empty in every row is left out.
    rows
        The cells.
    page
        The answer, for its ``notes``.
    """
    from cli.screen import err, out

    if rows:
        # What no row has takes room that others need.
        filled = [i for i in range(len(names)) if any(row[i] is not None for row in rows)]
        kept = [[row[i] for i in filled] for row in rows]
        out().print(_table([names[i] for i in filled], kept))
    notes = page.get("notes") or ([] if rows else ["There is nothing of this in the log."])
    for note in notes:
        err().print(note, markup=False, style="dim")


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(value)) for value in row))
    return table


def shown(value: Any) -> str:
    """Write a cell for a person."""
    if value is None:
        return ""
    text = f"{value:,.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _CELL else f"{text[:_CELL]}…"
