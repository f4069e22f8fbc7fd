"""Intervals round a prediction whose coverage was calibrated on the latest outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray

Method = Literal["plain", "scaled", "quantile"]
# Trees of the method: none; the log of the expected gap; the lower and the upper quantile.
TREES: Mapping[Method, int] = {"plain": 0, "scaled": 1, "quantile": 2}


@dataclass(frozen=True)
class Interval:
    """How an interval is laid round a prediction.

    Parameters
    ----------
    method
        ``plain``: constants; ``scaled``: constants times the expected gap; ``quantile``: a lower
        and an upper quantile, moved by constants times their distance.
    level
        Share of outcomes that the interval is to hold.
    lower, upper
        The constants, one for each state of a row's history.
    least_spread
        Floor of the spread, as a share of the scale.
    exact
        For each state, whether the rule is right there up to rounding. Such rows take constants
        alone: trees would lay an interval round rows that have nothing to be unsure of.
    """

    method: Method
    level: float
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    least_spread: float
    exact: tuple[bool, ...]

    def shape(
        self, raw: Sequence[FloatArray], state: npt.NDArray[np.int64]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Give the uncalibrated lower end, upper end and spread, each of shape ``(n,)``.

        All as gaps to the prediction, in shares of the scale.
        """
        low, high, spread = np.zeros(len(state)), np.zeros(len(state)), np.ones(len(state))
        if self.method == "scaled":
            spread = np.maximum(np.exp(raw[0]), self.least_spread)
        elif self.method == "quantile":
            low, high = np.minimum(raw[0], raw[1]), np.maximum(raw[0], raw[1])
            spread = np.maximum(high - low, self.least_spread)
        exact = np.asarray(self.exact)[state]
        return np.where(exact, 0.0, low), np.where(exact, 0.0, high), np.where(exact, 1.0, spread)

    def bounds(
        self,
        predicted: FloatArray,
        *,
        raw: Sequence[FloatArray],
        scale: FloatArray,
        state: npt.NDArray[np.int64],
    ) -> tuple[FloatArray, FloatArray]:
        """Give the ends of the intervals, each of shape ``(n,)``, in money.

        Parameters
        ----------
        predicted
            Predicted amounts.
        raw
            Outputs of the method's trees.
        scale
            What the trees' output is a share of.
        state
            State of each row's history.
        """
        low, high, spread = self.shape(raw, state)
        below = predicted + scale * (low - np.asarray(self.lower)[state] * spread)
        above = predicted + scale * (high + np.asarray(self.upper)[state] * spread)
        # A skewed row's mean may lie outside of its quantiles: the interval is widened to hold it.
        return np.minimum(below, predicted), np.maximum(above, predicted)

    def to_json(self) -> dict[str, Any]:
        """Give the plain data from which ``from_json`` builds the same interval."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Interval:
        """Build the interval that ``to_json`` described."""
        return cls(
            method=data["method"],
            level=float(data["level"]),
            lower=tuple(data["lower"]),
            upper=tuple(data["upper"]),
            least_spread=float(data["least_spread"]),
            exact=tuple(data["exact"]),
        )
