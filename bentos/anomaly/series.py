"""Judges the points of a series, each by the points before it alone."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from core.encoding import FloatArray

_CYCLES = 6  # seasons that a place of the season is expected from
_SEASONS = 10  # of a window, from which on two of them make the level
_LEVEL = 9  # points whose median is the level, where there is no season
_SPREAD = 200  # residuals whose spread is the usual one
_LEAST_PAST = 10  # residuals, or runs, without which nothing is judged
_RUN = 10  # points over which a run of restless, or of lifeless, points is seen
_MAD = 1.4826
_SELDOM = 0.2  # share of repeated values from which a repeat says nothing
_CORE = 0.8
_USUAL_TOP = 0.9  # where that share of surprises ends in noise, while too few are known
_FALL = 0.65  # deviations of the tail over which a p-value falls by a factor of e
_LONGEST, _WIDEST = 2000, 288
_LARGEST, _LEAST_DEVIATION = 60.0, 0.05
_LEAST_STILL = 1.0  # repeats that are no surprise in a series that never stood still
_TINY = 1e-9
_DOUBT = 8.0  # as many deviations as this are needed before one is half believed
# Points of a window up to which a single point counts in full, and its least weight.
_POINTS_OF_ITS_OWN, _LEAST_WEIGHT = 500, 0.3


@dataclass(frozen=True)
class Judged:
    """Every point of a series, each array of shape ``(n,)``; NaN where too little lies before.

    Parameters
    ----------
    expected
        What the points before let expect.
    low, high
        Between which a point by itself is usual at the false-alarm rate.
    p_value
        Share of usual points that are as surprising; 1 for the most usual.
    """

    expected: FloatArray
    low: FloatArray
    high: FloatArray
    p_value: FloatArray


def judge(values: FloatArray, *, season: int, rate: float = 0.01) -> Judged:
    """Judge every point by those before it.

    A point is expected to be the level before it plus what was usual at its place of the season,
    by medians. What is surprising: a residual far beyond the usual spread, a run of points that is
    much more restless than usual, a value that repeats where values move, a season that stays away.
    Each is held against what it was before, in its own deviations; the largest counts, and its
    p-value is its rank among the largest before, with an exponential tail.

    Parameters
    ----------
    values
        Shape ``(n,)``, finite.
    season
        Steps of a season; 1 for none.
    rate
        False-alarm rate, above 0 and below .5, at which ``low`` and ``high`` stand.
    """
    # A longer window is judged by a longer past; only its length is looked at, never its values.
    reach = int(np.clip(len(values) // 3, _SPREAD, _LONGEST))
    level, usual = _usual(values, season)
    residual = values - level - usual
    spread = _rolling_spread(residual, values, reach)
    size = np.minimum(np.abs(residual) / spread, _LARGEST)
    still = np.where(np.isfinite(size), _still(values), np.nan)
    # In a long window of fine steps a single point far off is the noise of measuring, and an event
    # is a run; in a short one a point is a day, and may be the event.
    weight = max(_LEAST_WEIGHT, min(1.0, (_POINTS_OF_ITS_OWN / len(values)) ** 0.5))
    alone = _past_of(size, 1, reach)
    surprise = np.fmax.reduce(
        [
            weight * alone.standing(size),
            _past_of(restless := _rolling_mean(size, _RUN), _RUN, reach).standing(restless),
            _past_of(still, 1, reach, least=_LEAST_STILL).standing(still),
            _past_of(absent := _absence(residual, usual, season), season, reach).standing(absent),
        ]
    )
    p_value, needed = _p_values(surprise, 2 * reach, rate)
    room = spread * np.maximum(alone.mean + alone.deviation * needed / weight, 0.0)
    expected = level + usual
    return Judged(expected, expected - room, expected + room, p_value)


def _usual(values: FloatArray, season: int) -> tuple[FloatArray, FloatArray]:
    """Give the level before each point, and the season's usual deviation from it there."""
    # Two seasons, where the window has many, halve the noise of the level, and a new level stands
    # out for as long.
    wide = season * (2 if len(values) >= _SEASONS * season else 1)
    width = wide if season > 1 else int(np.clip(len(values) // 15, _LEVEL, _WIDEST))
    level = _before(_rolling_median(values, width), 1)
    if season == 1:
        return level, np.zeros(len(values))
    apart = values - level
    places = [_before(apart, cycle * season) for cycle in range(1, _CYCLES + 1)]
    stacked = np.vstack(places)
    known = np.isfinite(stacked).any(axis=0)
    usual = np.full(len(values), np.nan)
    usual[known] = np.nanmedian(stacked[:, known], axis=0)
    return level, usual


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
    """Median absolute residual of the points before, as a standard deviation.

    The first few residuals are measured by the spread of all of them: they are judged by nothing,
    and are the past of those that follow.
    """
    found = np.full(len(residual), np.nan)
    start = _first(residual)
    size, past = np.abs(residual), _Past(reach)
    for point in range(start, len(residual)):
        if point >= start + _LEAST_PAST:
            found[point] = _MAD * past.quantile(0.5)
            if found[point] < _TINY:
                found[point] = past.mean()
        past.add(float(size[point]))
    found[start : start + _LEAST_PAST] = found[start + _LEAST_PAST : start + _LEAST_PAST + 1]
    # A series that never moved: any move is measured by the smallest thinkable one.
    floor = np.maximum(np.maximum.accumulate(np.abs(values)), 1.0) * 1e-6
    return np.where(np.isfinite(found), np.maximum(found, floor), np.nan)


@dataclass(frozen=True)
class _Usual:
    """What runs were before each point.

    Parameters
    ----------
    mean, deviation
        Shape ``(n,)``, in the unit of the run; NaN where too few are known.
    """

    mean: FloatArray
    deviation: FloatArray

    def standing(self, run: FloatArray) -> FloatArray:
        """Give how far runs lie above those before, in deviations."""
        return (run - self.mean) / self.deviation


def _past_of(run: FloatArray, width: int, reach: int, *, least: float = _LEAST_DEVIATION) -> _Usual:
    """Tell what runs were before each point.

    For runs of restless points the anomaly likelihood of Lavin & Ahmad (2015), with the past's own
    mean and spread: a past of rare bursts has a large spread, so that another is no surprise.

    Parameters
    ----------
    run
        Shape ``(n,)``: a mean over the latest points, in any unit.
    width
        Points of a run; none of them belongs to its own past.
    reach
        How many runs before are looked at.
    least
        Deviation, in the run's unit, that is no surprise in a past without any.
    """
    start = _first(run)
    before = _before(run, width)
    mean = _rolling_mean(before, reach)
    deviation = np.sqrt(np.maximum(_rolling_mean(before**2, reach) - mean**2, 0.0))
    # A deviation of few runs is too small by chance as often as too large, and that flags.
    count = np.maximum(np.arange(len(run)) - start - width + 1, 1)
    deviation = deviation * (1.0 + _DOUBT / count) + least
    deviation[: start + width + _LEAST_PAST - 1] = np.nan
    return _Usual(mean, deviation)


def _absence(residual: FloatArray, usual: FloatArray, season: int) -> FloatArray:
    """Give how much of the season is missing from the latest one, or is there too much.

    The latest season's residuals on the usual deviations, by least squares: 0 where the season is
    as usual, 1 where it stays away.
    """
    if season == 1:
        return np.full(len(residual), np.nan)
    shared = _rolling_mean(residual * usual, season)
    size = _rolling_mean(usual**2, season)
    found: FloatArray = np.abs(shared) / np.maximum(size, _TINY)
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


def _still(values: FloatArray) -> FloatArray:
    """Count how often each point's value has just repeated; 0 where repeats are usual."""
    moves = np.abs(np.diff(values)) > _TINY * np.maximum(np.abs(values[1:]), 1.0)
    places = np.arange(len(values))
    last_move = np.maximum.accumulate(np.where(np.append(True, moves), places, 0))
    repeats = np.concatenate([[0], np.cumsum(~moves)])[:-1]
    usual = np.append(0.0, repeats[: len(values) - 1]) / np.maximum(places, 1)
    found: FloatArray = np.where(usual < _SELDOM, places - last_move, 0.0)
    return found


def _p_values(surprise: FloatArray, reach: int, rate: float) -> tuple[FloatArray, FloatArray]:
    """Rank each surprise among those before it; beyond their 80 % an exponential tail.

    The tail falls by the deviation, not by what the past shows of its own far end: few points lie
    there, and a fall that is fitted to them would put one series' events behind another's noise.

    Returns
    -------
    p_value : ndarray of shape (n,)
    needed : ndarray of shape (n,)
        The surprise at which it falls to the rate.
    """
    found, needed = np.full((2, len(surprise)), np.nan)
    start, past = _first(surprise), _Past(reach)
    beyond = max(_FALL * np.log((1 - _CORE) / rate), 0.0)
    for point in range(start, len(surprise)):
        value = float(surprise[point])
        is_known = point >= start + _LEAST_PAST
        top = past.quantile(_CORE) if is_known else _USUAL_TOP
        if value > top:
            found[point] = (1 - _CORE) * np.exp(-(value - top) / _FALL)
        else:
            found[point] = past.share_above(value) if is_known else 1.0
        needed[point] = top + beyond
        past.add(value)
    return found, needed


def _first(values: FloatArray) -> int:
    """Give the place from which on values are known."""
    known = np.isfinite(values)
    return int(np.argmax(known)) if known.any() else len(values)


@dataclass
class _Past:
    """The latest values of a series, sorted.

    Parameters
    ----------
    reach
        How many are kept.
    """

    reach: int
    _arrived: list[float] = field(default_factory=list)
    _sorted: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """Take a value in, and let the oldest go."""
        insort(self._sorted, value)
        self._arrived.append(value)
        if len(self._sorted) > self.reach:
            oldest = self._arrived[-self.reach - 1]
            del self._sorted[bisect_left(self._sorted, oldest)]

    def quantile(self, share: float) -> float:
        """Give a quantile, between neighbours by a straight line."""
        place = share * (len(self._sorted) - 1)
        below = int(place)
        above = min(below + 1, len(self._sorted) - 1)
        low, high = self._sorted[below], self._sorted[above]
        return low + (high - low) * (place - below)

    def mean(self) -> float:
        """Give the mean."""
        return sum(self._sorted) / len(self._sorted)

    def share_above(self, value: float) -> float:
        """Give the share of values at least as large, the value itself among them."""
        count = len(self._sorted)
        return (1 + count - bisect_left(self._sorted, value)) / (1 + count)
