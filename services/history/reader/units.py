"""The unit of a number that a model is asked with or answers, as its config or a name tells it."""

from __future__ import annotations

from collections.abc import Callable

from bentos.predictor import Predictor
from core.config import ModelConfig
from core.errors import ConfigError

# Of a model; nothing where its config cannot be read.
ConfigOf = Callable[[str], ModelConfig | None]
RATIO = "ratio"
_AMOUNT = "_amount"


def unit_of(config: ModelConfig | None, kind: type[Predictor], field: str | None) -> str | None:
    """Give the unit of what is followed.

    Parameters
    ----------
    config
        The model's config.
    kind
        Its predictor.
    field
        A field of the result, ``result.<field>``, or ``input.<name>``; the headline without it.

    Returns
    -------
    str or None
        Such as hours, or ratio for a probability; nothing where it has none or none is known.
    """
    if config is None:
        return None
    part, _, rest = (field or "").partition(".")
    if part == "input":
        feature = config.features.get(rest)
        return None if feature is None else feature.unit
    name = rest if part == "result" else field or kind.HEADLINE
    if name == kind.FORETELLS:
        return unit_of_outcome(config)
    words = name.split("_")
    if "probability" in words or words[-1] in {"ratio", "share"}:
        return RATIO
    return _currency(config) if name.endswith(_AMOUNT) else None


def unit_of_outcome(config: ModelConfig | None) -> str | None:
    """Give the unit of what really happens; the mean of yes (1) and no (0) is a ratio.

    Parameters
    ----------
    config
        The model's config.
    """
    if config is None:
        return None
    return config.target.unit if config.target.positive is None else RATIO


def if_readable(config_of: Callable[[str], ModelConfig]) -> ConfigOf:
    """Give nothing where a config is wrong or gone: a unit is worth no answer.

    Parameters
    ----------
    config_of
        Gives the config of a model.
    """

    def known(model: str) -> ModelConfig | None:
        try:
            return config_of(model)
        except (ConfigError, OSError):
            return None

    return known


def no_config(_model: str) -> None:
    """Know no config."""


def _currency(config: ModelConfig) -> str | None:
    """Give the unit of a model's amounts: that of its target, or the one of its inputs."""
    if config.target.column.endswith(_AMOUNT):
        return config.target.unit
    units = {one.unit for name, one in config.features.items() if name.endswith(_AMOUNT)}
    return units.pop() if len(units) == 1 else None
