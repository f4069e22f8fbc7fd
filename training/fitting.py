"""Fits a model on a table and measures it, before any registry is asked."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from bentos.catalog import predictor_type
from bentos.predictor import RANGES, Predictor, RowPredictor, check_roles, training_ranges
from core import clock
from core.artifact import DataFacts, Draft, open_artifact
from core.config import ModelConfig, SampleSource
from core.encoding import Columns
from core.errors import ConfigError, TrainingRefused, nearest
from training.frame import Frame, QualityReport, build_frame
from training.profile import PROFILE, profile_of
from training.progress import Progress, Silent, told_to
from training.recipes import Recipe, recipe_of
from training.source import read_source
from training.split import Split, split_frame

# Memory of a large holdout stays bounded; rows do not depend on each other.
_SCORE_ROWS = 50_000
_LIBRARIES = ("lightgbm", "numpy", "prophet", "scikit-learn", "scipy", "statsforecast")


@dataclass(frozen=True)
class Fitted:
    """A fitted artifact with what was measured on the test.

    Parameters
    ----------
    predictor
        The very predictor that will serve.
    split
        The parts of the table.
    outputs
        What it answers on the test.
    metrics
        Measured from them.
    report
        What was read and left out.
    """

    predictor: Predictor
    split: Split
    outputs: Mapping[str, npt.NDArray[Any]]
    metrics: Mapping[str, float]
    report: QualityReport

    @property
    def row_predictor(self) -> RowPredictor:
        """The predictor of a model that answers rows of features.

        Raises
        ------
        TypeError
            The model answers no rows.
        """
        if not isinstance(self.predictor, RowPredictor):
            raise TypeError(f"{self.predictor.MODEL} answers no rows of features")
        return self.predictor


class Stages:
    """Tells the progress and keeps the time of each stage."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._name: str | None = None
        self._began = 0.0
        self.seconds: dict[str, float] = {}

    def begin(self, name: str, text: str) -> None:
        """End the stage before, and begin one."""
        self.end()
        self._name, self._began = name, time.perf_counter()
        self.progress.stage(name, text)

    def end(self) -> None:
        """End the stage under way, if any."""
        if self._name is not None:
            self.seconds[self._name] = round(time.perf_counter() - self._began, 3)
            self._name = None


def fit_only(
    config: ModelConfig, *, home: Path, folder: Path, progress: Progress | None = None
) -> Fitted:
    """Train and measure without a registry, as the quality suite does.

    Parameters
    ----------
    config
        The model's config.
    home
        Folder of the platform, for the sample firm's tables.
    folder
        Where the artifact is written; must be empty or absent.
    progress
        Told what is done.
    """
    stages = Stages(progress or Silent())
    frame, report = read_frame(config, home=home, stages=stages)
    return fit_frame(config, frame, report, folder, stages, digest=frame.digest())


def answer_rows(predictor: Predictor, frame: Frame) -> dict[str, npt.NDArray[Any]]:
    """Answer a frame through a predictor, block by block.

    Returns
    -------
    dict
        One array of shape ``(n,)`` for each field of the model's result.

    Raises
    ------
    TypeError
        The model answers no rows of features.
    """
    if not isinstance(predictor, RowPredictor):
        raise TypeError(f"{predictor.MODEL} answers no rows: its recipe must offer answer()")
    blocks = []
    for start in range(0, len(frame), _SCORE_ROWS):
        stop = start + _SCORE_ROWS
        part: Columns = {name: values[start:stop] for name, values in frame.columns.items()}
        blocks.append(predictor.score(part))
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def read_frame(config: ModelConfig, *, home: Path, stages: Stages) -> tuple[Frame, QualityReport]:
    """Read and check the table of a model."""
    predictor = predictor_type(config.model)
    check_roles(config, predictor.ROLES)
    simulated = isinstance(config.source, SampleSource)
    stages.begin("read", "simulates and reads the sample firm" if simulated else "reads the table")
    raw = read_source(config, home=home)
    stages.begin("check", f"checks {raw.table.num_rows:,} rows against the contract")
    frame, report = build_frame(raw, config, latest=clock.now())
    if "probability" in predictor.RESULT.model_fields:
        _refuse_other_labels(frame, config)
    return frame, report


def _refuse_other_labels(frame: Frame, config: ModelConfig) -> None:
    """Refuse labels other than 1 and 0 where the model answers a probability."""
    other = ~np.isnan(frame.target) & ~np.isin(frame.target, (0.0, 1.0))
    if other.any():
        row = int(np.flatnonzero(other)[0])
        raise TrainingRefused(
            config.model,
            f"the target {config.target.column!r} must be 1 or 0; {int(other.sum()):,} rows hold "
            f"other numbers, the first is row {frame.row_numbers[row]} with "
            f"{frame.target[row]:g}. Set target.positive to the value that means yes.",
        )


def fit_frame(
    config: ModelConfig,
    frame: Frame,
    report: QualityReport,
    folder: Path,
    stages: Stages,
    *,
    digest: str,
) -> Fitted:
    """Part, fit and measure; writes the finished artifact into the folder."""
    split = split_frame(frame, config)
    recipe = recipe_of(config.model)
    stages.begin("fit", f"fits on {len(split.train):,} rows, {len(split.calibration):,} calibrate")
    draft = Draft(folder)
    # More threads add up in another order, and with it to other bytes; and where cores are shared
    # they wait for each other: the spline of churn took three times as long.
    with threadpool_limits(limits=1, user_api="blas"), told_to(stages.progress):
        recipe.fit(split, config, draft)
    draft.write_json(RANGES, _joined_ranges(config, split))
    draft.write_json(PROFILE, profile_of(config, split.train.columns))
    data = _data_facts(config, split, report, digest=digest)
    versions = library_versions()
    draft.finish(config, data=data, versions=versions, metrics={})
    stages.begin("measure", f"measures on {len(split.test):,} rows it never saw")
    # Measured through the predictor that serves, from the files that are served.
    predictor = predictor_type(config.model)(open_artifact(folder))
    outputs = answer_test(predictor, split)
    metrics = _measured(config, recipe, outputs, split.test)
    refit = getattr(recipe, "refit", None)
    if refit is not None:
        stages.begin("refit", f"fits again on all {len(frame):,} rows")
        with threadpool_limits(limits=1, user_api="blas"), told_to(stages.progress):
            refit(split, config, draft)
    draft.finish(config, data=data, versions=versions, metrics=metrics)
    if refit is not None:
        predictor = predictor_type(config.model)(open_artifact(folder))
    return Fitted(predictor, split, outputs, metrics, report)


def answer_test(predictor: Predictor, split: Split) -> dict[str, npt.NDArray[Any]]:
    """Answer the test of a split through a predictor, in the recipe's way or row by row."""
    answer = getattr(recipe_of(predictor.MODEL), "answer", None)
    if answer is not None:
        outputs: dict[str, npt.NDArray[Any]] = answer(predictor, split)
        return outputs
    return answer_rows(predictor, split.test)


def _measured(
    config: ModelConfig,
    recipe: Recipe,
    outputs: Mapping[str, npt.NDArray[Any]],
    test: Frame,
) -> dict[str, float]:
    metrics, gate = recipe.evaluate(outputs, test), config.gate
    _refuse_unknown_metrics(config, list(metrics))
    known = {name: value for name, value in metrics.items() if np.isfinite(value)}
    for name in (*gate.floors, *gate.ceilings):
        if name not in known:
            raise TrainingRefused(
                config.model,
                f"{name} cannot be measured on the test rows ({metrics[name]}). The test needs "
                "labelled rows of each kind: change split, or take it out of the gate.",
            )
    return known


def _refuse_unknown_metrics(config: ModelConfig, known: Sequence[str]) -> None:
    """Refuse a gate that asks for what is not measured: it would guard nothing."""
    gate = config.gate
    asked = {"metric": [gate.metric], "floors": gate.floors, "ceilings": gate.ceilings}
    for key, names in asked.items():
        for name in names:
            if name not in known:
                fault = f"{name!r} is no metric of {config.model}.{nearest(name, known)}"
                raise ConfigError(f"{fault} Metrics: {', '.join(known)}", key=f"gate.{key}")


def _data_facts(
    config: ModelConfig, split: Split, report: QualityReport, *, digest: str
) -> DataFacts:
    frames = (split.train, split.calibration, split.test)
    times = [f.as_of for f in frames if f.as_of is not None]
    seen = np.concatenate(times) if times else None
    source = config.source
    kind = source.kind
    name = source.table if isinstance(source, SampleSource) else getattr(source, "path", "query")
    return DataFacts(
        digest=digest,
        source=f"{kind}: {name}",
        rows_train=len(split.train),
        rows_calibration=len(split.calibration),
        rows_test=len(split.test),
        entities=len(set().union(*(set(f.entity) for f in frames))),
        first=None if seen is None else str(seen.min())[:19],
        last=None if seen is None else str(seen.max())[:19],
        left_out=report.rows_left_out,
    )


def _joined_ranges(config: ModelConfig, split: Split) -> dict[str, list[float]]:
    """Give the ranges of train and calibration together."""
    parts = [training_ranges(config, part.columns) for part in (split.train, split.calibration)]
    names = parts[0].keys() | parts[1].keys()
    spans = {name: [part[name] for part in parts if name in part] for name in names}
    return {name: [min(s[0] for s in v), max(s[1] for s in v)] for name, v in spans.items()}


def library_versions() -> dict[str, str]:
    """Give the versions on which the bytes of an artifact depend."""
    return {"python": platform.python_version(), **{lib: version_of(lib) for lib in _LIBRARIES}}
