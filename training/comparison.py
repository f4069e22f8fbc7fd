"""Measures the champion on the very rows on which a challenger was measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bentos.catalog import predictor_type
from bentos.predictor import Predictor
from core import clock
from core.artifact import open_artifact
from core.config import ModelConfig
from core.encoding import FloatArray
from core.errors import ArtifactCorrupt, ConfigError, NotFound, SourceError, TrainingRefused
from core.registry import Registry, Version
from training.fitting import Fitted, answer_rows
from training.frame import Frame, build_frame
from training.recipes import recipe_of
from training.source import read_source


@dataclass(frozen=True)
class Comparison:
    """Losses of both on the same rows, or why there are none.

    Parameters
    ----------
    losses
        Shape ``(n,)``: the challenger's.
    champion_losses
        Shape ``(n,)``: the champion's; nothing where there is no champion, or none to measure.
    reason
        Why the champion there is cannot be measured.
    """

    losses: FloatArray
    champion_losses: FloatArray | None = None
    reason: str | None = None


def compare(
    fitted: Fitted, champion: Version | None, *, registry: Registry, home: Path, folder: Path
) -> Comparison:
    """Put the challenger's test rows to the champion.

    A champion whose config asks for other features gets the same rows of the same source with its
    own columns. It is not compared when the source lacks them: it could not answer there either.

    Parameters
    ----------
    fitted
        The challenger.
    champion
        The version to beat, if there is one.
    registry
        Where the champion is kept.
    home
        Folder of the platform.
    folder
        An empty folder for the champion's artifact.
    """
    config, test = fitted.predictor.config, fitted.split.test
    recipe = recipe_of(config.model)
    losses = recipe.losses(fitted.outputs, test)
    if champion is None:
        return Comparison(losses)
    if hasattr(recipe, "refit"):
        # It was fitted again on its whole history, and so has seen most of these rows.
        return Comparison(losses, reason="the champion was fitted on these rows too")
    try:
        registry.download(champion.model, champion.version, folder)
        predictor = predictor_type(champion.model)(open_artifact(folder))
    except (ArtifactCorrupt, ConfigError, NotFound) as error:
        # A champion that cannot be opened cannot be served either: it defends nothing.
        return Comparison(losses, reason=f"the champion cannot be opened: {error.detail}")
    try:
        rows, known = _as_it_reads(predictor, config, test, home=home)
    except (SourceError, TrainingRefused) as error:
        return Comparison(losses, reason=f"the champion reads other columns: {error.detail}")
    champion_losses = recipe.losses(answer_rows(predictor, rows), rows)
    if len(rows) < len(test):
        outputs = {name: values[known] for name, values in fitted.outputs.items()}
        losses = recipe.losses(outputs, rows)
    return Comparison(losses, champion_losses)


def _as_it_reads(
    predictor: Predictor, config: ModelConfig, test: Frame, *, home: Path
) -> tuple[Frame, npt.NDArray[np.int64]]:
    """Give the test rows with the columns that a predictor reads, and which rows those are."""
    everything = np.arange(len(test))
    if _types(predictor.config).items() <= _types(config).items():
        return test, everything
    theirs = predictor.config.source.columns | config.source.columns
    asked = config.model_copy(update={"features": predictor.features})
    columns = {name: theirs[name] for name in asked.table_columns if name in theirs}
    source = config.source.model_copy(update={"columns": columns})
    asked = asked.model_copy(update={"source": source})
    frame, _ = build_frame(read_source(asked, home=home), asked, latest=clock.now())
    places = {int(number): place for place, number in enumerate(frame.row_numbers)}
    known = np.array([i for i in everything if int(test.row_numbers[i]) in places], dtype=np.int64)
    rows = frame.take(np.array([places[int(n)] for n in test.row_numbers[known]], dtype=np.int64))
    same = np.array_equal(rows.entity, test.entity[known])
    if not len(known) or not same:
        raise SourceError(config.source.kind, "it does not give the same rows when asked again.")
    return rows, known


def _types(config: ModelConfig) -> dict[str, str]:
    """Tell how each feature is read: as a category or as a number."""
    return {
        name: "category" if feature.type == "category" else "number"
        for name, feature in config.features.items()
    }
