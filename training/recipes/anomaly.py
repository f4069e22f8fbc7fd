"""Trains ``anomaly``: a forest, the context of each value, and how rare their evidence is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import lightgbm as lgb
import numpy as np
from pydantic import Field
from sklearn.ensemble import IsolationForest

from bentos.anomaly.context import Context
from bentos.anomaly.forest import Forest
from bentos.anomaly.usual import ForestShare, Usual
from bentos.predictor import ENCODER
from core.artifact import Draft
from core.config import ModelConfig
from core.encoding import Encoder, FloatArray
from training.frame import Frame
from training.options import RecipeOptions, read_options
from training.recipes.anomaly_context import fit_context
from training.recipes.anomaly_figures import figures
from training.recipes.anomaly_forest import export_forest
from training.recipes.anomaly_measures import evaluate, losses
from training.split import Split

__all__ = ["evaluate", "figures", "fit", "losses"]

_FOREST_GRID, _EVIDENCE_GRID = 2001, 1001
_LEAST_OF_A_CLASS = 25
_MOST_ROWS = 100_000
_SHOWN_LEVELS, _LEAST_LEVEL_SHARE = 5, 0.05
_CORE = 0.98
# Where every value is a number, what isolates a row says most; where there are levels, a cut
# through their frequencies says little, and how the values go together says nearly all.
_WEIGHTS = {"numbers": (1.0, 0.3), "levels": (0.1, 1.0)}


class Options(RecipeOptions):
    """What ``training.options`` of the config may set.

    Parameters
    ----------
    false_alarm_rate
        Share of usual records that is flagged.
    trees
        Of the isolation forest.
    forest_weight, context_weight
        How the two kinds of evidence count; below 0 for those that suit the table.
    threads
        Cores that the forest and the trees may use.
    """

    false_alarm_rate: float = Field(default=0.01, gt=0, lt=0.5)
    trees: int = Field(default=200, ge=10, le=2000)
    forest_weight: float = Field(default=-1.0, ge=-1)
    context_weight: float = Field(default=-1.0, ge=-1)
    threads: int = Field(default=1, ge=1)


def fit(split: Split, config: ModelConfig, draft: Draft) -> None:
    """Learn what is usual from all training records, and how rare evidence is from later ones.

    Labels are not needed. Where enough records are known to be wrong, and enough to be in order,
    trees learn from them what to make of the evidence.

    Parameters
    ----------
    split
        The test is never seen.
    config
        The model's config, with the options above.
    draft
        The artifact that is being written.
    """
    options = read_options(config, Options)
    features = config.asked_features
    encoder = Encoder.fit(features, split.train.columns)
    matrix = encoder.encode(split.train.columns)
    drawn = _draw(matrix, seed=config.training.seed)
    counts = [len(encoder.levels[encoder.names[c]]) for c in encoder.categorical]
    usual = _usual(drawn, encoder)
    context = fit_context(drawn, categories=encoder.categorical, counts=counts)
    whole = usual.filled(drawn)
    forest = export_forest(_grow(whole, options, seed=config.training.seed))
    grid = np.quantile(Forest(forest).score(whole), np.linspace(0, 1, _FOREST_GRID))
    learned = _Learned(encoder, usual, context, forest, grid)
    trees, base = _labelled_trees(learned, split.train, options, seed=config.training.seed)
    kind = "levels" if encoder.categorical else "numbers"
    weights = [
        given if given >= 0 else default
        for given, default in zip(
            (options.forest_weight, options.context_weight), _WEIGHTS[kind], strict=True
        )
    ]
    later = split.calibration if len(split.calibration) else split.train
    known = later.take(~(later.target == 1.0))  # what is known to be wrong is not usual
    evidence = learned.evidence(encoder.encode(known.columns), weights, trees, base)
    if trees is not None:
        draft.write_text("trees.txt", trees.model_to_string())
    _write(draft, learned, evidence, weights, options, is_labelled=trees is not None, base=base)


@dataclass(frozen=True)
class _Learned:
    """What was learned of the records."""

    encoder: Encoder
    usual: Usual
    context: Context
    forest: str
    grid: FloatArray

    @cached_property
    def _forest_share(self) -> ForestShare:
        return ForestShare(Forest(self.forest), self.grid)

    def share(self, matrix: FloatArray) -> FloatArray:
        """Share of training records with a higher forest score."""
        return self._forest_share.of(self.usual.filled(matrix))

    def inputs(self, matrix: FloatArray) -> FloatArray:
        """What the trees that learn from labels read."""
        return np.concatenate(
            [matrix, -np.log(self.share(matrix))[:, None], self.context.evidence(matrix)], axis=1
        )

    def evidence(
        self, matrix: FloatArray, weights: list[float], trees: lgb.Booster | None, base: float
    ) -> FloatArray:
        """The same evidence that the predictor gives."""
        if trees is not None:
            raw = np.asarray(trees.predict(self.inputs(matrix), raw_score=True, num_threads=1))
            return np.logaddexp(0.0, raw - base)
        strength = self.context.strength(matrix)
        evidence: FloatArray = weights[1] * strength - weights[0] * np.log(self.share(matrix))
        return evidence


def _draw(matrix: FloatArray, *, seed: int) -> FloatArray:
    """Draw as many rows as are needed to know what is usual."""
    if len(matrix) <= _MOST_ROWS:
        return matrix
    rows = np.random.default_rng(seed).choice(len(matrix), _MOST_ROWS, replace=False)
    return matrix[np.sort(rows)]


def _usual(matrix: FloatArray, encoder: Encoder) -> Usual:
    """Give what stands for a null, how frequent levels are, and what nine in ten hold."""
    known = [column[~np.isnan(column)] for column in matrix.T]
    fill = np.array([float(np.median(values)) if len(values) else 0.0 for values in known])
    low, high = fill.copy(), fill.copy()
    most = max((len(levels) for levels in encoder.levels.values()), default=0)
    frequency = np.zeros((len(encoder.categorical), most + 1))
    for j, values in enumerate(known):
        if j in encoder.categorical:
            codes = values.astype(np.int64)
            met = np.bincount(codes, minlength=most).astype(np.float64) / max(len(codes), 1)
            # The last place is that of a null or an unknown level: as frequent as the median row's.
            middle = float(np.median(met[codes])) if len(codes) else 0.0
            frequency[encoder.categorical.index(j)] = [*met, middle]
        elif len(values):
            low[j], high[j] = np.quantile(values, (0.05, 0.95))
    categories = np.array(encoder.categorical, dtype=np.int64)
    return Usual(categories, fill, frequency, low, high)


def _grow(whole: FloatArray, options: Options, *, seed: int) -> IsolationForest:
    return IsolationForest(
        n_estimators=options.trees, random_state=seed, n_jobs=options.threads
    ).fit(whole)


def _labelled_trees(
    learned: _Learned, frame: Frame, options: Options, *, seed: int
) -> tuple[lgb.Booster | None, float]:
    """Let small trees learn from labels, where there are enough; with the log-odds of the share."""
    known = ~np.isnan(frame.target)
    wrong = int(np.count_nonzero(frame.target[known] == 1.0))
    if wrong < _LEAST_OF_A_CLASS or known.sum() - wrong < _LEAST_OF_A_CLASS:
        return None, 0.0
    rows = frame.take(known)
    data = lgb.Dataset(
        learned.inputs(learned.encoder.encode(rows.columns)), rows.target, free_raw_data=True
    )
    parameters: dict[str, Any] = {
        "objective": "binary", "num_leaves": 8, "learning_rate": 0.05, "min_data_in_leaf": 10,
        "lambda_l2": 5.0, "verbosity": -1, "seed": seed, "deterministic": True,
        "force_row_wise": True, "num_threads": options.threads,
    }  # fmt: skip
    booster = lgb.train(parameters, data, 200)
    return booster, float(np.log(wrong / (known.sum() - wrong)))


def _write(
    draft: Draft,
    learned: _Learned,
    evidence: FloatArray,
    weights: list[float],
    options: Options,
    *,
    is_labelled: bool,
    base: float,
) -> None:
    """Write what the predictor reads."""
    encoder = learned.encoder
    top = float(np.quantile(evidence, _CORE))
    beyond = evidence[evidence > top] - top
    middle = float(np.quantile(evidence, 0.5))
    # The core's own fall guards a tail made of few, or of anomalies.
    core = (top - middle) / np.log(0.5 / (1 - _CORE))
    tail = max(min(float(beyond.mean()) if len(beyond) else core, 3 * core), 1e-3)
    grid = np.quantile(evidence, np.linspace(0, _CORE, _EVIDENCE_GRID))
    draft.write_json(ENCODER, encoder.to_json())
    draft.write_text("forest.txt", learned.forest)
    draft.write_arrays("context.npz", **learned.context.to_arrays())
    draft.write_arrays(
        "usual.npz", **learned.usual.to_arrays(), forest_grid=learned.grid, evidence_grid=grid,
        tail=np.array([tail]),
    )  # fmt: skip
    facts = {
        "false_alarm_rate": options.false_alarm_rate, "forest_weight": weights[0],
        "context_weight": weights[1], "is_labelled": is_labelled, "base_log_odds": base,
        "core_share": _CORE, "levels": _shown_levels(encoder, learned.usual.frequency),
    }  # fmt: skip
    draft.write_json("mixture.json", facts)


def _shown_levels(encoder: Encoder, frequency: FloatArray) -> dict[str, list[str]]:
    """Name the most frequent levels of each category."""
    shown = {}
    for share, column in zip(frequency, encoder.categorical, strict=True):
        name = encoder.names[column]
        levels = encoder.levels[name]
        order = np.argsort(-share[: len(levels)], kind="stable")[:_SHOWN_LEVELS]
        shown[name] = [levels[i] for i in order if share[i] >= _LEAST_LEVEL_SHARE] or [
            levels[order[0]]
        ]
    return shown
