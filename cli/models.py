"""`septet models`: what is served, and what was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from core.settings import Settings


def models(
    model: Annotated[
        str | None, typer.Argument(help="Show every version of this model in MLflow.")
    ] = None,
) -> None:
    """List the models with their champions on disk; of one model, every registered version.

    Example: `septet models churn`
    """
    from bentos.catalog import model_name
    from cli.screen import out
    from core.settings import load_settings

    settings = load_settings()
    if model is None:
        out().print(_champions(settings))
    else:
        out().print(_versions(model_name(model), settings=settings))


def _champions(settings: Settings) -> Table:
    """List every model of the catalog."""
    from rich.table import Column, Table

    from bentos.catalog import CATALOG
    from bentos.release import read_pointer
    from core.artifact import open_artifact
    from core.errors import ArtifactCorrupt

    table = Table(
        "model", Column("champion", no_wrap=True), "trained rows", "data up to", "held-out figure"
    )
    for model in CATALOG:
        folder = settings.releases / model
        try:
            pointer = read_pointer(folder)
            if pointer is None:
                table.add_row(model, "[dim]none: septet train " + model + "[/dim]", "", "", "")
                continue
            artifact = open_artifact(folder / pointer.version)
        except ArtifactCorrupt as error:
            table.add_row(model, "[red]refused[/red]", "", "", error.fault)
            continue
        manifest, metric = artifact.manifest, artifact.config.gate.metric
        value = manifest.metrics.get(metric)
        table.add_row(
            model,
            f"version {pointer.version}",
            f"{manifest.data.rows_train:,}",
            (manifest.data.last or "")[:10],
            "" if value is None else f"{metric} {value:.4g}",
        )
    return table


def _versions(model: str, *, settings: Settings) -> Table:
    """List every version that MLflow has of a model."""
    from rich.markup import escape
    from rich.table import Table

    from cli.screen import err
    from core.registry import Registry

    with err().status("Asking MLflow"):
        versions = Registry(settings.mlflow_address).versions(model)
    table = Table("version", "aliases", "registered (UTC)", "run", "remark", title=model)
    for version in versions:
        refused = f"[red]refused: {escape(version.refused)}[/red]" if version.refused else ""
        table.add_row(
            version.version,
            ", ".join(version.aliases),
            f"{version.registered_at:%Y-%m-%d %H:%M}",
            version.run_id,
            refused,
        )
    if not versions:
        table.caption = f"None yet: septet train {model}"
    return table
