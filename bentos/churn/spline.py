"""The spline part of the churn model: a logit that is smooth in each number, served with numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

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

    @cached_property
    def _bent(self) -> _Bent:
        """What the bends need of the knots, worked out once."""
        is_bent = np.isfinite(self.knots[:, :1])
        # A number without bends gets any knots, and no weight.
        knots = np.where(is_bent, self.knots, np.arange(self.knots.shape[1]))
        last, before, inner = knots[:, -1:], knots[:, -2:-1], knots[:, :-2]
        scale = is_bent / (last - knots[:, :1]) ** 2
        to_last = scale * (last - inner) / (last - before)
        to_before = scale * (before - inner) / (last - before)
        return _Bent(knots, scale, to_last, to_before)

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
        scaled = (matrix[:, self.positions] - self.center) / self.scale
        missing = np.isnan(scaled)
        if missing.any():
            scaled[missing] = 0.0
        bent = self._bent
        over = np.maximum(scaled[:, :, None] - bent.knots, 0.0)
        cubes = over * over * over
        out = np.empty(cubes.shape)
        out[:, :, 0] = scaled
        bends = out[:, :, 1:-1]
        np.multiply(cubes[:, :, :-2], bent.scale, out=bends)
        bends -= cubes[:, :, -2:-1] * bent.to_last
        bends += cubes[:, :, -1:] * bent.to_before
        out[:, :, -1] = missing
        return out


class _Bent(NamedTuple):
    """Constants of the bends, each of shape ``(q, …)``."""

    knots: FloatArray
    scale: FloatArray
    to_last: FloatArray
    to_before: FloatArray


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
        if self.levels:
            table = self._table
            codes = matrix[:, table.columns]
            known = np.where(np.isnan(codes), table.missing, codes).astype(np.int64)
            out[:, table.columns] = table.weights[table.starts + known]
        out -= self.means
        return out

    @cached_property
    def _table(self) -> _Table:
        """The weights of all levels end to end, so that one look-up serves every column."""
        sizes = np.array([len(weights) for weights in self.levels.values()])
        return _Table(
            columns=np.array(list(self.levels), dtype=np.int64),
            weights=np.concatenate(list(self.levels.values())),
            starts=np.cumsum(sizes) - sizes,
            missing=(sizes - 1).astype(np.float64),
        )

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


class _Table(NamedTuple):
    """Weights of the levels of all columns; ``starts`` says where a column's begin."""

    columns: npt.NDArray[np.int64]
    weights: FloatArray
    starts: npt.NDArray[np.int64]
    missing: FloatArray
