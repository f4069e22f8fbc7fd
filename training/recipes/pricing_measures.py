"""How good the served curves are on rows that they have not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bentos.pricing.optimum import best_prices
from bentos.pricing.predictor import PricingPredictor
from core.encoding import FloatArray
from training.frame import Frame

Outputs = Mapping[str, npt.NDArray[Any]]
BINS = 10
STEPS = 25
AT_EDGE = 1e-6


def answers_on(predictor: PricingPredictor, frame: Frame) -> dict[str, npt.NDArray[Any]]:
    """Answer ``n`` rows at their own price, and recommend a price with no limit but history.

    Returns
    -------
    dict
        Arrays of shape ``(n,)``: ``response``, ``low``, ``high``, ``elasticity`` and ``eta`` at
        the own price; ``price``, ``cost``; ``best_price`` for profit, ``best_profit``,
        ``own_profit`` by the curve; ``is_at_edge``; ``rises`` (whether the curve rises anywhere);
        ``is_win`` and ``level``.
    """
    parts = []
    for start in range(0, len(frame), 4096):
        rows = np.arange(start, min(start + 4096, len(frame)))
        parts.append(_answers(predictor, {k: v[rows] for k, v in frame.columns.items()}))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _answers(predictor: PricingPredictor, columns: Any) -> dict[str, npt.NDArray[Any]]:
    matrix = predictor.encoder.encode(columns)
    curves, cost = predictor.curves(matrix), predictor.costs(matrix)
    price = np.asarray(columns[predictor.price_name], dtype=np.float64)
    first, last = predictor.seen_prices(matrix)
    low = np.minimum(np.maximum(first, cost), last)
    best = best_prices(curves, cost, low, last, "profit")
    grid = np.exp(np.linspace(np.log(first), np.log(last), STEPS, axis=1))
    falls = np.diff(curves.response(grid), axis=1)
    edge: npt.NDArray[np.bool_] = np.logical_or(
        best <= low * (1 + AT_EDGE), best >= last * (1 - AT_EDGE)
    )
    count = len(price)
    more: dict[str, npt.NDArray[Any]] = {
        "eta": curves.eta(price), "price": price, "cost": cost, "best_price": best,
        "best_profit": (best - cost) * curves.response(best),
        "own_profit": (price - cost) * curves.response(price),
        "is_at_edge": edge, "rises": np.asarray((falls > 0).any(axis=1)),
        "is_win": np.full(count, curves.is_win), "level": np.full(count, predictor.level),
    }  # fmt: skip
    return predictor.score(columns) | more


def measures(outputs: Outputs, frame: Frame) -> dict[str, float]:
    """Measure answers against outcomes.

    Parameters
    ----------
    outputs
        What ``answers_on`` gave.
    frame
        The ``n`` rows; those without an outcome are left out.

    Returns
    -------
    dict
        For wins ``log_loss_error``, ``brier_error``, ``calibration_error`` (0 is best) and
        ``auc_score`` (1 is best). For volume ``r2_score`` of the logarithm (1 is best),
        ``wape_error`` of the volume (0 is best) and ``coverage_ratio`` (the level is best). For
        both ``mean_elasticity_ratio``, ``edge_ratio`` (share of best prices at the edge of
        history), ``rising_ratio`` (share of curves that rise anywhere; 0 by construction) and
        ``uplift_ratio`` (profit that the curve promises over that of the own prices).
    """
    known = ~np.isnan(frame.target)
    found = {name: values[known] for name, values in outputs.items()}
    target = frame.target[known]
    own = max(float(np.abs(found["own_profit"]).sum()), 1e-300)
    shared = {
        "mean_elasticity_ratio": float(found["elasticity"].mean()),
        "edge_ratio": float(found["is_at_edge"].mean()),
        "rising_ratio": float(found["rises"].mean()),
        "uplift_ratio": float((found["best_profit"] - found["own_profit"]).sum()) / own,
    }
    own_kind = _wins(found, target) if found["is_win"][0] else _volumes(found, target)
    return own_kind | shared


def _wins(found: Outputs, target: FloatArray) -> dict[str, float]:
    eta, chance = found["eta"], found["response"]
    return {
        "log_loss_error": float((np.logaddexp(0.0, eta) - target * eta).mean()),
        "brier_error": float(((chance - target) ** 2).mean()),
        "calibration_error": calibration_error(target, chance),
        "auc_score": _auc(target, chance),
    }


def _volumes(found: Outputs, target: FloatArray) -> dict[str, float]:
    logs = np.log(target)
    gap = logs - found["eta"]
    spread = max(float(((logs - logs.mean()) ** 2).mean()), 1e-300)
    inside = (target >= found["low"]) & (target <= found["high"])
    return {
        "r2_score": 1.0 - float((gap**2).mean()) / spread,
        "wape_error": float(np.abs(target - found["response"]).sum() / target.sum()),
        "coverage_ratio": float(inside.mean()),
        "mean_width_ratio": float(np.log(found["high"] / found["low"]).mean()),
    }


def calibration_error(target: FloatArray, chance: FloatArray) -> float:
    """Give the expected calibration error over ten bins of as many rows each."""
    parts = np.array_split(np.argsort(chance, kind="stable"), BINS)
    gaps = [abs(float(chance[p].mean() - target[p].mean())) * len(p) for p in parts if len(p)]
    return sum(gaps) / len(target)


def _auc(target: FloatArray, chance: FloatArray) -> float:
    """Give the area under the ROC curve, ties counted half."""
    _, place, counts = np.unique(chance, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    wins = target == 1
    many, few = int(wins.sum()), int((~wins).sum())
    if not many or not few:
        return float("nan")
    return float((ranks[wins].sum() - many * (many + 1) / 2) / (many * few))
