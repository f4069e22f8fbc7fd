"""`septet doctor`: is this installation sound, and if not, what mends it."""

from __future__ import annotations

import typer

from cli.exits import Exit


def doctor() -> None:
    """Check ports, versions, disk, clock, settings, configs, releases and MLflow.

    Each line is ok, a warning, or a failure with its fix. The exit code is 13 when anything fails.

    Example: `septet doctor && septet up`
    """
    from rich.markup import escape
    from rich.table import Table

    from cli.diagnosis import examine
    from cli.screen import out

    marks = {
        "ok": "[green]✓ ok[/green]",
        "warn": "[yellow]! warn[/yellow]",
        "fail": "[red]✗ fail[/red]",
    }
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    findings = list(examine())
    for finding in findings:
        text = escape(finding.text)
        if finding.fix:
            text += f"\n[bold]Fix:[/bold] {escape(finding.fix)}"
        table.add_row(marks[finding.level], f"[bold]{escape(finding.subject)}[/bold]", text)
    screen = out()
    screen.print(table)
    failed = sum(finding.level == "fail" for finding in findings)
    warned = sum(finding.level == "warn" for finding in findings)
    screen.print(f"\n{len(findings)} checks, {failed} failed, {warned} with a warning.")
    if failed:
        raise typer.Exit(Exit.UNHEALTHY)
