"""The additive part of the leak model: a ridge-penalised logistic sum, cross-fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray

IntArray = npt.NDArray[np.int64]
PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0)
# More rows than this tell a sum of a hundred terms nothing new, and cost a minute.
MOST_ROWS = 40_000
MOST_STEPS = 30
MOST_HALVINGS = 12
LEAST_SPREAD = 1e-9  # a term that varies less is a constant, and weighs nothing


@dataclass(frozen=True)
class Sum:
    """Weights of a logistic sum over ``k`` terms as they are (not standardised).

    Parameters
    ----------
    intercept
        Log-odds where every term is 0.
    weights
        Shape ``(k,)``.
    means
        Shape ``(k,)``: training means, against which reasons are stated.
    """

    intercept: float
    weights: FloatArray
    means: FloatArray

    def margin(self, terms: FloatArray) -> FloatArray:
        """Log-odds of each row of ``terms``, shape ``(n,)``."""
        margin: FloatArray = self.intercept + (terms * self.weights).sum(axis=1)
        return margin


def fit_sum(terms: FloatArray, *, target: FloatArray, folds: IntArray) -> tuple[Sum, FloatArray]:
    """Fit the sum; the penalty is the one with the least log-loss across folds.

    Parameters
    ----------
    terms
        Shape ``(n, k)``.
    target
        0 or 1, shape ``(n,)``.
    folds
        Fold of each row, from 0, shape ``(n,)``.

    Returns
    -------
    Sum
        Fitted on all rows (at most ``MOST_ROWS`` of them).
    ndarray of shape (n,)
        Log-odds of each row by the sum that never saw its fold.
    """
    used = np.zeros(len(target), dtype=bool)
    used[:: max(1, -(-len(target) // MOST_ROWS))] = True
    count = int(folds.max()) + 1
    best: tuple[float, float, FloatArray] | None = None
    for penalty in PENALTIES:
        margin = np.empty(len(target))
        for fold in range(count):
            kept = used & (folds != fold)
            margin[folds == fold] = _fit(terms[kept], target[kept], penalty).margin(
                terms[folds == fold]
            )
        loss = log_loss(margin[used], target[used])
        if best is None or loss < best[0]:
            best = (loss, penalty, margin)
    if best is None:
        raise AssertionError("there is at least one penalty")
    return _fit(terms[used], target[used], best[1]), best[2]


def fit_line(margin: FloatArray, *, target: FloatArray, folds: IntArray) -> tuple[float, float]:
    """Give scale and offset that calibrate log-odds (Platt 1999), or 1 and 0 if they do not help.

    Parameters
    ----------
    margin
        Log-odds of rows by models that never saw them, shape ``(n,)``.
    target
        0 or 1, shape ``(n,)``.
    folds
        Fold of each row: whether the line helps is judged across them.
    """
    column = margin[:, None]
    lined = np.empty(len(target))
    for fold in np.unique(folds):
        kept = folds != fold
        lined[~kept] = _fit(column[kept], target[kept], 1.0).margin(column[~kept])
    if log_loss(lined, target) >= log_loss(margin, target):
        return 1.0, 0.0
    line = _fit(column, target, 1.0)
    return float(line.weights[0]), line.intercept


def log_losses(margin: FloatArray, target: FloatArray) -> FloatArray:
    """Log-loss of each row, shape ``(n,)``, from log-odds and 0 or 1."""
    losses: FloatArray = np.logaddexp(0.0, margin) - target * margin
    return losses


def log_loss(margin: FloatArray, target: FloatArray) -> float:
    """Mean log-loss."""
    return float(log_losses(margin, target).mean())


def assign_folds(target: FloatArray, *, count: int, seed: int) -> IntArray:
    """Deal rows into folds at random, each class evenly; shape ``(n,)``."""
    generator = np.random.default_rng(seed)
    folds = np.empty(len(target), dtype=np.int64)
    for value in (0.0, 1.0):
        rows = generator.permutation(np.flatnonzero(target == value))
        folds[rows] = np.arange(len(rows)) % count
    return folds


def stack_sum(names: Sequence[str], weights: dict[str, float], *, intercept: float) -> Sum:
    """Give a sum whose weights are named; every other term weighs nothing."""
    values = np.array([weights.get(name, 0.0) for name in names])
    return Sum(intercept=intercept, weights=values, means=np.zeros(len(names)))


def _fit(terms: FloatArray, target: FloatArray, penalty: float) -> Sum:
    """Newton steps on standardised terms; the intercept is not penalised."""
    means, spread = terms.mean(axis=0), terms.std(axis=0)
    alive = spread > LEAST_SPREAD
    spread = np.where(alive, spread, 1.0)
    ridge = np.full(terms.shape[1] + 1, penalty)
    ridge[0] = 1e-9
    task = _Task(
        design=np.hstack(
            (np.ones((len(terms), 1)), np.where(alive, (terms - means) / spread, 0.0))
        ),
        target=target,
        ridge=ridge,
    )
    share = float(np.clip(target.mean(), 1e-6, 1 - 1e-6))
    weights = np.zeros(len(ridge))
    weights[0] = np.log(share / (1 - share))
    value = task.value(weights)
    for _ in range(MOST_STEPS):
        weights, new = task.step(weights, value)
        if value - new < 1e-7 * (1.0 + abs(value)):
            break
        value = new
    plain = np.where(alive, weights[1:] / spread, 0.0)
    return Sum(intercept=float(weights[0] - (plain * means).sum()), weights=plain, means=means)


@dataclass(frozen=True)
class _Task:
    """A penalised logistic regression: ``n`` rows, the first column of the design is 1."""

    design: FloatArray
    target: FloatArray
    ridge: FloatArray

    def value(self, weights: FloatArray) -> float:
        """Penalised log-loss, summed over the rows."""
        fit = log_losses(self.design @ weights, self.target).sum()
        return float(fit + 0.5 * (self.ridge * weights**2).sum())

    def step(self, weights: FloatArray, value: float) -> tuple[FloatArray, float]:
        """Take a Newton step, halved until it does not make things worse."""
        chance = 1.0 / (1.0 + np.exp(-(self.design @ weights)))
        slope = self.design.T @ (chance - self.target) + self.ridge * weights
        curve = (self.design.T * (chance * (1 - chance))) @ self.design
        curve[np.diag_indices_from(curve)] += self.ridge
        step = np.linalg.solve(curve, slope)
        for halvings in range(MOST_HALVINGS):
            tried = weights - step * 0.5**halvings
            new = self.value(tried)
            if new <= value:
                return tried, new
        return weights, value
