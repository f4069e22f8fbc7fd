"""Trains ``churn``: trees and a spline logit, blended and calibrated out of fold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import lightgbm
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from scipy.optimize import minimize
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from bentos.predictor import ENCODER
from core.artifact import Draft
from core.config import ModelConfig
from core.encoding import Encoder, FloatArray, ObjectArray
from core.errors import TrainingRefused
from training.frame import Frame
from training.options import RecipeOptions, read_options
from training.recipes.churn_figures import figures
from training.recipes.churn_spline import fit_spline
from training.split import Split

__all__ = ["evaluate", "figures", "fit", "losses"]

Outputs = Mapping[str, npt.NDArray[Any]]
_LEAST_OF_A_CLASS = 10
_SMALL, _LARGE = 5_000, 100_000
_STRENGTHS = (0.003, 0.03, 0.3)
_SHARES = np.linspace(0, 1, 11)
_BINS = 10
_EARLY_STOPPING = 60


class Options(RecipeOptions):
    """What ``training.options`` of the config may set.

    Parameters
    ----------
    medium_from, high_from
        Probabilities from which the risk band is medium and high.
    learning_rate, most_trees, leaf_rows, leaf_penalty
        Of the trees; how many leaves they have is chosen by cross-validation, and whether a tenth
        of the penalty does better.
    threads
        Cores that LightGBM may use.
    """

    medium_from: float = Field(default=0.15, gt=0, lt=1)
    high_from: float = Field(default=0.35, gt=0, lt=1)
    learning_rate: float = Field(default=0.03, gt=0, le=1)
    most_trees: int = Field(default=2000, ge=1)
    leaf_rows: int = Field(default=20, ge=1)
    leaf_penalty: float = Field(default=10.0, ge=0)
    threads: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _bands_rise(self) -> Self:
        if self.medium_from >= self.high_from:
            raise ValueError("medium_from must be less than high_from")
        return self


@dataclass(frozen=True)
class Table:
    """What is fitted: encoded rows, labels, and the fold of each row."""

    matrix: FloatArray
    target: FloatArray
    fold: npt.NDArray[np.int64]
    folds: int
    encoder: Encoder
    monotone: tuple[int, ...]


@dataclass(frozen=True)
class Trees:
    """One booster a fold, and what each says of the rows it did not see."""

    boosters: list[lightgbm.Booster]
    out_of_fold: FloatArray


def fit(split: Split, config: ModelConfig, draft: Draft) -> None:
    """Fit on train and calibration together; every choice is made out of fold.

    Rows of one entity share a fold. The boosters of the folds are kept and averaged, so that the
    rows which stopped a booster early taught the others.

    Parameters
    ----------
    split
        The parts; the test is not looked at.
    config
        The model's config.
    draft
        Where the model's files are written.

    Raises
    ------
    ConfigError
        An option is unknown or wrong.
    TrainingRefused
        A class has too few rows to learn from.
    """
    options = read_options(config, Options)
    table = _table(split, config)
    scored = _scored_rows(table)
    trees = _choose_trees(table, options, config)
    strength, spline_odds = _choose_strength(table)
    spline = fit_spline(table.matrix, table.target, table.encoder, strength=strength)
    target = table.target[scored]
    share, odds = _choose_share(target, trees.out_of_fold[scored], spline_odds[scored])
    shift, slope = _choose_calibration(target, odds)
    for number, booster in enumerate(trees.boosters):
        draft.write_text(f"trees_{number}.txt", booster.model_to_string())
    draft.write_arrays("spline.npz", **spline.to_arrays())
    draft.write_json(ENCODER, table.encoder.to_json())
    draft.write_json(
        "blend.json",
        {
            "trees": len(trees.boosters),
            "trees_share": share,
            "shift": shift,
            "slope": slope,
            "spline_strength": strength,
            "medium_from": options.medium_from,
            "high_from": options.high_from,
        },
    )


def evaluate(outputs: Outputs, frame: Frame) -> dict[str, float]:
    """Measure probabilities on labelled rows.

    Returns
    -------
    dict
        ``auc_score`` and ``pr_auc_score`` (0 to 1), ``lift_at_10_score`` (share of leavers in the
        riskiest tenth over the share in all), ``brier_error``, ``log_loss_error`` and
        ``ece_error`` (ten bins of equal count), ``mean_ratio`` (expected over true leavers).
    """
    known = ~np.isnan(frame.target)
    target, chance = frame.target[known], outputs["probability"][known].astype(np.float64)
    one_class = len(np.unique(target)) < 2  # noqa: PLR2004 - two classes
    top = np.argsort(-chance, kind="stable")[: max(1, len(chance) // 10)]
    rate = target.mean()
    return {
        "auc_score": np.nan if one_class else float(roc_auc_score(target, chance)),
        "pr_auc_score": np.nan if one_class else float(average_precision_score(target, chance)),
        "lift_at_10_score": float(target[top].mean() / rate) if rate else np.nan,
        "brier_error": float(brier_score_loss(target, chance)),
        "log_loss_error": float(log_loss(target, chance, labels=[0, 1])),
        "ece_error": calibration_error(target, chance),
        "mean_ratio": float(chance.sum() / target.sum()) if rate else np.nan,
    }


def losses(outputs: Outputs, frame: Frame) -> FloatArray:
    """Give the log-loss of each labelled row."""
    known = ~np.isnan(frame.target)
    target = frame.target[known]
    chance = np.clip(outputs["probability"][known].astype(np.float64), 1e-12, 1 - 1e-12)
    loss: FloatArray = -(target * np.log(chance) + (1 - target) * np.log(1 - chance))
    return loss


def calibration_error(target: FloatArray, chance: FloatArray, *, bins: int = _BINS) -> float:
    """Expected calibration error over bins of equal count (Naeini et al. 2015); 0 is best."""
    order = np.argsort(chance, kind="stable")
    edges = np.linspace(0, len(order), bins + 1).round().astype(int)
    gaps = 0.0
    for start, stop in pairwise(edges):
        rows = order[start:stop]
        if len(rows):
            gaps += len(rows) * abs(chance[rows].mean() - target[rows].mean())
    return float(gaps / len(order))


def _table(split: Split, config: ModelConfig) -> Table:
    """Put train and calibration together, encode them, and part them into folds by entity."""
    parts = (split.train, split.calibration)
    columns = {
        name: np.concatenate([part.columns[name] for part in parts]) for name in config.features
    }
    target = np.concatenate([part.target for part in parts])
    for value in (0.0, 1.0):
        count = int((target == value).sum())
        if count < _LEAST_OF_A_CLASS:
            raise TrainingRefused(
                config.model,
                f"only {count} training rows have the target {value:g}; at least "
                f"{_LEAST_OF_A_CLASS} are needed. Bring a longer history.",
            )
    encoder = Encoder.fit(config.features, columns)
    entity = np.concatenate([part.entity for part in parts])
    folds = 10 if len(target) <= _SMALL else 5
    monotone = tuple(feature.monotone for feature in config.features.values())
    # A shuffle by the seed: the spline and the trees may then take the first rows of many.
    order = np.random.default_rng(config.training.seed).permutation(len(target))
    fold = _folds(entity, folds)[order]
    return Table(encoder.encode(columns)[order], target[order], fold, folds, encoder, monotone)


def _folds(entity: ObjectArray, folds: int) -> npt.NDArray[np.int64]:
    known = {
        name: int.from_bytes(hashlib.sha256(f"fold:{name}".encode()).digest()[:8]) % folds
        for name in set(entity)
    }
    return np.array([known[name] for name in entity], dtype=np.int64)


def _used_folds(table: Table) -> range:
    """Of many rows two folds tell as much as all, in less time."""
    return range(2 if len(table.target) > _LARGE else table.folds)


def _scored_rows(table: Table) -> npt.NDArray[np.bool_]:
    return np.isin(table.fold, np.array(_used_folds(table)))


def _fit_trees(table: Table, options: Options, config: ModelConfig, *, leaves: int) -> Trees:
    """Fit one booster a fold, each stopped early by the rows of its fold."""
    parameters = {
        "objective": "binary",
        "num_leaves": leaves,
        "learning_rate": options.learning_rate,
        "min_data_in_leaf": options.leaf_rows,
        "lambda_l2": options.leaf_penalty,
        "feature_fraction": 0.6,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "cat_smooth": 20.0,
        "max_bin": 127,
        "seed": config.training.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": options.threads,
        "verbose": -1,
    }
    if any(table.monotone):
        parameters["monotone_constraints"] = list(table.monotone)
    odds = np.zeros(len(table.target))
    boosters = []
    for fold in _used_folds(table):
        held = table.fold == fold
        if not held.any() or len(np.unique(table.target[~held])) < 2:  # noqa: PLR2004
            continue
        booster = _stopped_early(table, held, parameters | {"seed": config.training.seed + fold},
                                 most=options.most_trees)  # fmt: skip
        odds[held] = np.asarray(booster.predict(table.matrix[held], raw_score=True))
        boosters.append(booster)
    return Trees(boosters, odds)


def _choose_trees(table: Table, options: Options, config: ModelConfig) -> Trees:
    """Choose the number of leaves out of fold, then whether a tenth of the penalty does better."""
    if len(table.target) > _LARGE:
        return _fit_trees(table, options, config, leaves=31)
    scored = _scored_rows(table)

    def loss(trees: Trees) -> float:
        return _loss(table.target[scored], trees.out_of_fold[scored])

    tried = {leaves: _fit_trees(table, options, config, leaves=leaves) for leaves in (4, 8, 16)}
    best = min(tried, key=lambda leaves: loss(tried[leaves]))
    softer = options.model_copy(update={"leaf_penalty": options.leaf_penalty / 10})
    return min(tried[best], _fit_trees(table, softer, config, leaves=best), key=loss)


def _stopped_early(
    table: Table, held: npt.NDArray[np.bool_], parameters: dict[str, Any], *, most: int
) -> lightgbm.Booster:
    categorical = list(table.encoder.categorical)
    learn = lightgbm.Dataset(
        table.matrix[~held], table.target[~held], categorical_feature=categorical
    )
    watch = lightgbm.Dataset(table.matrix[held], table.target[held], reference=learn)
    booster = lightgbm.train(
        parameters, learn, num_boost_round=most, valid_sets=[watch],
        callbacks=[lightgbm.early_stopping(_EARLY_STOPPING, verbose=False)],
    )  # fmt: skip
    # Only the trees up to the best round go on.
    return lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))


def _choose_strength(table: Table) -> tuple[float, FloatArray]:
    """Choose the spline's penalty out of fold, and give what it says out of fold."""
    strengths = _STRENGTHS if len(table.target) <= _LARGE else (_STRENGTHS[-1],)
    scored = _scored_rows(table)
    best: tuple[float, float, FloatArray] | None = None
    for strength in strengths:
        odds = np.zeros(len(table.target))
        for fold in _used_folds(table):
            held = table.fold == fold
            if held.any():
                matrix, target = table.matrix[~held], table.target[~held]
                model = fit_spline(matrix, target, table.encoder, strength=strength)
                odds[held] = model.log_odds(table.matrix[held])
        loss = _loss(table.target[scored], odds[scored])
        if best is None or loss < best[0]:
            best = (loss, strength, odds)
    if best is None:
        raise ValueError("no strength was tried")
    return best[1], best[2]


def _choose_share(
    target: FloatArray, trees: FloatArray, spline: FloatArray
) -> tuple[float, FloatArray]:
    """Choose how much the trees count against the spline."""
    share = min(_SHARES, key=lambda s: _loss(target, s * trees + (1 - s) * spline))
    return float(share), share * trees + (1 - share) * spline


def _choose_calibration(target: FloatArray, odds: FloatArray) -> tuple[float, float]:
    """Fit a line on the log-odds (Platt 1999), and take it where it helps out of sample."""

    def line(rows: npt.NDArray[np.bool_]) -> FloatArray:
        def loss(line: FloatArray) -> float:
            return _loss(target[rows], line[0] + line[1] * odds[rows])

        return np.asarray(minimize(loss, np.array([0.0, 1.0]), method="BFGS").x)

    first = np.arange(len(target)) % 2 == 0
    gains = []
    for rows in (first, ~first):
        shift, slope = line(rows)
        lined = _loss(target[~rows], shift + slope * odds[~rows])
        gains.append(_loss(target[~rows], odds[~rows]) - lined)
    if min(gains) <= 0:
        return 0.0, 1.0
    shift, slope = line(np.ones(len(target), dtype=np.bool_))
    return float(shift), float(slope)


def _loss(target: FloatArray, odds: FloatArray) -> float:
    """Mean log-loss from log-odds."""
    return float(np.mean(np.logaddexp(0, odds) - target * odds))
