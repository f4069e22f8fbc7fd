"""`septet train`: a table becomes a version, and the version champion when it passes the gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from cli.exits import Exit

if TYPE_CHECKING:
    from cli.board import Board
    from core.config import ModelConfig
    from training.pipeline import TrainingOutcome


def train(
    model: Annotated[str, typer.Argument(help="Name of the model, such as churn.")],
    *,
    source: Annotated[
        str | None,
        typer.Option(help="CSV or Parquet file, or glob, to read instead of the config's source."),
    ] = None,
    query: Annotated[
        str | None, typer.Option(help="SQL to ask; then --source is the database's address.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML to use instead of configs/models/MODEL.yaml.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Train even when nothing changed since the champion.")
    ] = False,
) -> None:
    """Train a model, hold it against the gate, and make it champion when it passes.

    The exit code is 10 when the gate kept the old champion. What runs takes a new champion up by
    itself, within seconds.

    Example: `septet train churn --source clients.csv`
    """
    from bentos.catalog import model_name
    from cli.board import Board
    from cli.events import BoardProgress
    from cli.publishing import make_live
    from cli.screen import err, out
    from cli.verdict import describe
    from core.registry import Registry
    from core.settings import load_settings
    from training.pipeline import train_model

    settings = load_settings()
    name = model_name(model)
    path = config or settings.model_config_path(name)
    chosen = _chosen(name, path=path, source=source, query=query)
    registry = Registry(settings.mlflow_address, artifacts=settings.mlflow_artifacts)
    with Board(err(), (name,)) as board:
        progress = BoardProgress(name, board)
        progress.stage("start", "reads the config")
        outcome = train_model(
            chosen, home=settings.home, registry=registry, progress=progress, force=force
        )
        if outcome.promoted:
            progress.stage("release", "brings it to the disk")
            make_live(settings, registry, model=name, version=outcome.version.version)
        _finish(board, name, outcome)
    for part in describe(outcome, notes=progress.notes, metric=chosen.gate.metric):
        out().print(part)
    if not outcome.promoted:
        raise typer.Exit(Exit.KEPT_CHAMPION)


def _chosen(model: str, *, path: Path, source: str | None, query: str | None) -> ModelConfig:
    """Read the config, and put another source in it when one was named.

    Raises
    ------
    ConfigError
        The config is wrong or of another model, or the source cannot be used like this.
    """
    from core.config import load_model_config, parse_model_config
    from core.errors import ConfigError

    config = load_model_config(path)
    if config.model != model:
        raise ConfigError(f"is of the model {config.model!r}, not of {model!r}", file=str(path))
    if source is None:
        if query is not None:
            raise ConfigError("--query goes with --source, the database's address.")
        return config
    columns = dict(config.source.columns)
    if query is not None:
        if urlsplit(source).password:
            # The config is copied into the artifact, which must not hold a password.
            fault = "the address holds a password; put it into a variable: --source '${ADDRESS}'"
            raise ConfigError(fault)
        given = {"kind": "sql", "address": source, "query": query, "columns": columns}
    else:
        kind = "parquet" if source.endswith((".parquet", ".pq")) else "csv"
        given = {"kind": kind, "path": source, "columns": columns}
    return parse_model_config(config.model_dump() | {"source": given})


def _finish(board: Board, model: str, outcome: TrainingOutcome) -> None:
    """Say on the board how it ended."""
    seconds = sum(outcome.seconds.values())
    version = f"version {outcome.version.version}"
    if not outcome.trained:
        board.done(model, f"{version} is made of the same data, config and libraries: kept")
    elif outcome.promoted:
        board.done(model, f"{version} is champion, trained in {seconds:.1f} s")
    else:
        board.fail(model, f"{version} stays challenger")
