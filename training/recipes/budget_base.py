"""What would have come without marketing: trend, season and controls, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.encoding import FloatArray
from training.frame import TimeArray
from training.recipes.budget_history import History, week_numbers

_YEAR_WEEKS = 365.25 / 7
_KNOT_WEEKS = 26
# Prior standard deviations, over the mean of the outcome: of the level, of the slope over the whole
# history, of a change of slope, of the first harmonic (the j-th has it divided by j), of a control.
_LEVEL, _SLOPE, _BEND, _SEASON, _CONTROL = 1.0, 0.5, 0.1, 0.2, 0.3
_SIGNALS = 10.0 ** np.arange(-2.0, 2.01, 0.25)
_FEW_VALUES = 5


@dataclass(frozen=True)
class BaseSpec:
    """How the columns are built, so that later weeks get the same.

    Parameters
    ----------
    first
        First week.
    weeks
        How many the history has: the span of the trend.
    harmonics
        Of the yearly season.
    means, scales, signals
        Shape ``(m,)``: of each control; a signal of infinity takes the control as it is.
    """

    first: np.datetime64
    weeks: int
    harmonics: int
    means: FloatArray
    scales: FloatArray
    signals: FloatArray


def base_spec(history: History, *, harmonics: int) -> BaseSpec:
    """Choose how the base of a history is built."""
    controls = history.controls
    scales = controls.std(axis=0)
    signals = [_signal(column) for column in controls.T]
    return BaseSpec(
        history.times[0], len(history), harmonics,
        controls.mean(axis=0), np.where(scales > 0, scales, 1.0), np.array(signals),
    )  # fmt: skip


def base_columns(spec: BaseSpec, times: TimeArray, controls: FloatArray) -> FloatArray:
    """Build the columns, each times the standard deviation of its prior.

    A control that is a noisy measurement (an index, a survey) enters twice, as it is and
    smoothed: the noise of what is measured would leave a part of its effect to the channels that
    move with it (attenuation; Fuller 1987).

    Parameters
    ----------
    spec
        Of the history.
    times
        Shape ``(n,)``: successive weeks, from the first of the history on.
    controls
        Shape ``(n, m)``.

    Returns
    -------
    ndarray
        Shape ``(n, p)``.
    """
    weeks = week_numbers(times, spec.first)
    run = weeks / max(spec.weeks - 1, 1)
    columns = [_LEVEL * np.ones(len(run)), _SLOPE * run]
    knots = np.arange(_KNOT_WEEKS, spec.weeks - _KNOT_WEEKS / 2, _KNOT_WEEKS)
    columns += [_BEND * np.maximum(weeks - knot, 0) / spec.weeks for knot in knots]
    angle = 2 * np.pi * times.astype("datetime64[D]").astype(np.int64) / 7 / _YEAR_WEEKS
    for harmonic in range(1, spec.harmonics + 1):
        size = _SEASON / harmonic
        columns += [size * np.sin(harmonic * angle), size * np.cos(harmonic * angle)]
    for place, column in enumerate(controls.T):
        scaled = (column - spec.means[place]) / spec.scales[place]
        columns.append(_CONTROL * scaled)
        if np.isfinite(spec.signals[place]):
            columns.append(_CONTROL * _smoothed(scaled, float(spec.signals[place]))[0])
    return np.column_stack(columns)


def _signal(column: FloatArray) -> float:
    """Find how much a control moves, over the noise with which it is measured (variances)."""
    if len(np.unique(column)) <= _FEW_VALUES or column.std() == 0:
        return float("inf")
    scaled = (column - column.mean()) / column.std()
    costs = [_smoothed(scaled, float(signal))[1] for signal in _SIGNALS]
    best = int(np.argmin(costs))
    return float("inf") if best == len(_SIGNALS) - 1 else float(_SIGNALS[best])


def _smoothed(column: FloatArray, signal: float) -> tuple[FloatArray, float]:
    """Smooth a local level seen with noise (Kalman 1960; Rauch, Tung & Striebel 1965).

    Returns
    -------
    ndarray, float
        The level, shape ``(n,)``, and minus twice the concentrated log likelihood.
    """
    count = len(column)
    level, spread = column[0], 1.0
    levels, spreads, ahead = np.empty(count), np.empty(count), np.empty(count)
    square, logs = 0.0, 0.0
    for place, seen in enumerate(column):
        before = spread + (signal if place else 0.0)
        ahead[place] = before
        total = before + 1.0
        error = seen - level
        square += error**2 / total
        logs += np.log(total)
        gain = before / total
        level, spread = level + gain * error, (1 - gain) * before
        levels[place], spreads[place] = level, spread
    for place in range(count - 2, -1, -1):
        gain = spreads[place] / ahead[place + 1]
        levels[place] += gain * (levels[place + 1] - levels[place])
    return levels, float(count * np.log(max(square, 1e-12) / count) + logs)
