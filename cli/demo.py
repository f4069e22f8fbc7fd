"""`septet demo`: months of the sample firm's life, played through the running platform."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from rich.table import Table

    from cli.player import Player, Tally
    from core.config import ModelConfig
    from core.settings import Settings
    from training.demo.rhythm import Span

_KEY_HOURS = 1
# A long play is slowed down by the limits of the key's tier.
_PATIENCE_SECONDS = 180.0
# A running platform takes notice of a new key within two.
_NOTICE_SECONDS = 2.5
_YEAR_DAYS = 365.25
_OTHER_DRIFT = {"demand": "what happens, not what is asked"}


def demo(
    *,
    months: Annotated[int, typer.Option(min=1, max=24, help="How many, up to yesterday.")] = 6,
    drift_at: Annotated[
        str, typer.Option(help="When inputs drift: 60d ago, or a date such as 2026-03-01.")
    ] = "60d",
    seed: Annotated[int, typer.Option(min=0, help="Same seed and day, same play.")] = 7,
    url: Annotated[
        str | None, typer.Option(help="Address of the platform; that of this installation else.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="File that holds an admin key; SEPTET_KEY without it.")
    ] = None,
) -> None:
    """Play months of the sample firm's life, so that there is a history to look at.

    Every day each model is asked what the firm would have asked, and what then happened is told
    when it is known: late, corrected, or never. From the drift on some inputs are different. Each
    run adds to the history. A model whose config does not read the sample firm is left out.

    Example: `septet demo --months 6 --drift-at 60d`
    """
    from cli.asking import Asker, platform_url
    from cli.duration import read_moment
    from cli.player import Player
    from cli.screen import err, out
    from core import clock
    from core.settings import load_settings

    settings = load_settings()
    span = _span(months, drift_on=read_moment(drift_at, option="--drift-at", ahead=False).date())
    configs = _playing(settings)
    address = url or platform_url(settings)
    # Before a key is made: without a platform there is nothing to open.
    Asker(address, "").download("/livez")
    key = _key(settings, key_file, is_elsewhere=url is not None)
    began = clock.now()
    with Asker(address, key, patience_seconds=_PATIENCE_SECONDS) as asker:
        player = Player(asker, list(configs))
        _play(player, configs, settings=settings, span=span, seed=seed)
    err().print(f"[dim]Played in {(clock.now() - began).total_seconds():.0f} s.[/dim]")
    out().print(_table(player.tallies))
    for line in _addresses(address, span, player.best_known):
        out().print(line, soft_wrap=True)


def _span(months: int, *, drift_on: date) -> Span:
    """Give the days that are played: so many months up to yesterday."""
    from datetime import timedelta

    from core import clock
    from training.demo.rhythm import Span

    last = clock.now().date() - timedelta(days=1)
    return Span(last - timedelta(days=round(months * _YEAR_DAYS / 12) - 1), last, drift_on)


def _playing(settings: Settings) -> dict[str, ModelConfig]:
    """Give the configs of the models that play: those that read the sample firm.

    Raises
    ------
    ConfigError
        There is none, or a config is wrong.
    """
    from bentos.catalog import CATALOG
    from cli.screen import err
    from core.config import SampleSource, load_model_config
    from core.errors import ConfigError

    found = {}
    for model in CATALOG:
        config = load_model_config(settings.model_config_path(model))
        if isinstance(config.source, SampleSource):
            found[model] = config
        else:
            err().print(f"[dim]{model} is left out: its config reads {config.source.kind}.[/dim]")
    if not found:
        raise ConfigError("No model's config reads the sample firm, which is all that is played.")
    return found


def _play(
    player: Player, configs: Mapping[str, ModelConfig], *, settings: Settings, span: Span, seed: int
) -> None:
    """Play it, and show how far it has come."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from cli.screen import err
    from training.demo.play import Play

    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("reads the firm", total=len(span.days))
        play = Play(configs, home=settings.home, span=span, seed=seed)
        bar.update(task, description="days")
        player.play(play, after_day=lambda: bar.advance(task))
        bar.update(task, description="what then happened")
        player.tell()


def _key(settings: Settings, key_file: Path | None, *, is_elsewhere: bool) -> str:
    """Give the key: of a file, of the environment, or one that is made for an hour.

    Raises
    ------
    FieldsInvalid
        There is none, and none can be made here.
    """
    import os

    from cli.asking import KEY_VARIABLE, read_key
    from core.errors import FieldProblem
    from core.refusals import FieldsInvalid

    if key_file is not None or os.environ.get(KEY_VARIABLE):
        return read_key(key_file)
    if is_elsewhere or not settings.records_url.startswith("sqlite:"):
        allowed = f"export {KEY_VARIABLE}=sep_live_… of an admin, or name a file with --key-file"
        raise FieldsInvalid([FieldProblem(KEY_VARIABLE, "is not set", allowed)])
    return _new_key(settings)


def _new_key(settings: Settings) -> str:
    """Make an admin key for an hour, and wait until it opens."""
    import time
    from datetime import timedelta

    from cli.screen import err
    from core import clock
    from services.access.audit import Actor
    from services.access.caller import Role
    from services.access.first_key import prepare_records
    from services.access.grant import Grant
    from services.access.ledger import KeyLedger

    until = clock.now() + timedelta(hours=_KEY_HOURS)
    by = Actor.shell()
    records = prepare_records(settings, by=by)
    try:
        grant = Grant(name="demo", role=Role.ADMIN.label, expires_at=until)
        issued = KeyLedger(records).create(grant, by=by)
    finally:
        records.close()
    err().print(f"[dim]Made the key {issued.record.id} (demo, admin) for an hour.[/dim]")
    time.sleep(_NOTICE_SECONDS)
    return issued.key


def _table(tallies: Mapping[str, Tally]) -> Table:
    """Lay out what was played."""
    from rich.table import Table

    from training.demo.drift import drifted_fields

    table = Table()
    table.add_column("model")
    for heading in ("predictions", "refused", "outcomes"):
        table.add_column(heading, justify="right")
    table.add_column("what drifts")
    for model, tally in tallies.items():
        outcomes = f"{tally.told:,}" + (f" ({tally.untold:,} refused)" if tally.untold else "")
        drifts = tally.left_out or ", ".join(drifted_fields(model)) or _OTHER_DRIFT.get(model, "-")
        table.add_row(model, f"{tally.answered:,}", f"{tally.refused:,}", outcomes, drifts)
    return table


def _addresses(address: str, span: Span, entity: str | None) -> Iterator[str]:
    """Name what to look at now."""
    if entity is None:
        yield "Nothing was asked: no model has a champion. `septet train MODEL` makes one."
        return
    yield f"Played {span.first} to {span.last}; the drift begins on {span.drift_on}. Look at:"
    for path in (
        f"trends?model=churn&by=week&since={span.first}T00:00:00Z",
        f"trends?model=anomaly&by=day&since={span.first}T00:00:00Z&format=png",
        f"features/nps?model=churn&since={span.first}T00:00:00Z&format=png",
        "predictions?model=churn&limit=20",
        f"entities/{quote(entity)}?since={span.first}T00:00:00Z",
    ):
        yield f"  [cyan]{address}/api/history/{path}[/cyan]"
