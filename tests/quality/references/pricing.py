"""What well-known methods reach on the rows of pricing: fitted in the same run, one thread each."""

from dataclasses import dataclass

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression, Ridge

from core.config import ModelConfig
from core.encoding import Encoder
from training.split import Split

Floats = npt.NDArray[np.float64]
MONOTONE, LOG_LOG, LOGIT = "LightGBM, monotone", "log-log regression", "logit"
NO_PRICE = "LightGBM without the price"
_GRID = 25
_BLOCK = 500


@dataclass(frozen=True)
class Rows:
    """Encoded rows to learn from and of the test, without history's own columns.

    Parameters
    ----------
    learn, test
        Shapes ``(n, p)`` and ``(m, p)``.
    target
        Shape ``(n,)``: 1 or 0, or the logarithm of the volume.
    price, cost
        Places of the price (for wins over the cost) and, where there is one, of the cost.
    levels
        Places of the categories.
    is_win
        What the target is.
    """

    learn: Floats
    test: Floats
    target: Floats
    price: int
    cost: int | None
    levels: tuple[int, ...]
    is_win: bool


def rows_of(split: Split, config: ModelConfig) -> Rows:
    """Give the very rows that ours learned from and answers, as plain numbers."""
    parts = (split.train, split.calibration)
    learn = {n: np.concatenate([part.columns[n] for part in parts]) for n in config.asked_features}
    encoder = Encoder.fit(config.asked_features, learn)
    target = np.concatenate([part.target for part in parts])
    is_win = config.training.options["response"] == "win"
    cost = config.role("cost")
    known, asked = encoder.encode(learn), encoder.encode(split.test.columns)
    if is_win and cost:
        # Trees cannot divide: a chance to win needs the price over the cost.
        place = encoder.names.index(config.role("price")[0])
        for matrix in (known, asked):
            matrix[:, place] /= matrix[:, encoder.names.index(cost[0])]
    return Rows(
        learn=known,
        test=asked,
        target=target if is_win else np.log(target),
        price=encoder.names.index(config.role("price")[0]),
        cost=encoder.names.index(cost[0]) if cost else None,
        levels=encoder.categorical,
        is_win=is_win,
    )


def trees(rows: Rows, *, with_price: bool = True) -> lightgbm.Booster:
    """Fit LightGBM that falls in price, as many rounds as the last fifth of the rows asks for."""
    signs = [0] * rows.learn.shape[1]
    signs[rows.price] = -1
    matrix = rows.learn.copy()
    if not with_price:
        matrix[:, rows.price] = 0.0
    settings = {
        "objective": "binary" if rows.is_win else "regression", "learning_rate": 0.05,
        "num_leaves": 15 if rows.is_win else 31, "min_data_in_leaf": 40, "lambda_l2": 5.0,
        "feature_fraction": 0.8, "monotone_constraints": signs,
        "monotone_constraints_method": "advanced", "num_threads": 1, "verbose": -1, "seed": 1,
    }  # fmt: skip
    late = np.arange(len(matrix)) >= 0.8 * len(matrix)
    plain = {"categorical_feature": list(rows.levels)}
    early = lightgbm.Dataset(matrix[~late], rows.target[~late], **plain)
    held = lightgbm.Dataset(matrix[late], rows.target[late], reference=early)
    stop = lightgbm.early_stopping(40, verbose=False)
    first = lightgbm.train(settings, early, 800, valid_sets=[held], callbacks=[stop])
    data = lightgbm.Dataset(matrix, rows.target, **plain)
    return lightgbm.train(settings, data, max(first.best_iteration, 1))


def regression(rows: Rows) -> Floats:
    """Fit the logarithm of the volume, or the log-odds, on that of every positive number.

    Returns
    -------
    ndarray of shape (m,)
        The logarithm of the volume, or the chance.
    """
    learn, test = (_design(rows, matrix) for matrix in (rows.learn, rows.test))
    middle, spread = learn.mean(axis=0), learn.std(axis=0) + 1e-12
    learn, test = (learn - middle) / spread, (test - middle) / spread
    if rows.is_win:
        model = LogisticRegression(max_iter=2000).fit(learn, rows.target)
        return np.asarray(model.predict_proba(test)[:, 1], dtype=np.float64)
    return np.asarray(Ridge(1.0).fit(learn, rows.target).predict(test), dtype=np.float64)


def _design(rows: Rows, matrix: Floats) -> Floats:
    columns: list[Floats] = []
    for place in range(matrix.shape[1]):
        values = matrix[:, place]
        if place in rows.levels:
            codes = np.nan_to_num(values, nan=-1.0)
            known = np.unique(rows.learn[:, place])
            columns.extend((codes == code).astype(np.float64) for code in known[~np.isnan(known)])
        else:
            least = float(np.nanmin(rows.learn[:, place]))
            held = np.log(np.maximum(values, least)) if least > 0 else np.nan_to_num(values)
            columns.append(held)
    return np.column_stack(columns)


def best_prices(
    booster: lightgbm.Booster, rows: Rows, low: Floats, high: Floats
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Give the price of each test row at which the trees promise the most profit.

    Parameters
    ----------
    booster
        Trees of ``rows``.
    rows
        The rows.
    low, high
        Shape ``(m,)``: the prices to choose from.

    Returns
    -------
    price : ndarray of shape (m,)
    is_at_edge : ndarray of shape (m,)
        Whether it is the lowest or the highest.
    """
    best, edge = np.empty(len(low)), np.empty(len(low), dtype=np.bool_)
    shares = np.linspace(0.0, 1.0, _GRID)
    for start in range(0, len(low), _BLOCK):
        part = slice(start, start + _BLOCK)
        grid = low[part, None] * (high[part] / low[part])[:, None] ** shares
        asked = np.repeat(rows.test[part], _GRID, axis=0)
        cost = rows.test[part, rows.cost] if rows.cost is not None else np.zeros(len(grid))
        unit = cost[:, None] if rows.is_win and rows.cost is not None else 1.0
        asked[:, rows.price] = (grid / unit).ravel()
        said = np.asarray(booster.predict(asked), dtype=np.float64).reshape(grid.shape)
        response = said if rows.is_win else np.exp(said)
        top = ((grid - cost[:, None]) * response).argmax(axis=1)
        best[part] = grid[np.arange(len(grid)), top]
        edge[part] = (top == 0) | (top == _GRID - 1)
    return best, edge
