"""What regressors and holidays do to a series, taken out before it is forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.encoding import FloatArray
from training.recipes.demand_series import Series

_WEEK = 7
_SHRINK_DAYS = 4.0
_LARGEST = 3.0  # a factor of e**3: what lies beyond is no effect but a fault of the data
_LEAST_USES = 3


@dataclass(frozen=True)
class Effects:
    """Effects of one panel.

    Parameters
    ----------
    regressors
        Series -> shape ``(k,)``; logarithms where the series multiplies.
    holidays
        Name -> logarithm of the factor.
    """

    regressors: Mapping[str, FloatArray]
    holidays: Mapping[str, float]


def multiplies(series: Series) -> bool:
    """Tell whether effects multiply a series: nothing in it is negative."""
    return bool(np.all(series.values >= 0) and np.any(series.values > 0))


def find_effects(panel: Sequence[Series], calendar: Mapping[str, frozenset[int]]) -> Effects:
    """Estimate the effects over a panel.

    A regressor's effect is the slope of the change of the series (of its logarithm where it is
    positive) on the change of the regressor, within the season's place, and is shrunk to that of
    the panel by its standard error. A holiday's is the median log ratio of the day to the same
    weekday around it.

    Parameters
    ----------
    panel
        All series.
    calendar
        Holiday -> days since 1970, of the country of the training.
    """
    holidays = _holiday_effects(panel, calendar) if calendar else {}
    return Effects(_regressor_effects(panel), holidays)


def without_effects(
    series: Series, effects: Effects, calendar: Mapping[str, frozenset[int]]
) -> FloatArray:
    """Give a series' values as they were without regressors and holidays."""
    betas = effects.regressors[series.name]
    known = (series.regressors * betas).sum(axis=1)
    if multiplies(series):
        factor = np.exp(known + log_holidays(series, effects.holidays, calendar))
        divided: FloatArray = series.values / factor
        return divided
    less: FloatArray = series.values - known
    return less


def log_holidays(
    series: Series, found: Mapping[str, float], calendar: Mapping[str, frozenset[int]]
) -> FloatArray:
    """Give the logarithm of the holidays' factor on each day of a daily series."""
    total = np.zeros(len(series.values))
    if series.kind.name != "day":
        return total
    days = series.times.astype("datetime64[D]").astype(np.int64)
    for name, dates in calendar.items():
        total[np.isin(days, list(dates))] += found.get(name, 0.0)
    return total


def _regressor_effects(panel: Sequence[Series]) -> dict[str, FloatArray]:
    """Estimate each series' own effect, then shrink to the panel's."""
    if not panel or not panel[0].regressors.shape[1]:
        return {series.name: np.zeros(0) for series in panel}
    count = panel[0].regressors.shape[1]
    own = {series.name: _slopes(series) for series in panel if multiplies(series)}
    betas = np.array([found[0] for found in own.values()]).reshape(-1, count)
    errors = np.array([found[1] for found in own.values()]).reshape(-1, count)
    shared, between = _pooled(betas, errors)
    effects: dict[str, FloatArray] = {}
    for series in panel:
        if series.name in own:
            beta, error = own[series.name]
            trust = between / (between + error**2)
            effects[series.name] = np.where(
                np.isfinite(error), trust * beta + (1 - trust) * shared, shared
            )
        else:
            effects[series.name] = np.nan_to_num(_slopes(series)[0])
    return effects


def _slopes(series: Series) -> tuple[FloatArray, FloatArray]:
    """Give the slopes on the regressors and their standard errors; infinite where unknown."""
    count = series.regressors.shape[1]
    unknown = np.zeros(count), np.full(count, np.inf)
    values = series.values
    if multiplies(series):
        if np.any(values <= 0):
            return unknown
        values = np.log(values)
    moves = _within_season(np.diff(values), series.kind.season)
    drivers = np.column_stack(
        [_within_season(np.diff(x), series.kind.season) for x in series.regressors.T]
    )
    uses = np.count_nonzero(np.abs(drivers) > 1e-9, axis=0)  # noqa: PLR2004 - of no change
    free = len(moves) - count - min(series.kind.season, len(moves) // 2)
    if np.any(uses < _LEAST_USES) or free < _LEAST_USES:
        return unknown
    gram = drivers.T @ drivers + 1e-9 * np.eye(count)
    betas = np.linalg.solve(gram, drivers.T @ moves)
    noise = float(np.sum((moves - drivers @ betas) ** 2)) / free
    errors = np.sqrt(noise * np.diag(np.linalg.inv(gram)))
    limit = _LARGEST if multiplies(series) else np.inf
    return betas.clip(-limit, limit), errors


def _within_season(moves: FloatArray, season: int) -> FloatArray:
    """Take out the usual move at each place of the season, where there are cycles to know it."""
    if len(moves) < 2 * season:
        centred: FloatArray = moves - moves.mean()
        return centred
    left = moves.copy()
    for place in range(season):
        left[place::season] -= left[place::season].mean()
    return left


def _pooled(betas: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the panel's effect and how much series differ in it (DerSimonian & Laird 1986)."""
    if not len(betas):
        count = betas.shape[1]
        return np.zeros(count), np.ones(count)
    weights = np.where(np.isfinite(errors), 1 / np.maximum(errors, 1e-9) ** 2, 0.0)
    total = np.maximum(weights.sum(axis=0), 1e-300)
    shared = (weights * np.nan_to_num(betas)).sum(axis=0) / total
    spread = (weights * (betas - shared) ** 2).sum(axis=0)
    count = np.count_nonzero(weights, axis=0)
    room = np.maximum(total - (weights**2).sum(axis=0) / total, 1e-300)
    between = np.maximum((spread - (count - 1)) / room, 0.0) + 1e-12
    return np.where(count > 0, shared, 0.0), between


def _holiday_effects(
    panel: Sequence[Series], calendar: Mapping[str, frozenset[int]]
) -> dict[str, float]:
    """Give the median log ratio of each holiday, shrunk to that of all holidays."""
    ratios: dict[str, list[float]] = {name: [] for name in calendar}
    off = frozenset().union(*calendar.values())
    for series in panel:
        if series.kind.name != "day" or np.any(series.values <= 0):
            continue
        logs = np.log(series.values)
        days = series.times.astype("datetime64[D]").astype(np.int64).tolist()
        place = {day: i for i, day in enumerate(days)}
        for name, dates in calendar.items():
            for day in dates & place.keys():
                around = [
                    logs[place[near]]
                    for near in (day - 14, day - _WEEK, day + _WEEK, day + 14)
                    if near in place and near not in off
                ]
                if around:
                    ratios[name].append(float(logs[place[day]] - np.median(around)))
    everything = [ratio for found in ratios.values() for ratio in found]
    if not everything:
        return dict.fromkeys(calendar, 0.0)
    usual = float(np.median(everything))
    effects = {}
    for name, found in ratios.items():
        trust = len(found) / (len(found) + _SHRINK_DAYS)
        effects[name] = trust * float(np.median(found or [usual])) + (1 - trust) * usual
    return effects
