"""Calibrating the intervals of the profitability model on the latest outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from bentos.profitability.history import STATES
from bentos.profitability.interval import Interval, Method
from core.encoding import FloatArray
from training.recipes.profit_search import begin_booster, grow, parameters_of

# Below this many residuals outside of the calibration block, only constants can be learned.
LEAST_ROWS = 150
# With fewer outcomes than 2 / (1 - level) a tail has no conformal bound of its own.
LEAST_TAIL = 2.0
ROUNDS = 80
# A gap is rounding when it is this share of the usual one.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Residuals:
    """Out-of-fold outcomes against predictions; each array has ``n`` rows.

    Parameters
    ----------
    inputs
        Shape ``(n, p)``: the trees' inputs and the prediction as a share of the scale.
    target, predicted
        In money.
    scale
        What a gap is a share of.
    state
        State of the row's history.
    calibrates
        Whether the row belongs to the latest block, which no tree here may learn from.
    spare
        Whether the row only stands in where a state has too few others.
    categorical
        Positions of the categories among the inputs.
    """

    inputs: FloatArray
    target: FloatArray
    predicted: FloatArray
    scale: FloatArray
    state: npt.NDArray[np.int64]
    calibrates: npt.NDArray[np.bool_]
    spare: npt.NDArray[np.bool_]
    categorical: tuple[int, ...]

    @property
    def gap(self) -> FloatArray:
        """Outcome less prediction, as a share of the scale."""
        return (self.target - self.predicted) / self.scale


def calibrate(
    residuals: Residuals, *, level: float, seed: int, threads: int
) -> tuple[Interval, list[lgb.Booster]]:
    """Choose a method and its constants.

    Trees of the spread are learned from the blocks before the latest. The latest then gives each
    method its constants by split conformal prediction (Lei et al. 2018; Romano, Patterson & Candes
    2019), one pair a state of history, and the method is the one with the least interval score
    (Gneiting & Raftery 2007) when one half of it is bounded by constants from the other.

    Parameters
    ----------
    residuals
        Out-of-fold outcomes.
    level
        Share of outcomes that the interval is to hold.
    seed, threads
        As LightGBM has them.
    """
    learn = ~residuals.calibrates & ~residuals.spare
    methods: dict[Method, list[lgb.Booster]] = {"plain": []}
    if learn.sum() >= LEAST_ROWS:
        methods["scaled"] = [_train_spread(residuals, learn, seed=seed, threads=threads)]
        methods["quantile"] = [
            _train_quantile(residuals, learn, alpha=alpha, seed=seed, threads=threads)
            for alpha in ((1 - level) / 2, (1 + level) / 2)
        ]
    rows = np.flatnonzero(residuals.calibrates)
    fitted: dict[Method, tuple[float, Interval]] = {}
    for method, trees in methods.items():
        raw = [
            np.asarray(tree.predict(residuals.inputs, raw_score=True, num_threads=1))
            for tree in trees
        ]
        empty = Interval(
            method, level, (0.0,) * STATES, (0.0,) * STATES, _floor(residuals), _exact(residuals)
        )
        halves = [
            _score_of(_conform(empty, residuals, raw, rows[part::2]), residuals, raw,
                      rows[1 - part :: 2])
            for part in (0, 1)
        ]  # fmt: skip
        fitted[method] = float(np.mean(halves)), _conform(empty, residuals, raw, rows)
    best = min(fitted, key=lambda method: fitted[method][0])
    return fitted[best][1], methods[best]


def interval_score(
    target: FloatArray, *, low: FloatArray, high: FloatArray, level: float
) -> FloatArray:
    """Give Winkler's interval score of each row, in money: lower is better.

    Width, plus 2 / (1 - level) times the distance by which the outcome lies outside.
    """
    outside = np.maximum(low - target, 0.0) + np.maximum(target - high, 0.0)
    return np.asarray(high - low + 2.0 / (1.0 - level) * outside)


def _floor(residuals: Residuals) -> float:
    """Give the least spread: a small share of the usual gap, so that none is divided by 0."""
    return max(float(np.abs(residuals.gap).mean()) * 1e-3, 1e-12)


def _exact(residuals: Residuals) -> tuple[bool, ...]:
    """Say in which states most outcomes are what the rule says, up to rounding."""
    gap = np.abs(residuals.gap)
    usual = float(np.abs(residuals.gap).mean())
    return tuple(
        bool(here.any() and np.median(gap[here]) < ROUNDING * usual)
        for here in (residuals.state == state for state in range(STATES))
    )


def _train_spread(
    residuals: Residuals, rows: npt.NDArray[np.bool_], *, seed: int, threads: int
) -> lgb.Booster:
    """Learn the expected gap; its log is what the trees give."""
    size = np.abs(residuals.gap[rows])
    usual = max(float(size.mean()), 1e-300)
    parameters = parameters_of(int(rows.sum()), seed=seed, threads=threads)
    parameters |= {"objective": "poisson", "num_leaves": 7, "learning_rate": 0.08}
    # One wild outcome is not to rule a leaf.
    capped = np.minimum(size, np.quantile(size, 0.995))
    trees = begin_booster(
        residuals.inputs[rows], capped / usual, weight=None, parameters=parameters,
        categorical=residuals.categorical,
    )  # fmt: skip
    return grow(trees, ROUNDS)


def _train_quantile(
    residuals: Residuals, rows: npt.NDArray[np.bool_], *, alpha: float, seed: int, threads: int
) -> lgb.Booster:
    """Learn a quantile of the gap."""
    parameters = parameters_of(int(rows.sum()), seed=seed, threads=threads)
    parameters |= {
        "objective": "quantile", "alpha": alpha, "num_leaves": 7, "learning_rate": 0.08,
    }  # fmt: skip
    trees = begin_booster(
        residuals.inputs[rows], residuals.gap[rows], weight=None, parameters=parameters,
        categorical=residuals.categorical,
    )  # fmt: skip
    return grow(trees, ROUNDS)


def _conform(
    empty: Interval,
    residuals: Residuals,
    raw: Sequence[FloatArray],
    rows: npt.NDArray[np.int64],
) -> Interval:
    """Give the interval with the constants that these rows ask for."""
    gap = residuals.gap
    low, high, spread = empty.shape(raw, residuals.state)
    below, above = (low - gap) / spread, (gap - high) / spread
    tail = (1 - empty.level) / 2
    lower, upper = [], []
    for state in range(STATES):
        here = rows[residuals.state[rows] == state]
        if len(here) < LEAST_TAIL / (1 - empty.level):
            # Too few of the latest: outcomes of the earlier blocks speak as well, else all rows.
            here = np.union1d(
                here, np.flatnonzero((residuals.state == state) & ~residuals.calibrates)
            )
            here = here if len(here) >= LEAST_TAIL / (1 - empty.level) else rows
        if empty.exact[state]:
            lower.append(_rounding_bound(below[here], residuals, here, tail, side=-1))
            upper.append(_rounding_bound(above[here], residuals, here, tail, side=1))
        else:
            lower.append(_upper_quantile(below[here], tail))
            upper.append(_upper_quantile(above[here], tail))
    return replace(empty, lower=tuple(lower), upper=tuple(upper))


def _upper_quantile(scores: FloatArray, tail: float) -> float:
    """Give the conformal bound that a new score exceeds with this probability.

    Between the order statistics around rank ``(n + 1) (1 - tail)`` by a straight line: a new score
    of the same kind exceeds that with probability ``tail``, where the upper one of the two, which
    can but hold too much, makes a tenth of a few dozen scores a twelfth.
    """
    return float(np.quantile(scores, 1 - tail, method="weibull"))


def _rounding_bound(
    scores: FloatArray,
    residuals: Residuals,
    rows: npt.NDArray[np.int64],
    tail: float,
    *,
    side: int,
) -> float:
    """Give the least bound that this share of outcomes exceeds, where gaps are rounding alone.

    There the steps of floating point are as coarse as the gaps: the share is counted in the very
    arithmetic that serves, for a quantile of the scores would hold more than it is to.
    """
    target, scale = residuals.target[rows], residuals.scale[rows]
    steps = np.unique(np.quantile(scores, np.linspace(0.0, 1.0, 401), method="higher"))
    for step in steps:
        end = residuals.predicted[rows] + side * scale * step
        if float((side * (target - end) > 0).mean()) <= tail:
            return float(step)
    return float(steps[-1])


def _score_of(
    interval: Interval,
    residuals: Residuals,
    raw: Sequence[FloatArray],
    rows: npt.NDArray[np.int64],
) -> float:
    """Give the mean interval score of rows that the constants do not know."""
    low, high = interval.bounds(
        residuals.predicted[rows],
        raw=[values[rows] for values in raw],
        scale=residuals.scale[rows],
        state=residuals.state[rows],
    )
    scores = interval_score(residuals.target[rows], low=low, high=high, level=interval.level)
    return float(scores.mean())
