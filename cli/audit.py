"""`septet audit`: who did what, when, from where, with what result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from services.access.audit import Kept, Wanted
    from services.records import Records

_DETAIL_WIDTH = 60


def audit(
    *,
    since: Annotated[str | None, typer.Option(help="From when: 7d, or 2030-01-31.")] = None,
    until: Annotated[str | None, typer.Option(help="Before when: 1h, or 2030-01-31.")] = None,
    actor: Annotated[str | None, typer.Option(help="Name or key id of who did it.")] = None,
    action: Annotated[str | None, typer.Option(help="What was done: key.revoked.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Lines to show.")] = 50,
    export: Annotated[
        Path | None, typer.Option(help="Write all of them to this file: .csv or .ndjson.")
    ] = None,
) -> None:
    """Show the audit, the newest first, or write it to a file.

    Example: `septet audit --since 7d --action key.created --export audit.csv`
    """
    from cli.duration import read_moment
    from cli.screen import out
    from core.settings import load_settings
    from services.access.audit import Wanted, read_entries
    from services.records import Records

    wanted = Wanted(
        since=read_moment(since, option="--since", ahead=False) if since else None,
        until=read_moment(until, option="--until", ahead=False) if until else None,
        actor=actor,
        action=action,
    )
    records = Records(load_settings().records_url)
    try:
        records.require_migrated()
        if export is None:
            out().print(_table(read_entries(records, wanted, limit=limit)))
        else:
            _export(records, wanted, export)
    finally:
        records.close()


def _export(records: Records, wanted: Wanted, path: Path) -> None:
    """Write all lines to a file, in the form that its name says."""
    from cli.screen import err
    from core.errors import FieldProblem
    from core.refusals import FieldsInvalid
    from services.access.audit import all_entries
    from services.access.export import as_csv, as_ndjson

    writers = {".csv": as_csv, ".ndjson": as_ndjson}
    write = writers.get(path.suffix.lower())
    if write is None:
        allowed = "a name that ends in .csv or .ndjson is allowed"
        raise FieldsInvalid([FieldProblem("--export", f"is {path.name[:80]!r}", allowed)])
    with path.open("wb") as file:
        for block in write(all_entries(records, wanted)):
            file.write(block)
    err().print(f"Written: {path}", markup=False)


def _table(entries: list[Kept]) -> Table:
    """Lay lines out as a table."""
    import json

    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in ("at (UTC)", "who, from where", "what", "to what", "detail"):
        table.add_column(heading, overflow="fold")
    for kept in entries:
        detail = json.dumps(dict(kept.detail), ensure_ascii=False)
        table.add_row(
            f"{kept.at:%Y-%m-%d %H:%M:%S}",
            Text(f"{kept.actor}\n{kept.address}" if kept.address else kept.actor),
            f"{kept.action}\n{kept.outcome}",
            Text(kept.target),
            Text(detail if len(detail) <= _DETAIL_WIDTH else f"{detail[:_DETAIL_WIDTH]}…"),
        )
    return table
