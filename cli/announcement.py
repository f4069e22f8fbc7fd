"""What `septet up` says once it is ready: addresses, the first key, and a line that works."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape

from bentos.catalog import contract_of, path_name
from cli import programs
from cli.ports import reachable
from core.config import load_model_config
from core.settings import Settings


def announce(
    console: Console,
    *,
    settings: Settings,
    live: Sequence[str],
    key: str | None,
    with_page: bool,
) -> None:
    """Print what a person needs now.

    Parameters
    ----------
    console
        Where to print.
    settings
        What runs where.
    live
        Names of the models that answer.
    key
        The admin key when it was made just now.
    with_page
        Whether MLflow's page was started here.
    """
    for line in _lines(settings, live=live, key=key, with_page=with_page):
        console.print(line, soft_wrap=True)
    # Without markup and unbroken: it is to be copied.
    console.print(curl(settings, live=live, key=key), markup=False, soft_wrap=True)
    console.print()


def curl(settings: Settings, *, live: Sequence[str], key: str | None) -> str:
    """Give a command that has a live model answer the example row of its contract."""
    model = "churn" if "churn" in live else live[0]
    row = json.dumps(contract_of(load_model_config(settings.model_config_path(model))).example())
    header = f"'X-API-Key: {key}'" if key else '"X-API-Key: $SEPTET_KEY"'
    return (
        f"curl -s {_base(settings)}/api/{path_name(model)} -H {header} "
        f"-H 'Content-Type: application/json' -d {shlex.quote(row)}"
    )


def _base(settings: Settings) -> str:
    host = reachable(settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _lines(
    settings: Settings, *, live: Sequence[str], key: str | None, with_page: bool
) -> Iterator[str]:
    """Give the lines above the command, in rich's markup."""
    base, logs = _base(settings), escape(str(settings.home / "logs"))
    yield ""
    yield f"[bold green]Septet is up.[/bold green] Ctrl-C stops it. Logs: {logs}"
    yield ""
    yield f"  {'API and docs':<16}[cyan]{base}/docs[/cyan]"
    for model in live:
        yield f"  {model:<16}[cyan]POST {base}/api/{path_name(model)}[/cyan]"
    if with_page:
        page = f"http://{programs.INNER_HOST}:{settings.mlflow_port}"
        yield f"  {'MLflow':<16}[cyan]{page}[/cyan] [dim]in some seconds[/dim]"
    elif settings.tracking_uri is not None:
        yield f"  {'MLflow':<16}{escape(settings.tracking_uri)}"
    yield ""
    if key is not None:
        yield "  The admin key, shown this once (its hash alone is kept):"
        yield f"  [bold]{key}[/bold]"
    else:
        yield "  The admin key was shown when it was made; `septet up --new-key` makes another one."
        yield "  For the line below: export SEPTET_KEY=…"
    yield ""
    yield "  Try it:"
