"""How each input was distributed in training: what later traffic is held against."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from core.config import ModelConfig
from core.encoding import Columns

PROFILE = "profile.json"
# Edges of twenty groups of equal size.
STEPS = 20
_MOST_LEVELS = 50


def profile_of(config: ModelConfig, columns: Columns) -> dict[str, dict[str, Any]]:
    """Describe the inputs that a request has.

    Parameters
    ----------
    config
        The model's config.
    columns
        Training columns, each of shape ``(n,)``.

    Returns
    -------
    dict
        For each input the number of ``rows`` and the share of ``nulls``; for a number the ``edges``
        of groups of equal size (least and largest value included), otherwise the ``shares`` of its
        most frequent levels.
    """
    kinds = {"number": _numbers, "integer": _numbers, "boolean": _booleans, "category": _levels}
    return {
        name: kinds[feature.type](columns[name]) for name, feature in config.asked_features.items()
    }


def _numbers(values: npt.NDArray[Any]) -> dict[str, Any]:
    numbers = values.astype(np.float64)
    known = numbers[~np.isnan(numbers)]
    edges = np.quantile(known, np.linspace(0, 1, STEPS + 1)) if known.size else np.empty(0)
    return {
        "rows": len(values),
        "nulls": 1 - known.size / max(len(values), 1),
        "edges": [float(edge) for edge in edges],
    }


def _booleans(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Give the shares of true and false, which a frame has as 1 and 0."""
    known = values[~np.isnan(values)]
    true = float(known.mean()) if known.size else 0.0
    return {
        "rows": len(values),
        "nulls": 1 - known.size / max(len(values), 1),
        "shares": {"true": true, "false": 1 - true} if known.size else {},
    }


def _levels(values: npt.NDArray[Any]) -> dict[str, Any]:
    known = np.array([value for value in values if value is not None], dtype=str)
    names, counts = np.unique(known, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MOST_LEVELS]
    return {
        "rows": len(values),
        "nulls": 1 - len(known) / max(len(values), 1),
        "shares": {str(names[i]): float(counts[i] / len(known)) for i in order},
    }
