"""Whether each value fits the rest of its record: valid values can be a wrong combination."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray

_TINY = 1e-12
_CORE = 0.95
_BLOCK = 2048  # rows at a time: memory stays small where a hundred thousand rows are trained on
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
        below = (size[:, :, None] > self._sizes).sum(axis=2)
        beyond = np.log(np.maximum(size, _TINY) / self._top) * self.slope - np.log1p(-_CORE)
        found = np.where(size > self._top, beyond, self._within[below])
        evidence: FloatArray = np.minimum(found, MOST_EVIDENCE)
        return evidence

    @cached_property
    def _sizes(self) -> FloatArray:
        """The quantiles, those of one detector side by side."""
        return np.ascontiguousarray(self.grid.T)

    @cached_property
    def _top(self) -> FloatArray:
        top: FloatArray = np.maximum(self.grid[-1], _TINY)
        return top

    @cached_property
    def _within(self) -> FloatArray:
        """Evidence by the number of quantiles that lie below a residual."""
        steps = len(self.grid) - 1
        passed = np.minimum(np.arange(steps + 2), steps)
        evidence: FloatArray = -np.log1p(-_CORE * passed / steps)
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

    def residuals(self, matrix: FloatArray) -> FloatArray:
        """Give how far each number is from both expectations, shape ``(n, 2p)`` or ``(n, p)``."""
        return _in_blocks(lambda rows: self._apart(rows, self._tables.places(rows)), matrix)

    def evidence(self, matrix: FloatArray) -> FloatArray:
        """Give each detector's evidence, shape ``(n, k)``: 0 up, about 1 for a usual record."""
        return _in_blocks(self._evidence, matrix)

    def _evidence(self, matrix: FloatArray) -> FloatArray:
        places = self._tables.places(matrix)
        found = self.tail.evidence(self._apart(matrix, places))
        if not self.rarity:
            return found
        rare = self._tables.rarity[places[:, -len(self.rarity) :]]
        return np.concatenate([found, rare], axis=1)

    def _apart(self, matrix: FloatArray, places: npt.NDArray[np.int64]) -> FloatArray:
        values = matrix[:, self.numbers]
        if self._has_logs:
            values = np.where(self.is_log, np.log(np.maximum(values, _TINY)), values)
        scaled: FloatArray = (values - self.centre) / self.spread
        known = np.where(np.isfinite(scaled), scaled, 0.0)
        linear = (known[:, None, :] * self.weights).sum(axis=2)
        if not self.levels:
            only: FloatArray = scaled - (self.offsets[0] + linear)
            return only
        effects = self._tables.effects[places[:, : len(self.levels) + len(self.pairs)]]
        expected = self.offsets + effects.sum(axis=1)
        expected[:, 0] += linear
        both: FloatArray = (scaled[:, None] - expected).reshape(len(matrix), 2 * scaled.shape[1])
        return both

    @cached_property
    def _has_logs(self) -> bool:
        return bool(self.is_log.any())

    @cached_property
    def _tables(self) -> _Tables:
        return _Tables.lay_out(self)

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


@dataclass(frozen=True)
class _Tables:
    """All tables one after another, so that one look-up of a record's levels answers for all.

    Parameters
    ----------
    categories, unknown
        Shape ``(c,)``: columns of the categories, and the place of an unknown level of each.
    steps, starts
        Shapes ``(c, t)`` and ``(t,)``: a record's place in table ``t`` is ``codes @ steps +
        starts``; the tables are those of levels, of pairs, and of rare pairs.
    effects
        Shape ``(cells, 2, p)``: effects on both expectations.
    rarity
        Shape ``(cells,)``: evidence of rare pairs.
    """

    categories: npt.NDArray[np.int64]
    unknown: npt.NDArray[np.int64]
    steps: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    effects: FloatArray
    rarity: FloatArray

    def places(self, matrix: FloatArray) -> npt.NDArray[np.int64]:
        """Give the place of each record in each table, shape ``(n, t)``."""
        values = matrix[:, self.categories]
        codes = np.where(np.isnan(values), self.unknown, values).astype(np.int64)
        places: npt.NDArray[np.int64] = codes @ self.steps + self.starts
        return places

    @classmethod
    def lay_out(cls, context: Context) -> _Tables:
        """Lay a context's tables one after another."""
        width = len(context.numbers)
        heights = np.array([table.shape[1] for table in context.levels], dtype=np.int64)
        levels = [table.transpose(1, 0, 2) for table in context.levels]
        # A pair of levels counts where categories alone are known.
        pairs = [
            np.stack([np.zeros_like(table), table], axis=2).reshape(-1, 2, width)
            for table in context.pairs.values()
        ]
        rare = [table.ravel() for table in context.rarity.values()]
        effects = [np.zeros((0, 2, width)), *levels, *pairs]
        steps = [*np.eye(len(heights), dtype=np.int64)]
        for one, other in (*context.pairs, *context.rarity):
            step = np.zeros(len(heights), dtype=np.int64)
            step[one], step[other] = heights[other], 1
            steps.append(step)
        return cls(
            categories=context.categories, unknown=heights - 1,
            steps=np.array(steps, dtype=np.int64).reshape(len(steps), len(heights)).T.copy(),
            starts=np.concatenate([_starts(levels + pairs), _starts(rare)]),
            effects=np.concatenate(effects), rarity=np.concatenate([np.zeros(0), *rare]),
        )  # fmt: skip


def _starts(tables: Sequence[FloatArray]) -> npt.NDArray[np.int64]:
    """Give where each table begins when they lie one after another."""
    ends = np.cumsum([0, *(len(table) for table in tables)], dtype=np.int64)
    return ends[:-1]


def _in_blocks(work: Callable[[FloatArray], FloatArray], matrix: FloatArray) -> FloatArray:
    """Work on a few rows at a time; each row is worked on by itself."""
    if len(matrix) <= _BLOCK:
        return work(matrix)
    return np.concatenate([work(matrix[i : i + _BLOCK]) for i in range(0, len(matrix), _BLOCK)])
