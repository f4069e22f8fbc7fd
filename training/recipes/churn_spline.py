"""Fits the spline logit of ``churn``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from bentos.churn.spline import Basis, SplineLogit
from core.encoding import Encoder, FloatArray

_KNOT_SHARES = (0.05, 0.275, 0.5, 0.725, 0.95)  # Harrell (2001), table 2.3, five knots
_LEAST_DIFFERENT = 8
_MOST_LEVELS = 200
# A wide matrix of terms is heavy, and effects of one column are settled by far fewer rows.
MOST_ROWS = 100_000


def fit_spline(
    matrix: FloatArray, target: FloatArray, encoder: Encoder, *, strength: float
) -> SplineLogit:
    """Fit a ridge-penalised logit of splines and levels.

    Parameters
    ----------
    matrix
        Shape ``(n, p)``, encoded.
    target
        Shape ``(n,)``, 0 or 1.
    encoder
        Tells which columns are categories.
    strength
        Inverse of the penalty: larger bends more.
    """
    matrix, target = matrix[:MOST_ROWS], target[:MOST_ROWS]
    basis = _learn_basis(matrix, encoder)
    terms = basis.terms(matrix)
    count, numbers, width = terms.shape
    tables = _level_sizes(encoder)
    dummies = [_dummies(matrix[:, column], size) for column, size in tables.items()]
    wide = np.hstack([terms.reshape(count, numbers * width), *dummies])
    model = LogisticRegression(C=strength, max_iter=500, tol=1e-5).fit(wide, target)
    flat = model.coef_[0]
    weights = flat[: numbers * width].reshape(numbers, width)
    rest = flat[numbers * width :]
    levels, start = {}, 0
    for column, size in tables.items():
        levels[column] = rest[start : start + size + 1].copy()
        start += size + 1
    raw = SplineLogit(basis, weights, levels, 0.0, np.zeros(matrix.shape[1]))
    means = raw.effects(matrix).mean(axis=0)
    intercept = float(model.intercept_[0] + means.sum())
    return SplineLogit(basis, weights, levels, intercept, means)


def _learn_basis(matrix: FloatArray, encoder: Encoder) -> Basis:
    positions = np.array(
        [i for i in range(matrix.shape[1]) if i not in encoder.categorical], dtype=np.int64
    )
    center, scale = np.zeros(len(positions)), np.ones(len(positions))
    knots = np.full((len(positions), len(_KNOT_SHARES)), np.inf)
    for place, position in enumerate(positions):
        values = matrix[:, position]
        values = values[~np.isnan(values)]
        if not values.size:
            continue
        center[place] = values.mean()
        scale[place] = values.std() or 1.0
        found = np.quantile((values - center[place]) / scale[place], _KNOT_SHARES)
        if len(np.unique(values)) >= _LEAST_DIFFERENT and len(np.unique(found)) == len(found):
            knots[place] = found
    return Basis(positions, center, scale, knots)


def _level_sizes(encoder: Encoder) -> dict[int, int]:
    sizes = {i: len(encoder.levels[encoder.names[i]]) for i in encoder.categorical}
    return {column: size for column, size in sizes.items() if size <= _MOST_LEVELS}


def _dummies(codes: FloatArray, size: int) -> npt.NDArray[np.float64]:
    known = np.where(np.isnan(codes), size, codes).astype(np.int64)
    return np.eye(size + 1)[known]
