"""The spline part of the churn model: a logit that is smooth in each number, served with numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray


@dataclass(frozen=True)
class Basis:
    """Restricted cubic splines of the numbers of a matrix (Harrell 2001, section 2.4.5).

    Between the knots each number bends, beyond the outer ones it goes on in a straight line, so
    that a value outside of the training range is no surprise.

    Parameters
    ----------
    positions
        Shape ``(q,)``: columns of the matrix that are numbers.
    center, scale
        Shape ``(q,)``: what is subtracted, then divided by; a missing number counts as center.
    knots
        Shape ``(q, k)``, on the scaled numbers; a number without bends has ``inf`` everywhere.
    """

    positions: npt.NDArray[np.int64]
    center: FloatArray
    scale: FloatArray
    knots: FloatArray

    def terms(self, matrix: FloatArray) -> FloatArray:
        """Give the terms of each number.

        Parameters
        ----------
        matrix
            Shape ``(n, p)``, NaN where missing.

        Returns
        -------
        ndarray of shape (n, q, k)
            One straight term, ``k - 2`` bent ones, and one that is 1 where the number is missing.
        """
        numbers = matrix[:, self.positions]
        missing = np.isnan(numbers)
        scaled = np.where(missing, 0.0, (numbers - self.center) / self.scale)
        out = np.empty((*scaled.shape, self.knots.shape[1]))
        out[:, :, 0] = scaled
        out[:, :, 1:-1] = self._bends(scaled)
        out[:, :, -1] = missing
        return out

    def _bends(self, scaled: FloatArray) -> FloatArray:
        bent = np.isfinite(self.knots[:, 0])
        knots = np.where(bent[:, None], self.knots, np.arange(self.knots.shape[1]))
        cubes = np.maximum(scaled[:, :, None] - knots, 0.0) ** 3
        last, before = knots[:, -1:], knots[:, -2:-1]
        inner = knots[:, :-2]
        bends = (
            cubes[:, :, :-2]
            - cubes[:, :, -2:-1] * ((last - inner) / (last - before))
            + cubes[:, :, -1:] * ((before - inner) / (last - before))
        )
        bends /= (last - knots[:, :1]) ** 2
        return np.where(bent[:, None], bends, 0.0)


@dataclass(frozen=True)
class SplineLogit:
    """Log-odds as a sum of one smooth effect a number and one effect a level.

    Parameters
    ----------
    basis
        The terms of the numbers.
    weights
        Shape ``(q, k)``: weights of those terms.
    levels
        By column of the matrix: weights of its levels, and last the one of a missing level.
    intercept
        Log-odds when every effect is at its training mean.
    means
        Shape ``(p,)``: training mean of each column's effect, which is subtracted.
    """

    basis: Basis
    weights: FloatArray
    levels: Mapping[int, FloatArray]
    intercept: float
    means: FloatArray

    def effects(self, matrix: FloatArray) -> FloatArray:
        """Give each column's effect on the log-odds, around its training mean.

        Parameters
        ----------
        matrix
            Shape ``(n, p)``.

        Returns
        -------
        ndarray of shape (n, p)
            With the intercept they sum to the log-odds.
        """
        out = np.zeros(matrix.shape)
        out[:, self.basis.positions] = (self.basis.terms(matrix) * self.weights).sum(axis=2)
        for column, weights in self.levels.items():
            codes = matrix[:, column]
            known = np.where(np.isnan(codes), len(weights) - 1, codes).astype(np.int64)
            out[:, column] = weights[known]
        return out - self.means

    def log_odds(self, matrix: FloatArray) -> FloatArray:
        """Give the log-odds, shape ``(n,)``."""
        log_odds: FloatArray = self.intercept + self.effects(matrix).sum(axis=1)
        return log_odds

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give the arrays from which ``from_arrays`` builds the same model."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "positions": self.basis.positions,
            "center": self.basis.center,
            "scale": self.basis.scale,
            "knots": self.basis.knots,
            "weights": self.weights,
            "intercept": np.array([self.intercept]),
            "means": self.means,
        }
        return arrays | {f"levels_{column}": w for column, w in self.levels.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> SplineLogit:
        """Build the model that ``to_arrays`` described."""
        names = ("positions", "center", "scale", "knots")
        levels = {
            int(name.removeprefix("levels_")): weights
            for name, weights in arrays.items()
            if name.startswith("levels_")
        }
        return cls(
            basis=Basis(*(arrays[name] for name in names)),
            weights=arrays["weights"],
            levels=levels,
            intercept=float(arrays["intercept"][0]),
            means=arrays["means"],
        )
