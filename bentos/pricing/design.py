"""The context of a row as the numbers that the curve's parameters multiply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Design:
    """Lines, bends, gaps and levels of ``p`` encoded features: ``k`` columns and a constant.

    Every column but the constant has mean 0 over the training rows, so that the constant is the
    usual row. Numbers are held inside the range that was trained on: outside of it an effect stays
    what it was at the border.

    Parameters
    ----------
    numbers
        Shape ``(q,)``: positions of the numbers among the encoded features.
    logs
        Shape ``(q,)``: whether the logarithm of the number counts.
    low, high, middle, spread
        Shape ``(q,)``, after the logarithm: the range of training, its mean and deviation.
    bends, knots
        Shape ``(b,)``: position among the numbers, and where the line may bend, standardised.
    gaps
        Shape ``(g,)``: positions among the numbers of those that may be null.
    level_of, codes
        Shape ``(l,)``: position among the encoded features, and the code that counts.
    centre
        Shape ``(1 + q + b + g + l,)``: mean of each column over the training rows, 0 for the
        constant.
    owner
        Shape as ``centre``: position of the encoded feature each column stems from, -1 for the
        constant.
    """

    numbers: IntArray
    logs: BoolArray
    low: FloatArray
    high: FloatArray
    middle: FloatArray
    spread: FloatArray
    bends: IntArray
    knots: FloatArray
    gaps: IntArray
    level_of: IntArray
    codes: FloatArray
    centre: FloatArray
    owner: IntArray

    def columns_of(self, matrix: FloatArray) -> FloatArray:
        """Give the centred columns.

        Parameters
        ----------
        matrix
            Shape ``(n, p)``: encoded features, NaN for null and for levels not seen.

        Returns
        -------
        ndarray of shape (n, k + 1)
            In C order; the first is the constant.
        """
        raw = matrix[:, self.numbers]
        missing = np.isnan(raw)
        if self.logs.any():
            raw[:, self.logs] = np.log(np.maximum(raw[:, self.logs], 1e-300))
        values = (np.minimum(np.maximum(raw, self.low), self.high) - self.middle) / self.spread
        values[missing] = 0.0
        parts = [
            np.ones((len(matrix), 1)),
            values,
            np.maximum(values[:, self.bends] - self.knots, 0.0),
            missing[:, self.gaps],
            matrix[:, self.level_of] == self.codes,
        ]
        return np.concatenate(parts, axis=1) - self.centre

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give the arrays from which ``from_arrays`` builds the same design."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Design:
        """Build the design that ``to_arrays`` described."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})
