"""Judges the points of a series, each by the points before it alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from core.encoding import FloatArray

_CYCLES = 6  # seasons that a place of the season is expected from
_LEVEL = 9  # points whose median is the level, where there is no season
_SPREAD = 200  # residuals whose spread is the usual one
_LEAST_SPREAD = 20
_RUN = 7  # points over which a run of restless, or of lifeless, points is seen
_MAD = 1.4826
_CORE = 0.9
_TINY = 1e-9


@dataclass(frozen=True)
class Judged:
    """Every point of a series, each array of shape ``(n,)``; NaN where too little lies before.

    Parameters
    ----------
    expected
        What the points before let expect.
    spread
        Usual size of what is left.
    surprise
        Evidence against the point: 0 up.
    p_value
        Share of the points before that were as surprising, with a fitted tail.
    """

    expected: FloatArray
    spread: FloatArray
    surprise: FloatArray
    p_value: FloatArray


def judge(values: FloatArray, *, season: int) -> Judged:
    """Judge every point by those before it.

    A point is expected to be the level of the last season plus what was usual at its place in the
    seasons before, by medians. Surprising are a residual far beyond the usual spread, and a run of
    points that is much more restless, or much more lifeless, than usual.

    Parameters
    ----------
    values
        Shape ``(n,)``, finite.
    season
        Steps of a season; 1 for none.
    """
    expected = _expected(values, season)
    residual = values - expected
    spread = _rolling_spread(residual, values)
    size = np.abs(residual) / spread
    surprise = np.fmax(size, _restless(size))
    surprise = np.fmax(surprise, _lifeless(values, spread))
    return Judged(expected, spread, surprise, _p_values(surprise))


def _expected(values: FloatArray, season: int) -> FloatArray:
    """Give the level before each point plus the season's usual deviation there."""
    width = season if season > 1 else _LEVEL
    level = _before(_rolling_median(values, width), 1)
    if season == 1:
        return level
    apart = values - level
    places = [_before(apart, cycle * season) for cycle in range(1, _CYCLES + 1)]
    stacked = np.vstack(places)
    known = np.isfinite(stacked).any(axis=0)
    usual = np.full(len(values), np.nan)
    usual[known] = np.nanmedian(stacked[:, known], axis=0)
    expected: FloatArray = level + usual
    return expected


def _before(values: FloatArray, steps: int) -> FloatArray:
    """Give the value so many steps before each point; NaN where there is none."""
    found = np.full(len(values), np.nan)
    found[steps:] = values[: max(len(values) - steps, 0)]
    return found


def _rolling_median(values: FloatArray, width: int) -> FloatArray:
    """Median of the last ``width`` points, each point included."""
    found = np.full(len(values), np.nan)
    if len(values) >= width:
        found[width - 1 :] = np.median(sliding_window_view(values, width), axis=1)
    return found


def _rolling_spread(residual: FloatArray, values: FloatArray) -> FloatArray:
    """Median absolute residual of the points before, as a standard deviation."""
    found = np.full(len(residual), np.nan)
    start = int(np.argmax(np.isfinite(residual))) if np.isfinite(residual).any() else len(residual)
    size = np.abs(residual)
    for point in range(start + _LEAST_SPREAD, len(residual)):
        past = size[max(start, point - _SPREAD) : point]
        found[point] = _MAD * float(np.median(past))
        if found[point] < _TINY:
            found[point] = float(past.mean())
    # A series that never moved: any move is measured by the smallest thinkable one.
    floor = np.maximum(np.maximum.accumulate(np.abs(values)), 1.0) * 1e-6
    return np.where(np.isfinite(found), np.maximum(found, floor), np.nan)


def _restless(size: FloatArray) -> FloatArray:
    """Root mean square of a run, as surprising as one residual of that many times the usual."""
    found = np.full(len(size), np.nan)
    if len(size) >= _RUN:
        squares = np.minimum(sliding_window_view(size, _RUN), 8.0) ** 2
        # Of normal residuals the run's mean square has the spread sqrt(2 / run) around 1.
        found[_RUN - 1 :] = (squares.mean(axis=1) - 1) / np.sqrt(2 / _RUN)
    return found


def _lifeless(values: FloatArray, spread: FloatArray) -> FloatArray:
    """Evidence of a value that repeats where values usually move."""
    still = np.zeros(len(values))
    moves = np.abs(np.diff(values)) <= _TINY * np.maximum(np.abs(values[1:]), 1.0)
    usual = np.zeros(len(values))
    repeats = 0.0
    for point in range(1, len(values)):
        still[point] = still[point - 1] + 1 if moves[point - 1] else 0.0
        usual[point] = repeats / point
        repeats += float(moves[point - 1])
    rare = -np.log(np.maximum(usual, 1 / np.arange(1, len(values) + 1)))
    return np.where(np.isfinite(spread), still * rare * (usual < 0.2), np.nan)  # noqa: PLR2004


def _p_values(surprise: FloatArray) -> FloatArray:
    """Rank each surprise among those before it; beyond their 90 % an exponential tail."""
    found = np.full(len(surprise), np.nan)
    known = np.isfinite(surprise)
    start = int(np.argmax(known)) if known.any() else len(surprise)
    for point in range(start + _LEAST_SPREAD // 2, len(surprise)):
        past = surprise[max(start, point - 5 * _SPREAD) : point]
        top, middle = np.quantile(past, (_CORE, 0.5))
        if surprise[point] <= top:
            found[point] = (1 + np.count_nonzero(past >= surprise[point])) / (1 + len(past))
        else:
            rise = max(float(top - middle) / np.log(0.5 / (1 - _CORE)), _TINY)
            found[point] = (1 - _CORE) * np.exp(-(surprise[point] - top) / rise)
    return found
