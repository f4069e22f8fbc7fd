"""Trees that add what lines of the context cannot say; they never see the price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np

from bentos.pricing.design import IntArray
from core.encoding import FloatArray
from training.recipes.pricing_curve import Fit, Rows, height_of
from training.recipes.pricing_nuisance import FOLDS
from training.recipes.pricing_table import Table

MOST_ROUNDS = 300


@dataclass(frozen=True)
class Remainder:
    """What trees add to ``eta``.

    Parameters
    ----------
    trees
        Nothing where they helped no row that they had not seen.
    rounds
        How many trees.
    gaps
        Shape ``(n,)``: what is left of the outcomes of volume out of fold; empty for wins.
    """

    trees: lgb.Booster | None
    rounds: int
    gaps: FloatArray


@dataclass(frozen=True)
class _Fold:
    """What was learned from the other folds.

    Parameters
    ----------
    rows
        Positions of the fold's own rows.
    eta
        Shape ``(n,)``: their curve, without trees.
    trees
        Nothing where there is no context.
    losses
        Mean loss of the rows after 0, 1, 2 and more trees.
    """

    rows: IntArray
    eta: FloatArray
    trees: lgb.Booster | None
    losses: FloatArray

    def eta_with(self, rows: Rows, count: int) -> FloatArray:
        """Give the curve of the fold's rows with so many trees."""
        if self.trees is None or not count:
            return self.eta
        matrix = np.ascontiguousarray(rows.table.matrix[self.rows][:, rows.inputs])
        more = self.trees.predict(matrix, raw_score=True, num_iteration=count, num_threads=1)
        return np.asarray(self.eta + more)


def fit_remainder(rows: Rows, fit: Fit, *, binary: bool) -> Remainder:
    """Fit trees on what the curve leaves over.

    Their number is chosen on folds that were not learned from: blocks of time where the rows have
    times, since the future is what is asked about. Trees stay out unless they lower the loss by
    more than its own standard error.

    Parameters
    ----------
    rows
        The training rows.
    fit
        Their curve.
    binary
        Whether outcomes are wins.
    """
    folds = _blocks(rows.table, rows.folds)
    tried = [
        _try(rows, fit, np.flatnonzero(folds != fold), np.flatnonzero(folds == fold), binary=binary)
        for fold in np.unique(folds)
    ]
    sizes = np.array([len(fold.rows) for fold in tried], dtype=np.float64)
    best = int((np.array([fold.losses for fold in tried]).T @ sizes).argmin())
    order = np.concatenate([fold.rows for fold in tried])
    outcome = rows.table.outcome[order]
    plain = np.concatenate([fold.eta for fold in tried])
    grown = np.concatenate([fold.eta_with(rows, best) for fold in tried])
    gain = _loss(plain, outcome, binary=binary) - _loss(grown, outcome, binary=binary)
    if gain.mean() <= gain.std() / np.sqrt(len(gain)):
        best, grown = 0, plain
    gaps = np.empty(0 if binary else len(outcome))
    if not binary:
        gaps[order] = outcome - grown
    if not best:
        return Remainder(None, 0, gaps)
    everywhere = np.arange(len(rows.table))
    data = _dataset(rows, everywhere, fit.offset, binary=binary)
    trees = lgb.train(_parameters(len(everywhere), rows.seed, binary=binary), data, best)
    return Remainder(trees, best, gaps)


def _blocks(table: Table, folds: IntArray) -> IntArray:
    """Give folds of time where there are times enough, else the folds there are."""
    if table.as_of is None:
        return folds
    times, places = np.unique(table.as_of, return_inverse=True)
    if len(times) < 2 * FOLDS:
        return folds
    before = np.cumsum(np.bincount(places)) - np.bincount(places)
    return np.asarray((before[places] * FOLDS) // len(places), dtype=np.int64)


def _try(rows: Rows, fit: Fit, inside: IntArray, outside: IntArray, *, binary: bool) -> _Fold:
    """Learn from the rows inside and measure on those outside."""
    offset = fit.offset
    if not binary:
        # A height of many levels would fit the rows it is measured on.
        own = height_of(rows, rows.table.outcome - fit.fall, inside, inflation=fit.inflation)
        offset = rows.columns @ own.mode + fit.fall
    eta = offset[outside]
    start = float(_loss(eta, rows.table.outcome[outside], binary=binary).mean())
    if not len(rows.inputs):
        return _Fold(outside, eta, None, np.array([start]))
    train = _dataset(rows, inside, offset, binary=binary)
    held = _dataset(rows, outside, offset, binary=binary, reference=train)
    told: dict[str, dict[str, list[float]]] = {}
    trees = lgb.train(
        _parameters(len(inside), rows.seed, binary=binary), train, MOST_ROUNDS,
        valid_sets=[held], valid_names=["held"], callbacks=[lgb.record_evaluation(told)],
    )  # fmt: skip
    [losses] = told["held"].values()
    return _Fold(outside, eta, trees, np.array([start, *losses]))


def _loss(eta: FloatArray, outcome: FloatArray, *, binary: bool) -> FloatArray:
    """Give the loss of each row: the log-loss, or the squared error."""
    return np.asarray(np.logaddexp(0.0, eta) - outcome * eta if binary else (outcome - eta) ** 2)


def _dataset(
    rows: Rows, chosen: IntArray, offset: FloatArray, *, binary: bool,
    reference: lgb.Dataset | None = None,
) -> lgb.Dataset:  # fmt: skip
    outcome, start = rows.table.outcome[chosen], offset[chosen]
    return lgb.Dataset(
        np.ascontiguousarray(rows.table.matrix[chosen][:, rows.inputs]),
        outcome if binary else outcome - start,
        init_score=start if binary else np.zeros(len(start)),
        categorical_feature=list(rows.categorical), reference=reference,
    )  # fmt: skip


def _parameters(rows: int, seed: int, *, binary: bool) -> dict[str, Any]:
    # For volume splits at random places (Geurts, Ernst & Wehenkel 2006) smooth steps away: the
    # squared error on later weeks of the orange juice fell by a tenth. Wins are noisy: larger
    # leaves, which kept the log-loss on the ketchup .01 below that of random splits.
    least = np.clip(rows // 200, 30, 200) if binary else np.clip(rows // 400, 5, 40)
    own = {
        "objective": "binary" if binary else "regression", "extra_trees": not binary,
        "learning_rate": 0.05 if binary else 0.08, "num_leaves": 15 if binary else 31,
        "min_data_in_leaf": int(least), "lambda_l2": 10.0 if binary else 5.0,
    }  # fmt: skip
    return own | {
        "feature_fraction": 0.8 if binary else 0.6, "boost_from_average": False,
        "cat_smooth": 10.0, "verbosity": -1, "num_threads": 1, "seed": seed,
        "deterministic": True, "force_row_wise": True,
    }  # fmt: skip
