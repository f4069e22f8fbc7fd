"""Paired differences of two methods on one test set, with their standard errors."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from tests.quality.figure import Figure, Rival

Floats = npt.NDArray[np.float64]
# A method's answers on the rows of the test: arrays of shape ``(n,)`` by name.
Answers = Mapping[str, npt.NDArray[Any]]
Statistic = Callable[[Answers, npt.NDArray[np.int64]], float]
DRAWS = 300
_NORMAL_95 = 1.959964


def on_rows(
    figure: Figure,
    statistic: Statistic,
    *,
    ours: Answers,
    others: Mapping[str, Answers],
    draws: int = DRAWS,
) -> Figure:
    """Set a figure beside other methods, all measured on the same draws of rows.

    Bootstrap by row (Efron 1979): each draw takes ``n`` of the ``n`` test rows with replacement,
    the same ones for every method, so that the luck of the draw drops out of the differences.

    Parameters
    ----------
    figure
        The figure; its value is measured anew on all rows.
    statistic
        Gives the metric from answers and the rows to look at.
    ours
        Our answers; every array has a row for each row of the test.
    others
        Answers of the other methods, by name; the first is the named reference.
    draws
        Number of draws.

    Returns
    -------
    Figure
        With a 95 % interval (2.5 and 97.5 % of the draws, moved by the draws' own bias, which is
        large for a calibration error), reference, rivals, differences and their standard errors.
    """
    rows = len(next(iter(ours.values())))
    every = np.arange(rows)
    pick = np.random.default_rng(20)
    taken = [pick.integers(0, rows, rows) for _ in range(draws)]
    drawn = np.array([statistic(ours, rows) for rows in taken])
    value = statistic(ours, every)
    low, high = np.nanquantile(drawn, [0.025, 0.975]) - (np.nanmean(drawn) - value)
    measured = replace(figure, ours=value, low=float(low), high=float(high))
    rivals = []
    for name, theirs in others.items():
        gaps = drawn - np.array([statistic(theirs, rows) for rows in taken])
        whole = statistic(theirs, every)
        rivals.append(Rival(name, whole, value - whole, float(np.nanstd(gaps, ddof=1))))
    return measured.against(*rivals) if rivals else measured


def auc_figure(
    figure: Figure, target: Floats, *, ours: Floats, others: Mapping[str, Floats]
) -> Figure:
    """Set a ROC-AUC beside other methods' (DeLong, DeLong & Clarke-Pearson 1988).

    Parameters
    ----------
    figure
        The figure; its value is measured anew.
    target
        Shape ``(n,)``: 1 or 0.
    ours, others
        Scores of shape ``(n,)``; the first of the others is the named reference.
    """
    value, yes, no = _placements(target, ours)
    error = _NORMAL_95 * _spread(yes, no)
    measured = replace(figure, ours=value, low=value - error, high=value + error)
    rivals = []
    for name, theirs in others.items():
        auc, yes_too, no_too = _placements(target, theirs)
        rivals.append(Rival(name, auc, value - auc, _spread(yes - yes_too, no - no_too)))
    return measured.against(*rivals) if rivals else measured


def _placements(target: Floats, score: Floats) -> tuple[float, Floats, Floats]:
    """Give the AUC, and the share of the other class that each row stands right of."""
    yes, no = score[target == 1], score[target == 0]
    together = rankdata(np.concatenate([yes, no]))
    above = (together[: len(yes)] - rankdata(yes)) / len(no)
    below = 1 - (together[len(yes) :] - rankdata(no)) / len(yes)
    return float(above.mean()), above, below


def _spread(yes: Floats, no: Floats) -> float:
    return float(np.sqrt(yes.var(ddof=1) / len(yes) + no.var(ddof=1) / len(no)))
