"""The trees of the leak model: they start from the sum's log-odds and add what it leaves over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray
from training.recipes.revenue_sum import IntArray

# With so many labelled rows one fold tells the number of trees as well as five do.
ONE_FOLD_ROWS = 200_000
PATIENCE_TREES = 50


@dataclass(frozen=True)
class TreeOptions:
    """How the trees grow; few leaves and a strong penalty, since the sum went first."""

    leaves: int
    learning_rate: float
    most_trees: int
    leaf_rows: int
    leaf_penalty: float
    threads: int
    seed: int

    def parameters(self) -> dict[str, object]:
        """LightGBM's parameters; the same data and seed give the same bytes."""
        return {
            "objective": "binary",
            "boost_from_average": False,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.leaf_rows,
            "lambda_l2": self.leaf_penalty,
            "feature_fraction": 0.6,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "cat_smooth": 20.0,
            "cat_l2": 10.0,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.threads,
            "seed": self.seed,
            "verbose": -1,
        }


def fit_trees(
    features: FloatArray,
    *,
    target: FloatArray,
    start: FloatArray,
    folds: IntArray,
    names: Sequence[str],
    categories: Sequence[str],
    options: TreeOptions,
) -> tuple[str, FloatArray, npt.NDArray[np.bool_]]:
    """Grow trees; their number is found across folds, then all rows grow them once more.

    Parameters
    ----------
    features
        Shape ``(n, p)``, NaN for missing.
    target
        0 or 1, shape ``(n,)``.
    start
        Out-of-fold log-odds of the sum, shape ``(n,)``.
    folds
        Fold of each row, shape ``(n,)``.
    names, categories
        Of the features, and of those among them that are codes.
    options
        How they grow.

    Returns
    -------
    str
        The model in LightGBM's text format; it gives log-odds to add to the sum's.
    ndarray of shape (n,)
        Log-odds of sum and trees, out of fold.
    ndarray of shape (n,)
        Which rows have such log-odds: all but on very large tables.
    """
    data = lgb.Dataset(
        features,
        target,
        init_score=start,
        feature_name=list(names),
        categorical_feature=list(categories),
        params=options.parameters(),
        free_raw_data=False,
    )
    margin, judged = start.copy(), np.zeros(len(target), dtype=bool)
    rounds: list[int] = []
    for fold in range(1 if len(target) > ONE_FOLD_ROWS else int(folds.max()) + 1):
        held = folds == fold
        booster = lgb.train(
            options.parameters(),
            data.subset(np.flatnonzero(~held)),
            options.most_trees,
            valid_sets=[data.subset(np.flatnonzero(held))],
            callbacks=[lgb.early_stopping(PATIENCE_TREES, verbose=False)],
        )
        rounds.append(booster.best_iteration)
        margin[held] += booster.predict(features[held], raw_score=True)
        judged |= held
    count = max(1, round(float(np.mean(rounds))))
    whole = lgb.train(options.parameters(), data, count)
    return whole.model_to_string(), margin, judged
