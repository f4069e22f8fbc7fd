"""`septet predict`: answer every row of a CSV with the champion, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit

if TYPE_CHECKING:
    from bentos.release import Release
    from cli.scoring import Tally


def predict(
    model: Annotated[str, typer.Argument(help="Name of the model, such as churn.")],
    table: Annotated[Path, typer.Argument(help="CSV with a header; see `septet template`.")],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="CSV to write.")],
    explain: Annotated[
        bool, typer.Option("--explain", help="Add the three strongest drivers of each answer.")
    ] = False,
) -> None:
    """Answer every row of a CSV file, and write the answers row by row beside their keys.

    A row that breaks the contract is refused on its own: its line says why, and the exit code is
    11. Columns that are no inputs, such as the target, are left out and named.

    Example: `septet predict churn clients.csv -o answers.csv`
    """
    from bentos.catalog import model_name
    from cli.scoring import score_file
    from cli.screen import err
    from core.settings import load_settings

    name = model_name(model)
    release = _champion(load_settings().releases / name, name)
    with err().status(f"{name} version {release.version} answers {table}"):
        tally = score_file(release, table, output=output, explain=explain)
    _report(tally, output=output)
    if tally.refused:
        raise typer.Exit(Exit.ROWS_REFUSED)


def _champion(folder: Path, model: str) -> Release:
    """Open the champion on disk.

    Raises
    ------
    NoChampion
        There is none.
    ArtifactCorrupt
        It does not hold.
    """
    from bentos.catalog import predictor_type
    from bentos.release import open_release, read_pointer
    from core.errors import NoChampion

    pointer = read_pointer(folder)
    if pointer is None:
        raise NoChampion(model)
    return open_release(folder / pointer.version, pointer=pointer, kind=predictor_type(model))


def _report(tally: Tally, *, output: Path) -> None:
    """Say what was written, and what was not answered and why."""
    from rich.markup import escape

    from cli.screen import err

    screen = err()
    if tally.left_out:
        screen.print(f"[dim]Left out, as no inputs: {escape(', '.join(tally.left_out))}[/dim]")
    screen.print(f"[green]✓[/green] {_rows(tally.answered)} answered → {escape(str(output))}")
    if tally.refused:
        screen.print(f"[yellow]![/yellow] {_rows(tally.refused)} refused. The first:")
        for line, reason in tally.first_refusals:
            screen.print(f"  line {line}: {escape(reason)}")


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
