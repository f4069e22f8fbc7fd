"""The models there are: one line each.

Routes, schemas, training, checks and the command line all follow from this tuple.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from core.errors import ModelUnknown

if TYPE_CHECKING:
    from bentos.predictor import Predictor
    from core.config import ModelConfig
    from core.contract import Contract

CATALOG: tuple[str, ...] = (
    "profitability",
    "churn",
    "revenue_leak",
    "pricing",
    "budget",
    "demand",
    "anomaly",
)


def predictor_type(model: str) -> type[Predictor]:
    """Give the predictor class of a model.

    Raises
    ------
    ModelUnknown
        The catalog has no such model.
    """
    require(model)
    kind: type[Predictor] = import_module(f"bentos.{model}.predictor").PREDICTOR
    return kind


def service_of(model: str) -> str:
    """Give the target by which ``bentoml serve`` finds a model's own service.

    Raises
    ------
    ModelUnknown
        The catalog has no such model.
    """
    name = "".join(part.title() for part in require(model).split("_"))
    return f"bentos.{model}.service:{name}"


def contract_of(config: ModelConfig) -> Contract:
    """Build the contract of a model: its config's features, and what its task asks by nature.

    Raises
    ------
    ModelUnknown
        The catalog has no such model.
    """
    from core.contract import Contract  # noqa: PLC0415 - the names are wanted without pydantic

    return Contract(config, predictor_type(config.model).TASKS)


def require(model: str) -> str:
    """Give the name back when the catalog has it.

    Raises
    ------
    ModelUnknown
        The catalog has no such model.
    """
    if model not in CATALOG:
        raise ModelUnknown(model, CATALOG)
    return model


def path_name(model: str) -> str:
    """Name of a model in a path: hyphens."""
    return model.replace("_", "-")


def model_name(path: str) -> str:
    """Name of the model behind a path's part; underscores are taken too.

    Raises
    ------
    ModelUnknown
        The catalog has no such model.
    """
    name = path.replace("-", "_")
    if name not in CATALOG:
        raise ModelUnknown(path, [path_name(known) for known in CATALOG])
    return name
