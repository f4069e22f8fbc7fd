"""How well the weeks of the test are predicted from what was spent in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray
from training.frame import Frame

Outputs = Mapping[str, npt.NDArray[Any]]


def evaluate(outputs: Outputs, frame: Frame) -> dict[str, float]:
    """Measure the predicted outcome of the test.

    Fit is not attribution: these figures guard against a broken base or table; that the split is
    right only an experiment shows.

    Parameters
    ----------
    outputs
        What ``answer`` gave.
    frame
        The test.

    Returns
    -------
    dict
        ``nrmse_error`` (root mean squared error over the range of all weeks), ``mape_error``,
        ``r2_score``, ``coverage_ratio`` of the 90 % interval, ``bias_ratio`` (mean error over mean
        outcome), ``identified_ratio`` (channels of which the history tells), ``rhat_error`` (of
        the sampler; 1 is none).
    """
    truth, value = frame.target, outputs["value"]
    missed = truth - value
    around = float(((truth - truth.mean()) ** 2).sum())
    held = (truth >= outputs["low"]) & (truth <= outputs["high"])
    size = max(float(np.abs(truth).mean()), 1e-12)
    return {
        "nrmse_error": float(np.sqrt((missed**2).mean()) / outputs["range"][0]),
        "mape_error": float((np.abs(missed) / np.maximum(np.abs(truth), 1e-12)).mean()),
        "r2_score": 1 - float((missed**2).sum()) / around if around else float("nan"),
        "coverage_ratio": float(held.mean()),
        "bias_ratio": float(-missed.mean()) / size,
        "identified_ratio": float(outputs["identified"][0]),
        "rhat_error": float(outputs["rhat"][0]),
    }


def losses(outputs: Outputs, frame: Frame) -> FloatArray:
    """Absolute error of each week of the test, over the mean outcome."""
    size = max(float(np.abs(frame.target).mean()), 1e-12)
    errors: FloatArray = np.abs(frame.target - outputs["value"]) / size
    return errors
