"""`septet sample`: the tables of the simulated firm, as Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table


def sample(
    *,
    clients: Annotated[
        int, typer.Option(min=50, max=1_000_000, help="Clients of the firm.")
    ] = 2000,
    months: Annotated[int, typer.Option(min=24, max=120, help="Months that are simulated.")] = 36,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same firm.")] = 7,
    drift: Annotated[
        bool, typer.Option("--drift", help="Let the firm's world change on the way.")
    ] = False,
    folder: Annotated[
        Path, typer.Option("--out", "-o", help="Folder that takes the files.")
    ] = Path("sample"),
) -> None:
    """Write the tables of a simulated services firm, with the truth recorded beside them.

    Example: `septet sample --clients 2000 --months 36 --out DIR`
    """
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from cli.screen import err, out
    from core.errors import SourceError
    from training.sample import simulate

    columns = (TextColumn("{task.description:<24}"), BarColumn(), TimeElapsedColumn())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with Progress(*columns, console=err(), transient=True) as bar:
            task = bar.add_task("the firm", total=1.0)

            def show(table: str, share: float) -> None:
                bar.update(task, description=table, completed=share)

            simulate(folder, clients=clients, months=months, seed=seed, drift=drift, progress=show)
    except OSError as error:
        fault = f"{error.strerror}; name a folder that can be written with --out"
        raise SourceError(str(folder), fault) from error
    out().print(_table(folder))
    out().print(f"Written to {escape(str(folder))}; truth_* holds what no model may see.")


def _table(folder: Path) -> Table:
    """List the files with their rows and sizes."""
    from pyarrow.parquet import read_metadata
    from rich.table import Table

    table = Table()
    table.add_column("file")
    for heading in ("rows", "columns", "MiB"):
        table.add_column(heading, justify="right")
    for path in sorted(folder.glob("*.parquet")):
        facts = read_metadata(path)
        size = f"{path.stat().st_size / 2**20:.2f}"
        table.add_row(path.name, f"{facts.num_rows:,}", str(facts.num_columns), size)
    return table
