"""How good forecasts are: the measures of the forecasting competitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray
from training.frame import Frame

Outputs = Mapping[str, npt.NDArray[Any]]
_MISS = 0.05  # of the 95 % interval


def evaluate(outputs: Outputs, frame: Frame) -> dict[str, float]:
    """Measure forecasts of the test, each series counting alike.

    Parameters
    ----------
    outputs
        What ``answer`` gave.
    frame
        The test.

    Returns
    -------
    dict
        ``mase_error`` (Hyndman & Koehler 2006), ``smape_error`` (0 to 200), ``wmape_error`` (0 up),
        ``naive_ratio`` (MASE over the seasonal naive's), ``coverage_ratio`` and ``msis_error`` of
        the 95 % interval (Gneiting & Raftery 2007), ``bias_ratio`` (mean error over mean demand).
    """
    known = np.isfinite(outputs["value"]) & np.isfinite(frame.target)
    truth = frame.target[known]
    value, low, high, naive, scale = (
        outputs[name][known] for name in ("value", "low", "high", "naive", "scale")
    )
    _, series = np.unique(frame.entity[known].astype(str), return_inverse=True)
    missed = np.abs(truth - value)
    size = np.maximum(np.abs(truth) + np.abs(value), 1e-12)
    beyond = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    mase = _mean(missed / scale, series)
    return {
        "mase_error": mase,
        "smape_error": _mean(200 * missed / size, series),
        "wmape_error": float(missed.sum() / max(np.abs(truth).sum(), 1e-12)),
        "naive_ratio": mase / max(_mean(np.abs(truth - naive) / scale, series), 1e-12),
        "coverage_ratio": float(np.mean((truth >= low) & (truth <= high))),
        "msis_error": _mean((high - low + 2 / _MISS * beyond) / scale, series),
        "bias_ratio": float((value - truth).sum() / max(np.abs(truth).sum(), 1e-12)),
    }


def losses(outputs: Outputs, frame: Frame) -> FloatArray:
    """Absolute scaled error of each row of the test that has a forecast."""
    known = np.isfinite(outputs["value"]) & np.isfinite(frame.target)
    errors: FloatArray = np.abs(frame.target - outputs["value"])[known] / outputs["scale"][known]
    return errors


def _mean(values: FloatArray, series: npt.NDArray[np.int64]) -> float:
    """Mean over series of their means."""
    counts = np.bincount(series)
    return float((np.bincount(series, weights=values) / counts).mean())
