"""The options of a recipe, read from the config's plain table of them."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from core.config import ModelConfig
from core.errors import ConfigError, nearest


class RecipeOptions(BaseModel):
    """Base of a recipe's options: a field for each, with its default, unit and bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Options = TypeVar("Options", bound=RecipeOptions)


def read_options(config: ModelConfig, kind: type[Options]) -> Options:
    """Read the options of ``training.options``.

    Parameters
    ----------
    config
        The model's config.
    kind
        The options that its recipe knows.

    Raises
    ------
    ConfigError
        An option is unknown or has a wrong value; the error names the nearest known one.
    """
    try:
        return kind.model_validate(config.training.options)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = str(fault["loc"][0]) if fault["loc"] else ""
        known = list(kind.model_fields)
        if fault["type"] == "extra_forbidden":
            text = f"{name!r} is no option of {config.model}.{nearest(name, known)}"
            text += f" Options: {', '.join(known)}"
        else:
            text = f"{fault['input']!r} is not allowed: {fault['msg']}"
        raise ConfigError(text, key=f"training.options.{name}") from error
