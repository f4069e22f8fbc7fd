"""How good the search for unusual records is, with labels and without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from core.encoding import FloatArray
from training.frame import Frame

Outputs = Mapping[str, npt.NDArray[Any]]
_RATES = (0.1, 0.05, 0.02)


def evaluate(outputs: Outputs, frame: Frame) -> dict[str, float]:
    """Measure answers on the test.

    Parameters
    ----------
    outputs
        What the predictor says of each record.
    frame
        The records, with labels where somebody looked.

    Returns
    -------
    dict
        ``flagged_ratio``: share that is flagged. ``false_alarm_error``: how far the shares with a
        p-value of at most 10, 5 and 2 % are from these, at most. With labels of both kinds
        ``auc_score`` and ``pr_auc_score``; else those are not a number.
    """
    p_value = outputs["p_value"]
    apart = [abs(float(np.mean(p_value <= rate)) - rate) for rate in _RATES]
    found = {
        "flagged_ratio": float(np.mean(outputs["is_anomaly"])),
        "false_alarm_error": max(apart),
        "auc_score": float("nan"),
        "pr_auc_score": float("nan"),
    }
    known = ~np.isnan(frame.target)
    labels = frame.target[known]
    if len(np.unique(labels)) > 1:
        found["auc_score"] = float(roc_auc_score(labels, outputs["score"][known]))
        found["pr_auc_score"] = float(average_precision_score(labels, outputs["score"][known]))
    return found


def losses(outputs: Outputs, frame: Frame) -> FloatArray:
    """Loss of each row: of its label where there is one, else of its p-value's uniformity.

    A label's loss is the logarithmic one of the score. Without any label it is the squared
    distance of the p-value's rank from the p-value itself: 0 where p-values are uniform.
    """
    known = ~np.isnan(frame.target)
    if known.any():
        score = np.clip(outputs["score"][known].astype(np.float64), 1e-6, 1 - 1e-6)
        label = frame.target[known]
        loss: FloatArray = -(label * np.log(score) + (1 - label) * np.log(1 - score))
        return loss
    p_value = outputs["p_value"].astype(np.float64)
    rank = (np.argsort(np.argsort(p_value, kind="stable"), kind="stable") + 0.5) / len(p_value)
    apart: FloatArray = (rank - p_value) ** 2
    return apart
