"""What is usual: what stands for an unknown value, and how rare a forest score is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bentos.anomaly.forest import Forest
from core.encoding import FloatArray


@dataclass(frozen=True)
class Usual:
    """What the training records hold, value by value.

    Parameters
    ----------
    categories
        Shape ``(c,)``: columns of the categories.
    fill
        Shape ``(p,)``: what stands for a null.
    frequency
        Shape ``(c, levels + 1)``: share of each level; the last is that of an unknown one.
    low, high
        Shape ``(p,)``: ends of what nine in ten hold.
    """

    categories: npt.NDArray[np.int64]
    fill: FloatArray
    frequency: FloatArray
    low: FloatArray
    high: FloatArray

    def filled(self, matrix: FloatArray) -> FloatArray:
        """Give what the forest cuts: no nulls, and for a category how frequent its level is."""
        is_unknown = np.isnan(matrix)
        whole = np.where(is_unknown, self.fill, matrix)
        if len(self.categories):
            codes = np.where(is_unknown, -1.0, matrix)[:, self.categories].astype(np.int64)
            whole[:, self.categories] = self.frequency[np.arange(len(self.categories)), codes]
        return whole

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give the arrays from which ``from_arrays`` builds the same."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Usual:
        """Build what ``to_arrays`` described."""
        names = ("categories", "fill", "frequency", "low", "high")
        return cls(**{name: arrays[name] for name in names})


class ForestShare:
    """Share of the training records that the forest finds more unusual, above 0.

    Parameters
    ----------
    forest
        By which records are scored.
    grid
        Shape ``(q,)``: even quantiles of the training records' scores.
    """

    def __init__(self, forest: Forest, grid: FloatArray) -> None:
        self._forest, self._grid = forest, grid
        self._steps = len(grid) - 1
        self._below = np.arange(len(grid), dtype=np.float64) / self._steps

    def of(self, whole: FloatArray) -> FloatArray:
        """Give the share for filled records, shape ``(n,)``."""
        below = np.interp(self._forest.score(whole), self._grid, self._below)
        share: FloatArray = np.maximum(1.0 - below, 0.5 / self._steps)
        return share
