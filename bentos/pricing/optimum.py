"""Finds the best price on the served curve."""

from __future__ import annotations

import numpy as np

from bentos.pricing.curve import Curves
from bentos.pricing.task import Objective
from core.encoding import FloatArray

GRID = 65
FINER = 17
REFINEMENTS = 3
_BLOCK_ROWS = 2048


def best_prices(
    curves: Curves, cost: FloatArray, low: FloatArray, high: FloatArray, objective: Objective
) -> FloatArray:
    """Give the price of each row at which the objective is largest.

    A grid in the logarithm of the price finds the hill, so that a lower one does not catch the
    search; finer grids between its neighbours climb it. After three of them the price is exact to
    the range over ``64 * 8 ** 3``, where a hill is flat.

    Parameters
    ----------
    curves
        Of ``n`` rows.
    cost, low, high
        Shape ``(n,)``; ``low <= high``.
    objective
        What is to be large.

    Returns
    -------
    ndarray of shape (n,)
        Between ``low`` and ``high``.
    """
    if objective == "volume":  # the response falls in price everywhere
        return low.copy()
    blocks = [slice(i, i + _BLOCK_ROWS) for i in range(0, len(low), _BLOCK_ROWS)]
    found = [_climb(curves.take(b), cost[b], low[b], high[b], objective) for b in blocks]
    return np.concatenate(found) if found else low.copy()


def _climb(
    curves: Curves, cost: FloatArray, low: FloatArray, high: FloatArray, objective: Objective
) -> FloatArray:
    left, right = np.log(low), np.log(high)
    rows = np.arange(len(low))
    best = low
    for step in range(REFINEMENTS + 1):
        shares = np.linspace(0.0, 1.0, FINER if step else GRID)
        grid = left[:, None] + (right - left)[:, None] * shares
        prices = np.minimum(np.maximum(np.exp(grid), low[:, None]), high[:, None])
        gain = prices if objective == "revenue" else prices - cost[:, None]
        top = (gain * curves.response(prices)).argmax(axis=1)
        best = np.asarray(prices[rows, top], dtype=np.float64)
        left = grid[rows, np.maximum(top - 1, 0)]
        right = grid[rows, np.minimum(top + 1, grid.shape[1] - 1)]
    return best
