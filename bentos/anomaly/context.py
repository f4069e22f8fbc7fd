"""Whether each value fits the rest of its record: valid values can be a wrong combination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray

_TINY = 1e-12
MOST_EVIDENCE = 20.0


@dataclass(frozen=True)
class Tail:
    """How rare residuals of a size are, for ``k`` detectors.

    Up to the 95 % quantile the share above is that of the training; beyond, it falls with a power
    of the size (Pareto), fitted to what lies between the median and that quantile: anomalies in the
    training then do not hide themselves.

    Parameters
    ----------
    centre
        Shape ``(k,)``: median residual.
    grid
        Shape ``(q, k)``: quantiles of the absolute residual from 0 to 95 %, evenly.
    slope
        Shape ``(k,)``: rise of the evidence with the logarithm of the size.
    """

    centre: FloatArray
    grid: FloatArray
    slope: FloatArray

    def evidence(self, residual: FloatArray) -> FloatArray:
        """Give minus the logarithm of the share of larger residuals, shape ``(n, k)``; NaN is 0."""
        size = np.abs(residual - self.centre)
        top = self.grid[-1]
        steps = len(self.grid) - 1
        below = (size[:, None, :] > self.grid[None]).sum(axis=1)
        share = 0.95 * np.minimum(below, steps) / steps
        beyond = (
            np.log(20.0) + np.log(np.maximum(size, _TINY) / np.maximum(top, _TINY)) * self.slope
        )
        found = np.where(size > top, beyond, -np.log1p(-share))
        evidence: FloatArray = np.minimum(np.nan_to_num(found), MOST_EVIDENCE)
        return evidence


@dataclass(frozen=True)
class Context:
    """Linear expectations of every number from the rest of a record, and the rarity of pairs.

    Parameters
    ----------
    numbers, categories
        Columns of the encoded matrix: ``p`` numbers and ``c`` categories.
    is_log, centre, spread
        Shape ``(p,)``: how a number is scaled.
    weights
        Shape ``(p, p)``: row ``j`` expects number ``j`` from the others.
    offsets
        Shape ``(2, p)``: intercepts of the expectation from everything, and from categories alone.
    levels
        Per category, shape ``(2, levels + 1, p)``: effects on both; the last is an unknown level.
    pairs
        Places of two categories -> effects on the second expectation, shape ``(l, m, p)``.
    rarity
        Places of two categories -> evidence of a rare pair, shape ``(l, m)``.
    tail
        Of the residuals: those from everything, then those from categories alone.
    """

    numbers: npt.NDArray[np.int64]
    categories: npt.NDArray[np.int64]
    is_log: npt.NDArray[np.bool_]
    centre: FloatArray
    spread: FloatArray
    weights: FloatArray
    offsets: FloatArray
    levels: tuple[FloatArray, ...]
    pairs: Mapping[tuple[int, int], FloatArray]
    rarity: Mapping[tuple[int, int], FloatArray]
    tail: Tail

    def scaled(self, matrix: FloatArray) -> FloatArray:
        """Give the numbers on a common scale, shape ``(n, p)``; NaN where unknown."""
        values = matrix[:, self.numbers]
        if self.is_log.any():
            values = np.where(self.is_log, np.log(np.maximum(values, _TINY)), values)
        scaled: FloatArray = (values - self.centre) / self.spread
        return scaled

    def codes(self, matrix: FloatArray) -> list[npt.NDArray[np.int64]]:
        """Give each category's places in the tables; unknown levels have the last one."""
        found = []
        for column, table in zip(self.categories, self.levels, strict=True):
            values = matrix[:, column]
            found.append(np.where(np.isnan(values), table.shape[1] - 1, values).astype(np.int64))
        return found

    def residuals(self, matrix: FloatArray) -> FloatArray:
        """Give how far each number is from both expectations, shape ``(n, 2p)`` or ``(n, p)``."""
        scaled = self.scaled(matrix)
        known = np.nan_to_num(scaled)
        expected = self.offsets[0] + (known[:, None, :] * self.weights).sum(axis=2)
        if not self.levels:
            apart: FloatArray = scaled - expected
            return apart
        alone = np.broadcast_to(self.offsets[1], scaled.shape)
        codes = self.codes(matrix)
        for code, table in zip(codes, self.levels, strict=True):
            expected = expected + table[0][code]
            alone = alone + table[1][code]
        for (one, other), table in self.pairs.items():
            alone = alone + table[codes[one], codes[other]]
        return np.concatenate([scaled - expected, scaled - alone], axis=1)

    def evidence(self, matrix: FloatArray) -> FloatArray:
        """Give each detector's evidence, shape ``(n, k)``: 0 up, about 1 for a usual record."""
        found = self.tail.evidence(self.residuals(matrix))
        if not self.rarity:
            return found
        codes = self.codes(matrix)
        rare = [table[codes[one], codes[other]] for (one, other), table in self.rarity.items()]
        return np.concatenate([found, np.column_stack(rare)], axis=1)

    def strength(self, matrix: FloatArray) -> FloatArray:
        """Give the strongest evidence less what the number of detectors gives by luck, ``(n,)``."""
        found = self.evidence(matrix)
        strength: FloatArray = np.maximum(found.max(axis=1) - np.log(found.shape[1]), 0.0)
        return strength

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give the arrays from which ``from_arrays`` builds the same context."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "numbers": self.numbers, "categories": self.categories, "is_log": self.is_log,
            "centre": self.centre, "spread": self.spread, "weights": self.weights,
            "offsets": self.offsets, "tail.centre": self.tail.centre, "tail.grid": self.tail.grid,
            "tail.slope": self.tail.slope,
        }  # fmt: skip
        for place, table in enumerate(self.levels):
            arrays[f"levels.{place:03d}"] = table
        for name, tables in (("pairs", self.pairs), ("rarity", self.rarity)):
            for (one, other), table in tables.items():
                arrays[f"{name}.{one:03d}.{other:03d}"] = table
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Context:
        """Build the context that ``to_arrays`` described."""

        def tables(name: str) -> dict[tuple[int, int], FloatArray]:
            found = {}
            for key in sorted(arrays):
                if key.startswith(f"{name}."):
                    _, one, other = key.split(".")
                    found[int(one), int(other)] = arrays[key]
            return found

        levels = [arrays[key] for key in sorted(arrays) if key.startswith("levels.")]
        tail = Tail(arrays["tail.centre"], arrays["tail.grid"], arrays["tail.slope"])
        return cls(
            numbers=arrays["numbers"], categories=arrays["categories"], is_log=arrays["is_log"],
            centre=arrays["centre"], spread=arrays["spread"], weights=arrays["weights"],
            offsets=arrays["offsets"], levels=tuple(levels), pairs=tables("pairs"),
            rarity=tables("rarity"), tail=tail,
        )  # fmt: skip
