"""`septet keys`: who may ask what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from services.access.audit import Actor
    from services.access.grant import KeyRecord
    from services.access.ledger import Issued, KeyLedger

keys = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Make, list, rotate and revoke the API keys. A running platform takes notice within 2 s."
    "\n\nExample: `septet keys list`",
)

_KeyId = Annotated[
    str, typer.Argument(metavar="ID", help="The part of the key after `sep_live_`; see `list`.")
]


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    *,
    role: Annotated[
        str, typer.Option(help="viewer reads, analyst predicts, operator runs jobs, or admin.")
    ],
    tier: Annotated[str, typer.Option(help="Its limits, a name in platform.yaml.")] = "standard",
    models: Annotated[
        str | None, typer.Option(help="The models it may ask, with commas; all without it.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="When it stops: 90d, or 2030-01-31; never without it.")
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(help="A network it may come from; may be given again. All without it."),
    ] = None,
) -> None:
    """Make a key, and print it: the only time it is seen.

    Example: `septet keys create report --role analyst --models churn,demand --expires 90d`
    """
    from cli.duration import read_moment
    from services.access.grant import Grant, require_tier
    from services.fields import read_fields

    fields: dict[str, object] = {"name": name, "role": role, "tier": tier}
    if models is not None:
        fields["models"] = [model.strip() for model in models.split(",")]
    if network:
        fields["networks"] = network
    if expires is not None:
        fields["expires_at"] = read_moment(expires, option="--expires", ahead=True)
    grant = read_fields(Grant, fields)
    require_tier(grant, _tiers())
    with _ledger() as (ledger, by):
        _show_issued(ledger.create(grant, by=by))


@keys.command("list")
def show() -> None:
    """List the keys, the oldest first; their secrets are not kept.

    Example: `septet keys list`
    """
    from cli.screen import out

    with _ledger() as (ledger, _):
        out().print(_table(_all(ledger)))


@keys.command()
def rotate(
    key_id: _KeyId,
    *,
    overlap: Annotated[
        str, typer.Option(help="How long the secret before goes on: 0s to 30d.")
    ] = "24h",
) -> None:
    """Give a key another secret, and print it; the one before goes on for the overlap.

    Example: `septet keys rotate 4LpcC5KPdTJI --overlap 24h`
    """
    from cli.duration import read_duration

    span = read_duration(overlap, option="--overlap")
    with _ledger() as (ledger, by):
        _show_issued(ledger.rotate(key_id, overlap=span, by=by))


@keys.command()
def revoke(key_id: _KeyId) -> None:
    """Shut a key for ever, in every process within two seconds.

    Example: `septet keys revoke 4LpcC5KPdTJI`
    """
    from rich.text import Text

    from cli.screen import out

    with _ledger() as (ledger, by):
        record = ledger.revoke(key_id, by=by)
    out().print(Text(f"{record.id} ({record.name}) is revoked."))


@contextmanager
def _ledger() -> Iterator[tuple[KeyLedger, Actor]]:
    """Open the book of the keys, migrated, and say who writes into it."""
    from core.settings import load_settings
    from services.access.audit import Actor
    from services.access.first_key import prepare_records
    from services.access.ledger import KeyLedger

    by = Actor.shell()
    records = prepare_records(load_settings(), by=by)
    try:
        yield KeyLedger(records), by
    finally:
        records.close()


def _tiers() -> list[str]:
    """Name the tiers of the platform."""
    from bentos.lone import read_platform_config
    from core.settings import load_settings

    return list(read_platform_config(load_settings()).tiers)


def _all(ledger: KeyLedger) -> Iterator[KeyRecord]:
    """Give every key, page by page."""
    after: str | None = None
    while page := ledger.page(limit=1000, after=after):
        yield from page
        after = page[-1].id


def _table(records: Iterator[KeyRecord]) -> Table:
    """Lay keys out as a table."""
    from rich.table import Table
    from rich.text import Text

    from core import clock

    table = Table()
    for heading in ("id", "name", "role", "models", "networks", "tier", "state"):
        # An id is copied; whatever else is long goes on in the next line.
        table.add_column(heading, no_wrap=heading == "id", overflow="fold")
    now = clock.now()
    colours = {"active": "green", "expired": "yellow", "revoked": "red"}
    for record in records:
        state = record.state(now)
        end = record.revoked_at or record.expires_at
        word = "since" if state == "revoked" or (end is not None and end <= now) else "until"
        table.add_row(
            record.id,
            Text(record.name),
            record.role,
            "all" if record.models is None else "\n".join(record.models),
            "\n".join(record.networks) or "all",
            record.tier,
            Text(f"{state} {word} {end:%Y-%m-%d}" if end else state, style=colours[state]),
        )
    return table


def _show_issued(issued: Issued) -> None:
    """Print a key alone on standard output, and what it opens on standard error."""
    from cli.screen import err, out

    err().print(_table(iter([issued.record])))
    if issued.record.retiring_until is not None:
        until = f"{issued.record.retiring_until:%Y-%m-%d %H:%M}"
        err().print(f"Secrets before this one stop by {until} UTC.")
    err().print("The key, shown this once (its hash alone is kept); it opens within two seconds:")
    out().print(issued.key, markup=False, soft_wrap=True)
