"""`septet doctor`: is this installation sound, and if not, what mends it."""

from __future__ import annotations

import typer

from cli.exits import Exit

_GAP, _MARK = 2, len("! warn")


def doctor() -> None:
    """Check ports, versions, disk, clock, settings, configs, releases and MLflow.

    Each line is ok, a warning, or a failure with its fix. The exit code is 13 when anything fails.

    Example: `septet doctor && septet up`
    """
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from cli.diagnosis import examine
    from cli.screen import out

    marks = {
        "ok": "[green]✓ ok[/green]",
        "warn": "[yellow]! warn[/yellow]",
        "fail": "[red]✗ fail[/red]",
    }
    findings = list(examine())
    width = max(len(finding.subject) for finding in findings)
    screen = out()
    for finding in findings:
        line = Table(box=None, padding=(0, _GAP, 0, 0), show_header=False)
        line.add_column(min_width=_MARK)
        line.add_column(min_width=width)
        line.add_column(overflow="fold")
        line.add_row(
            marks[finding.level], f"[bold]{escape(finding.subject)}[/bold]", escape(finding.text)
        )
        screen.print(line)
        if finding.fix:
            indent = " " * (_MARK + width + 2 * _GAP)
            # Never folded: it is there to be copied.
            screen.print(Text.assemble(indent, ("Fix: ", "bold"), finding.fix), soft_wrap=True)
    failed = sum(finding.level == "fail" for finding in findings)
    warned = sum(finding.level == "warn" for finding in findings)
    screen.print(f"\n{len(findings)} checks, {failed} failed, {warned} with a warning.")
    if failed:
        raise typer.Exit(Exit.UNHEALTHY)
