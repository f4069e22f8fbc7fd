"""Fits what the rest of a record lets expect of each of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from bentos.anomaly.context import Context, Tail
from core.encoding import FloatArray

IntArray = npt.NDArray[np.int64]
_RIDGE = 1.0
_ROUNDS = 3
_HUBER = 2.5
_GRID = 96
_STEEPEST = 1 / 0.12  # what a normal residual rises by; no tail is taken to be thinner
_LOG_SPAN = 4.0
_MOST_LEVELS, _MOST_PAIRED, _MOST_CELLS = 60, 6, 1500
_LEAST_LIFT = 0.5


def fit_context(matrix: FloatArray, *, categories: Sequence[int], counts: Sequence[int]) -> Context:
    """Fit the expectations by robust ridge regression, and count the pairs.

    Parameters
    ----------
    matrix
        Shape ``(n, p + c)``: encoded rows, NaN for null.
    categories
        Columns that are categories.
    counts
        How many levels each of them has.
    """
    numbers = np.array([i for i in range(matrix.shape[1]) if i not in categories], dtype=np.int64)
    kept = [(c, n) for c, n in zip(categories, counts, strict=True) if n <= _MOST_LEVELS]
    places = np.array([c for c, _ in kept], dtype=np.int64)
    codes = [_codes(matrix[:, c], n) for c, n in kept]
    values = matrix[:, numbers]
    is_log = np.array([_wants_log(column) for column in values.T], dtype=np.bool_)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(is_log, np.log(values), values)
    centre = np.nanmedian(values, axis=0)
    spread = np.nanstd(values, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    scaled = (values - centre) / spread
    paired = _paired([n for _, n in kept])
    whole, alone = _Expectation(len(numbers), kept), _Expectation(len(numbers), kept, paired)
    for number in range(len(numbers)):
        whole.learn(number, scaled, codes)
        if kept:
            alone.learn(number, scaled, codes)
    draft = Context(
        numbers=numbers, categories=places, is_log=is_log, centre=centre, spread=spread,
        weights=whole.weights, offsets=np.vstack([whole.offset, alone.offset]),
        levels=tuple(np.stack(two) for two in zip(whole.levels, alone.levels, strict=True)),
        pairs=alone.pairs, rarity=_rarity(codes, [n for _, n in kept]),
        tail=Tail(np.zeros(1), np.ones((2, 1)), np.ones(1)),
    )  # fmt: skip
    tail = fit_tail(draft.residuals(matrix))
    return replace(draft, tail=tail)


def fit_tail(residuals: FloatArray) -> Tail:
    """Fit the tail of each residual to its own core (Pareto between its median and 95 %)."""
    centre = np.nan_to_num(np.nanmedian(residuals, axis=0))
    size = np.abs(residuals - centre)
    grid = np.nan_to_num(np.nanquantile(size, np.linspace(0, 0.95, _GRID), axis=0), nan=1.0)
    middle, top = np.nan_to_num(np.nanmedian(size, axis=0)), grid[-1]
    top = np.maximum(top, 1e-9)
    middle = np.maximum(middle, top * 1e-3)
    slope = np.minimum(np.log(10.0) / np.maximum(np.log(top / middle), 1e-9), _STEEPEST)
    return Tail(centre, np.vstack([grid[:-1], top]), slope)


class _Expectation:
    """Linear expectations of all numbers, learned one at a time."""

    def __init__(
        self,
        numbers: int,
        categories: Sequence[tuple[int, int]],
        pairs: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        self._from_numbers = pairs is None
        self.weights = np.zeros((numbers, numbers))
        self.offset = np.zeros(numbers)
        self.levels = [np.zeros((count + 1, numbers)) for _, count in categories]
        self.pairs: dict[tuple[int, int], FloatArray] = {}
        for one, other in pairs or ():
            shape = (categories[one][1] + 1, categories[other][1] + 1, numbers)
            self.pairs[one, other] = np.zeros(shape)

    def learn(self, number: int, scaled: FloatArray, codes: Sequence[IntArray]) -> None:
        """Learn what is expected of one number."""
        rows = ~np.isnan(scaled[:, number])
        others = [j for j in range(scaled.shape[1]) if j != number] if self._from_numbers else []
        blocks = [np.nan_to_num(scaled[rows][:, others])]
        blocks += [
            np.eye(len(table))[code[rows]] for table, code in zip(self.levels, codes, strict=True)
        ]
        for (one, other), table in self.pairs.items():
            cells = codes[one][rows] * table.shape[1] + codes[other][rows]
            blocks.append(np.eye(table.shape[0] * table.shape[1])[cells])
        weights = _robust(np.hstack(blocks), scaled[rows, number])
        self.offset[number] = weights[0]
        self.weights[number, others] = weights[1 : 1 + len(others)]
        start = 1 + len(others)
        for table in self.levels:
            table[:, number] = weights[start : start + len(table)]
            table[-1, number] = 0.0
            start += len(table)
        for table in self.pairs.values():
            size = table.shape[0] * table.shape[1]
            table[:, :, number] = weights[start : start + size].reshape(table.shape[:2])
            start += size


def _robust(design: FloatArray, target: FloatArray) -> FloatArray:
    """Ridge regression in which what lies far off counts less (Huber 1964)."""
    whole = np.hstack([np.ones((len(design), 1)), design])
    ridge = _RIDGE * np.eye(whole.shape[1])
    ridge[0, 0] = 1e-9
    trust = np.ones(len(target))
    weights = np.zeros(whole.shape[1])
    for _ in range(_ROUNDS):
        left = whole * trust[:, None]
        weights = np.linalg.solve(left.T @ whole + ridge, left.T @ target)
        residual = np.abs(target - whole @ weights)
        scale = 1.4826 * np.median(residual) + 1e-9
        trust = 1 / np.maximum(1.0, residual / (_HUBER * scale))
    return weights


def _codes(values: FloatArray, count: int) -> IntArray:
    return np.where(np.isnan(values), count, values).astype(np.int64)


def _wants_log(column: FloatArray) -> bool:
    """Tell whether a number spreads by factors: positive, and far above its median at most."""
    known = column[~np.isnan(column)]
    return bool(len(known) and known.min() > 0 and known.max() > _LOG_SPAN * np.median(known))


def _paired(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Choose the pairs of categories whose cells are few enough to be learned."""
    small = sorted(range(len(counts)), key=lambda i: counts[i])[:_MOST_PAIRED]
    found, cells = [], 0
    for one, other in combinations(sorted(small), 2):
        size = (counts[one] + 1) * (counts[other] + 1)
        if cells + size <= _MOST_CELLS:
            found.append((one, other))
            cells += size
    return found


def _rarity(
    codes: Sequence[IntArray], counts: Sequence[int]
) -> Mapping[tuple[int, int], FloatArray]:
    """Evidence of pairs that are met far less often than their levels by chance would be."""
    tables = {}
    for one, other in combinations(range(len(counts)), 2):
        shape = (counts[one] + 1, counts[other] + 1)
        met = np.zeros(shape)
        np.add.at(met, (codes[one], codes[other]), 1.0)
        chance = met.sum(axis=1, keepdims=True) * met.sum(axis=0, keepdims=True) / met.sum()
        lift = (met + 0.5) / (chance + 0.5)
        rare = -np.log(np.maximum(met, 1.0) / met.sum())
        evidence = np.where(lift < _LEAST_LIFT, rare * np.minimum(-np.log(lift) / 2, 1.0), 0.0)
        evidence[-1], evidence[:, -1] = 0.0, 0.0
        tables[one, other] = evidence
    return tables
