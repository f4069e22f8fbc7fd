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
_RUN = 10  # points over which a run of restless, or of lifeless, points is seen
_MAD = 1.4826
_SELDOM = 0.2  # share of repeated values from which a repeat says nothing
_CORE = 0.9
_LONGEST, _WIDEST = 2000, 288
_LARGEST, _LEAST_RUN_SPREAD = 30.0, 0.05
_TINY = 1e-9
_POINTS_OF_ITS_OWN = 500


@dataclass(frozen=True)
class Judged:
    """Every point of a series, each array of shape ``(n,)``; NaN where too little lies before.

    Parameters
    ----------
    expected
        What the points before let expect.
    spread
        Usual size of what is left.
    run
        How restless the latest points are, in standard errors of such runs before.
    p_value
        Share of the points before that were as far off, as restless or as lifeless, with a fitted
        tail; 1 for the most usual.
    """

    expected: FloatArray
    spread: FloatArray
    run: FloatArray
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
    # A longer window is judged by a longer past; only its length is looked at, never its values.
    reach = int(np.clip(len(values) // 3, _SPREAD, _LONGEST))
    expected = _expected(values, season)
    residual = values - expected
    spread = _rolling_spread(residual, values, reach)
    size = np.abs(residual) / spread
    # A weighted Bonferroni: in a long window of fine steps a single point far off is the noise of
    # measuring, and an event is a run; in a short one a point is a day, and may be the event.
    alone = min(0.5, _POINTS_OF_ITS_OWN / len(values))
    run = _restless(size, reach)
    p_values = np.vstack(
        [
            _p_values(size, reach) / alone,
            _p_values(run, reach) / (1 - alone),
            _lifeless(values, spread),
        ]
    )
    p_value = np.minimum(np.fmin.reduce(p_values), 1.0)
    return Judged(expected, spread, run, p_value)


def _expected(values: FloatArray, season: int) -> FloatArray:
    """Give the level before each point plus the season's usual deviation there."""
    width = season if season > 1 else int(np.clip(len(values) // 15, _LEVEL, _WIDEST))
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


def _rolling_spread(residual: FloatArray, values: FloatArray, reach: int) -> FloatArray:
    """Median absolute residual of the points before, as a standard deviation."""
    found = np.full(len(residual), np.nan)
    start = int(np.argmax(np.isfinite(residual))) if np.isfinite(residual).any() else len(residual)
    size = np.abs(residual)
    for point in range(start + _LEAST_SPREAD, len(residual)):
        past = size[max(start, point - reach) : point]
        found[point] = _MAD * float(np.median(past))
        if found[point] < _TINY:
            found[point] = float(past.mean())
    # A series that never moved: any move is measured by the smallest thinkable one.
    floor = np.maximum(np.maximum.accumulate(np.abs(values)), 1.0) * 1e-6
    return np.where(np.isfinite(found), np.maximum(found, floor), np.nan)


def _restless(size: FloatArray, reach: int) -> FloatArray:
    """Mean size over a run, against what such means were before the run (tail likelihood).

    As the anomaly likelihood of Lavin & Ahmad (2015), with the past's own mean and spread.
    """
    found = np.full(len(size), np.nan)
    start = int(np.argmax(np.isfinite(size))) if np.isfinite(size).any() else len(size)
    held = np.minimum(size[start:], _LARGEST)
    if len(held) < 3 * _RUN:
        return found
    run = _rolling_mean(held, _RUN)
    before = np.full(len(held), np.nan)
    before[_RUN:] = run[:-_RUN]
    mean = _rolling_mean(before, reach)
    square = _rolling_mean(before**2, reach)
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    found[start:] = (run - mean) / (spread + _LEAST_RUN_SPREAD)
    found[start : start + 3 * _RUN] = np.nan
    return found


def _rolling_mean(values: FloatArray, width: int) -> FloatArray:
    """Mean of the last ``width`` values that are known, each one included; NaN where none is."""
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - width, 0)
    met = counts[ends] - counts[starts]
    mean: FloatArray = np.where(met > 0, (sums[ends] - sums[starts]) / np.maximum(met, 1), np.nan)
    return mean


def _lifeless(values: FloatArray, spread: FloatArray) -> FloatArray:
    """Share of usual points after as long a run of one value, where values usually move."""
    still = np.zeros(len(values))
    moves = np.abs(np.diff(values)) <= _TINY * np.maximum(np.abs(values[1:]), 1.0)
    usual = np.zeros(len(values))
    repeats = 0.0
    for point in range(1, len(values)):
        still[point] = still[point - 1] + 1 if moves[point - 1] else 0.0
        usual[point] = repeats / point
        repeats += float(moves[point - 1])
    rare = -np.log(np.maximum(usual, 1 / np.arange(1, len(values) + 1)))
    share: FloatArray = np.exp(-still * rare * (usual < _SELDOM))
    return np.where(np.isfinite(spread), share, np.nan)


def _p_values(surprise: FloatArray, reach: int) -> FloatArray:
    """Rank each surprise among those before it; beyond their 90 % an exponential tail."""
    found = np.full(len(surprise), np.nan)
    known = np.isfinite(surprise)
    start = int(np.argmax(known)) if known.any() else len(surprise)
    for point in range(start + _LEAST_SPREAD // 2, len(surprise)):
        past = surprise[max(start, point - 2 * reach) : point]
        top, middle = np.quantile(past, (_CORE, 0.5))
        if surprise[point] <= top:
            found[point] = (1 + np.count_nonzero(past >= surprise[point])) / (1 + len(past))
        else:
            rise = max(float(top - middle) / np.log(0.5 / (1 - _CORE)), _TINY)
            found[point] = (1 - _CORE) * np.exp(-(surprise[point] - top) / rise)
    return found
