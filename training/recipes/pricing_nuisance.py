"""What context alone says of price and outcome, predicted for rows that were not learned from."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray

FOLDS = 5
IntArray = npt.NDArray[np.int64]
_ROUNDS = 400
_PATIENCE = 20
_SHARE_STOPPED_ON = 5


def folds_of(groups: npt.NDArray[np.object_], *, seed: int) -> IntArray:
    """Deal rows into folds, the rows of one group together where there are groups enough.

    Parameters
    ----------
    groups
        Shape ``(n,)``: whom a row is about.
    seed
        Of the deal.

    Returns
    -------
    ndarray of shape (n,)
        0 to ``FOLDS - 1``.
    """
    draw = np.random.default_rng(seed)
    _, codes = np.unique(groups.astype(str), return_inverse=True)
    count = int(codes.max()) + 1
    if count < 4 * FOLDS:
        return draw.permutation(len(groups)) % FOLDS
    return np.asarray((draw.permutation(count) % FOLDS)[codes], dtype=np.int64)


def out_of_fold(
    matrix: FloatArray,
    outcome: FloatArray,
    folds: IntArray,
    *,
    categorical: tuple[int, ...],
    seed: int,
) -> FloatArray:
    """Predict each row by trees that did not see its fold: cross-fitting.

    Chernozhukov, Chetverikov, Demirer, Duflo, Hansen, Newey & Robins (2018), "Double/debiased
    machine learning": what is learned from a row must not stand in its own residual.

    Parameters
    ----------
    matrix
        Shape ``(n, p)``.
    outcome
        Shape ``(n,)``.
    folds
        Shape ``(n,)``.
    categorical
        Positions of the categories.
    seed
        Of the trees.

    Returns
    -------
    ndarray of shape (n,)
    """
    predicted = np.empty(len(outcome))
    rounds = None
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if not len(outside):
            continue
        if rounds is None:
            rounds = _rounds(matrix[inside], outcome[inside], categorical, seed)
        trees = _grow(matrix[inside], outcome[inside], categorical, seed, rounds)
        predicted[outside] = trees.predict(matrix[outside], num_threads=1)
    return predicted


def _parameters(rows: int, seed: int) -> dict[str, object]:
    return {
        "objective": "regression", "learning_rate": 0.08, "num_leaves": 31,
        "min_data_in_leaf": int(np.clip(rows // 400, 10, 40)), "lambda_l2": 1.0,
        "feature_fraction": 0.8, "max_cat_to_onehot": 8, "cat_smooth": 10.0, "verbosity": -1,
        "num_threads": 1, "seed": seed, "deterministic": True, "force_row_wise": True,
    }  # fmt: skip


def _rounds(
    matrix: FloatArray, outcome: FloatArray, categorical: tuple[int, ...], seed: int
) -> int:
    """Stop early on every fifth row."""
    late = np.arange(len(outcome)) % _SHARE_STOPPED_ON == 0
    late = np.random.default_rng(seed).permutation(late)
    train = lgb.Dataset(matrix[~late], outcome[~late], categorical_feature=list(categorical))
    trees = lgb.train(
        _parameters(int((~late).sum()), seed), train, _ROUNDS,
        valid_sets=[lgb.Dataset(matrix[late], outcome[late], reference=train)],
        callbacks=[lgb.early_stopping(_PATIENCE, verbose=False)],
    )  # fmt: skip
    return max(int(trees.best_iteration), 1)


def _grow(
    matrix: FloatArray, outcome: FloatArray, categorical: tuple[int, ...], seed: int, rounds: int
) -> lgb.Booster:
    data = lgb.Dataset(matrix, outcome, categorical_feature=list(categorical))
    return lgb.train(_parameters(len(outcome), seed), data, rounds)
