"""Which rows of a batch are unusual, at a stated share of false discoveries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray


@dataclass(frozen=True)
class Discoveries:
    """What a batch as a whole lets one call unusual.

    Parameters
    ----------
    is_flagged
        Shape ``(n,)``.
    p_value_threshold
        Largest p-value that is flagged, 0 to 1; 0 when none is.
    """

    is_flagged: npt.NDArray[np.bool_]
    p_value_threshold: float


def discover(p_values: FloatArray, false_discovery_ratio: float) -> Discoveries:
    """Choose rows so that the expected share of false ones among them keeps to a limit.

    Parameters
    ----------
    p_values
        Shape ``(n,)``, each from 0 to 1.
    false_discovery_ratio
        Limit of that share, above 0 and below 1.

    Returns
    -------
    Discoveries
        Rows whose p-value is at most the largest ``p_(k) <= k / n * ratio``.

    Raises
    ------
    ValueError
        The limit or a p-value is out of its range, or a p-value is not a number.

    Notes
    -----
    Benjamini & Hochberg (1995). The limit holds for independent p-values; conformal ones of one
    calibration sample depend on each other positively, for which it holds too (Bates et al. 2023).
    """
    if not 0.0 < false_discovery_ratio < 1.0:
        raise ValueError(f"false_discovery_ratio is {false_discovery_ratio}, not between 0 and 1")
    if not ((p_values >= 0.0) & (p_values <= 1.0)).all():
        raise ValueError("a p-value is not a number from 0 to 1")
    n = len(p_values)
    ordered = np.sort(p_values)
    passing = np.flatnonzero(ordered <= np.arange(1, n + 1) / max(n, 1) * false_discovery_ratio)
    if not passing.size:
        return Discoveries(np.zeros(n, dtype=np.bool_), 0.0)
    threshold = float(ordered[passing[-1]])
    return Discoveries(p_values <= threshold, threshold)
