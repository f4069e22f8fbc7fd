"""`septet outcomes`: tells a running platform what really happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Exit

if TYPE_CHECKING:
    from cli.asking import Asker
    from cli.outcome_rows import OutcomeRows

outcomes = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Tell a running platform what really happened."
    "\n\nExample: `septet outcomes load churned.csv --model churn`",
)

Line = tuple[int, list[str]]

_ROWS_AT_ONCE = 1000
_SHOWN_REFUSALS = 20
# A large file is slowed down by the limits of the key's tier, and by a spool that is full.
_PATIENCE_SECONDS = 180.0


@outcomes.callback()
def _group() -> None:
    """Keep `load` a word of its own, though it is the only one."""


@outcomes.command()
def load(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8 with a header, or Parquet.")],
    *,
    model: Annotated[
        str | None, typer.Option(help="Model of the rows that name none in a column model.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of the platform; SEPTET_HOST and SEPTET_PORT else.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="File that holds the key; SEPTET_KEY without it.")
    ] = None,
    refused: Annotated[
        Path | None, typer.Option(help="CSV to write every refused row to, with the reason.")
    ] = None,
) -> None:
    """Send the outcomes in a file, a thousand rows at a time; each row is taken on its own.

    Columns: `prediction_id`, or `entity` and `as_of`; `value`, `amount`, `happened_at`; `model`.
    The names of the model's own columns do as well, such as `client_id` and `churned`; others are
    left out. An empty cell is not known yet; a row that tells neither value nor amount is passed
    over. A time without a zone is UTC.

    Sending the same file twice is harmless: of each field the outcome that was received last
    counts. A refused row is told with its line (in Parquet its row); the exit code is then 11.

    Example: `septet outcomes load churned.csv --model churn --refused wrong.csv`
    """
    from cli.asking import Asker, platform_url, read_key
    from cli.lines import open_lines
    from cli.outcome_rows import OutcomeRows
    from core.config import load_model_config
    from core.errors import SeptetError
    from core.settings import load_settings

    settings = load_settings()
    asker = Asker(
        url or platform_url(settings), read_key(key_file), patience_seconds=_PATIENCE_SECONDS
    )
    with _writer(refused, table=file) as write:
        tally = Tally(write)
        try:
            with open_lines(file) as opened:
                rows = OutcomeRows(
                    opened.header,
                    source=str(file),
                    model=model,
                    config_of=lambda name: load_model_config(settings.model_config_path(name)),
                )
                for lines in _with_bar(file, opened.lines):
                    _send(asker, rows, lines, tally)
        except SeptetError:
            # What was kept before something failed stays kept.
            if tally.kept or tally.refused:
                _report(tally, refused)
            raise
    _report(tally, refused)
    if tally.refused:
        raise typer.Exit(Exit.ROWS_REFUSED)


@dataclass
class Tally:
    """What became of a file; counted while it is sent.

    Parameters
    ----------
    write
        Takes line and reason of every row that was not taken.
    kept
        Rows that the platform took.
    refused
        Rows that it did not take, or that could not be sent.
    unknown
        Rows whose outcome is not known yet, which are not sent.
    first_refusals
        Line in the file and reason, of the first few.
    """

    write: Callable[[int, str], None]
    kept: int = 0
    refused: int = 0
    unknown: int = 0
    first_refusals: list[tuple[int, str]] = field(default_factory=list)

    def refuse(self, line: int, reason: str) -> None:
        """Count a row that was not taken."""
        self.refused += 1
        self.write(line, reason)
        if len(self.first_refusals) < _SHOWN_REFUSALS:
            self.first_refusals.append((line, reason))


def _send(asker: Asker, rows: OutcomeRows, lines: Sequence[Line], tally: Tally) -> None:
    """Send some lines, and count what became of them."""
    reasons: dict[int, str] = {}
    sent: list[int] = []
    told: list[dict[str, Any]] = []
    for line, cells in lines:
        outcome = rows.outcome(cells)
        if outcome is None:
            tally.unknown += 1
        elif isinstance(outcome, str):
            reasons[line] = outcome
        else:
            sent.append(line)
            told.append(outcome)
    if told:
        answer = asker.post("/api/outcomes", {"outcomes": told})
        tally.kept += answer["kept"]
        reasons |= {sent[row["index"]]: _reason(row["problem"]) for row in answer["rows"]}
    for line in sorted(reasons):
        tally.refuse(line, reasons[line])


def _reason(problem: Mapping[str, Any]) -> str:
    """Say in one line why a row was refused."""
    faults = [f"{p['field']} {p['problem']} ({p['allowed']})" for p in problem.get("problems", ())]
    return "; ".join(faults) or str(problem["detail"])


@contextmanager
def _writer(path: Path | None, *, table: Path) -> Iterator[Callable[[int, str], None]]:
    """Open the file that takes every refused row, when one is wanted."""
    import csv

    from core.errors import SourceError
    from services.access.export import safe_cell

    if path is None:
        yield lambda _line, _reason: None
        return
    if path.resolve() == table.resolve():
        raise SourceError(str(path), "this is the input; name another file with --refused")
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["line", "problem"])
            # A reason quotes what stood in the cell, which may be a formula.
            yield lambda line, reason: writer.writerow([line, safe_cell(reason)])
    except OSError as error:
        fault = f"{error.strerror}; name a file that can be written with --refused"
        raise SourceError(str(path), fault) from error


def _with_bar(file: Path, lines: Iterator[Line]) -> Iterator[Sequence[Line]]:
    """Give the lines in blocks, and show how far they are."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    from cli.lines import count_lines
    from cli.screen import err

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("", total=count_lines(file))
        while block := list(islice(lines, _ROWS_AT_ONCE)):
            yield block
            bar.advance(task, len(block))


def _report(tally: Tally, refused: Path | None) -> None:
    """Say what was kept, and what was refused and why."""
    from rich.markup import escape

    from cli.screen import err

    screen = err()
    screen.print(f"[green]✓[/green] {tally.kept:,} kept")
    if tally.unknown:
        screen.print(f"[dim]- {tally.unknown:,} not known yet, and passed over[/dim]")
    if not tally.refused:
        return
    where = "" if refused is None else f" All of them: {escape(str(refused))}."
    screen.print(f"[yellow]![/yellow] {tally.refused:,} refused.{where} The first:")
    for line, reason in tally.first_refusals:
        screen.print(f"  line {line}: {escape(reason)}")
