"""How a training ended, for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from training.pipeline import TrainingOutcome


def describe(
    outcome: TrainingOutcome, *, notes: Sequence[str], metric: str
) -> Iterator[RenderableType]:
    """Give what is to be shown after a training.

    Parameters
    ----------
    outcome
        What became of it.
    notes
        What the run found worth saying, such as rows left out.
    metric
        The figure that the gate looks at first.
    """
    for note in notes:
        yield f"[yellow]![/yellow] {escape(note)}"
    if not outcome.trained:
        yield "Nothing changed since the champion; `--force` trains all the same."
        return
    figures = Table("measured on held-out rows", "", title=outcome.model, title_justify="left")
    figures.columns[1].justify = "right"
    for name in sorted(outcome.metrics, key=lambda name: (name != metric, name)):
        style = "bold" if name == metric else ""
        figures.add_row(name, f"{outcome.metrics[name]:,.4g}", style=style)
    yield figures
    if outcome.verdict is None:
        return
    gate = Table("the gate", "")
    for check in outcome.verdict.checks:
        mark = "[green]✓[/green]" if check.passed else "[red]✗[/red]"
        gate.add_row(f"{mark} {escape(check.name)}", escape(check.text))
    yield gate
