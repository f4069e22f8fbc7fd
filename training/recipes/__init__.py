"""How each model is trained: one module a model, named as the model is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Protocol, cast

import numpy.typing as npt
from matplotlib.figure import Figure

from bentos.catalog import require
from core.artifact import Artifact, Draft
from core.config import ModelConfig
from core.encoding import FloatArray
from training.frame import Frame
from training.split import Split

Outputs = Mapping[str, npt.NDArray[Any]]


class Recipe(Protocol):
    """What a recipe module offers.

    It may offer two more. ``answer(predictor, split)`` gives the outputs for the split's test where
    they are no answers to single rows (a forecast, a week's outcome). ``refit(split, config,
    draft)`` writes the files anew from the whole table, with the choices that ``fit`` made and
    what was measured untouched: for a forecast, which must begin where the history ends.
    """

    def fit(self, split: Split, config: ModelConfig, draft: Draft) -> None:
        """Train on the split's train and calibration, never its test; write the model's files."""

    def evaluate(self, outputs: Outputs, frame: Frame) -> dict[str, float]:
        """Measure the predictor's outputs on the labelled rows of a frame."""

    def losses(self, outputs: Outputs, frame: Frame) -> FloatArray:
        """Give the loss of each labelled row, lower is better."""

    def figures(
        self, outputs: Outputs, frame: Frame, artifact: Artifact
    ) -> Iterator[tuple[str, Figure]]:
        """Draw what a person would rather look at."""


def recipe_of(model: str) -> Recipe:
    """Give the recipe of a model.

    Raises
    ------
    ModelUnknown
        The catalog has no such model.
    """
    return cast("Recipe", import_module(f"training.recipes.{require(model)}"))
