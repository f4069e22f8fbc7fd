"""`septet template`: the CSV that a user fills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from core.config import ModelConfig


def template(
    model: Annotated[str, typer.Argument(help="Name of the model, such as churn.")],
    *,
    meanings: Annotated[
        bool, typer.Option("--meanings", help="Show what each column means, instead of the CSV.")
    ] = False,
) -> None:
    """Write the CSV that training reads: its header, and one example row to replace.

    Example: `septet template churn > churn.csv`
    """
    from bentos.catalog import contract_of, model_name
    from cli.screen import out
    from core.config import load_model_config
    from core.settings import load_settings

    config = load_model_config(load_settings().model_config_path(model_name(model)))
    if meanings:
        out().print(_meanings(config))
    else:
        typer.echo(contract_of(config).template_csv(), nl=False)


def _meanings(config: ModelConfig) -> Table:
    """List every column with its meaning and what it accepts."""
    from rich.table import Table

    from core.contract import describe

    table = Table(title=config.title, title_justify="left")
    for heading in ("column", "meaning", "accepted"):
        table.add_column(heading)
    named = config.source.columns
    table.add_row(named.get(config.entity, config.entity), "Whom the row is about.", "a text")
    if config.as_of:
        as_of = named.get(config.as_of, config.as_of)
        table.add_row(as_of, "As of when the row holds.", "a time with its zone")
    for name, feature in config.features.items():
        accepted = describe(feature).replace(" is allowed", "")
        table.add_row(named.get(name, name), feature.description, accepted)
    target = config.target
    empty = ", or empty when it is not known yet" if target.nullable else ""
    accepted = f"{target.positive} means yes" if target.positive is not None else "a number"
    table.add_row(
        named.get(target.column, target.column), target.description, accepted + empty, style="bold"
    )
    return table
