"""Measures of ``revenue_leak``: two rankings, one by probability and one by expected money."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.encoding import FloatArray
from training.frame import Frame

LEAST_PROBABILITY = 1e-12
CALIBRATION_BINS = 10
METRICS = (
    "pr_auc_score",
    "auc_score",
    "recall_at_10_score",
    "value_captured_at_4_score",
    "value_captured_at_8_score",
    "total_ratio",
    "amount_mae_error",
    "missing_mae_error",
    "brier_error",
    "log_loss_error",
    "ece_error",
)


def evaluate(outputs: Mapping[str, FloatArray], frame: Frame) -> dict[str, float]:
    """Measure answers on the audited rows of a frame.

    Parameters
    ----------
    outputs
        What ``RevenueLeakPredictor.score`` gave, each of shape ``(n,)``.
    frame
        The ``n`` rows; a NaN target is left out.

    Returns
    -------
    dict
        Rankings by probability: ``pr_auc_score`` (average precision), ``auc_score``,
        ``recall_at_10_score``. Quality of the probability: ``brier_error``, ``log_loss_error``,
        ``ece_error``. With true amounts also, ranking by expected money:
        ``value_captured_at_4_score``, ``value_captured_at_8_score``; ``total_ratio`` (expected
        over true, best 1); ``amount_mae_error`` (of the gap on leaking records, in mean leaks) and
        ``missing_mae_error`` (of the expected amount on all records, in mean leaks). NaN where the
        rows do not tell: no labels, one class only, no amounts.
    """
    metrics = dict.fromkeys(METRICS, float("nan"))
    known = ~np.isnan(frame.target)
    target, probability = frame.target[known], outputs["probability"][known]
    if target.size:
        metrics |= {
            "brier_error": float(((probability - target) ** 2).mean()),
            "log_loss_error": float(losses(outputs, frame).mean()),
            "ece_error": _calibration_error(probability, target),
        }
    if 0 < target.sum() < len(target):
        metrics |= {
            "pr_auc_score": average_precision(probability, target),
            "auc_score": _auc(probability, target),
            "recall_at_10_score": captured(probability, target, share=0.1),
        }
    amount = true_amounts(frame)[known]
    if amount.sum() > 0:
        metrics |= _money(
            outputs["expected_missing_amount"][known],
            outputs["gap_amount"][known],
            amount=amount,
            target=target,
        )
    return metrics


def _money(
    expected: FloatArray, gap: FloatArray, *, amount: FloatArray, target: FloatArray
) -> dict[str, float]:
    """Measure the ranking by expected money, and the amounts."""
    mean_leak = float(amount[target == 1].mean())
    return {
        "value_captured_at_4_score": captured(expected, amount, share=0.04),
        "value_captured_at_8_score": captured(expected, amount, share=0.08),
        "total_ratio": float(expected.sum() / amount.sum()),
        "amount_mae_error": float(np.abs(gap - amount)[target == 1].mean()) / mean_leak,
        "missing_mae_error": float(np.abs(expected - amount).mean()) / mean_leak,
    }


def losses(outputs: Mapping[str, FloatArray], frame: Frame) -> FloatArray:
    """Log-loss of each audited row, shape ``(labelled rows,)``; lower is better."""
    known = ~np.isnan(frame.target)
    chance = np.clip(outputs["probability"][known], LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    target = frame.target[known]
    return np.asarray(-np.log(np.where(target == 1, chance, 1 - chance)), dtype=np.float64)


def true_amounts(frame: Frame) -> FloatArray:
    """True missing amounts: 0 where nothing leaks or none was written down, shape ``(n,)``."""
    if frame.amount is None:
        return np.zeros(len(frame.target))
    leaking = (frame.target == 1) & (frame.amount > 0)
    return np.where(leaking, frame.amount, 0.0)


def captured(ranking: FloatArray, value: FloatArray, *, share: float) -> float:
    """Share of the value that stands in the top ``share`` of a ranking, from 0 to 1."""
    top = np.argsort(-ranking, kind="stable")[: int(np.ceil(share * len(ranking)))]
    return float(value[top].sum() / value.sum())


def average_precision(score: FloatArray, target: FloatArray) -> float:
    """Area under precision over recall, by steps (ties share one step)."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(target[order])
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    recall = hits[last] / hits[-1]
    precision = hits[last] / (last + 1)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def _auc(score: FloatArray, target: FloatArray) -> float:
    """Probability that a leak is ranked above a sound record; ties count half."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    leaks = target.sum()
    above = rank[target == 1].sum() - leaks * (leaks + 1) / 2
    return float(above / (leaks * (len(target) - leaks)))


def _calibration_error(probability: FloatArray, target: FloatArray) -> float:
    """Expected calibration error over ten bins of equal size, from 0 (best) to 1."""
    bins = np.array_split(np.argsort(probability, kind="stable"), CALIBRATION_BINS)
    gaps = [abs(probability[b].mean() - target[b].mean()) * len(b) for b in bins if len(b)]
    return float(sum(gaps) / len(target))
