"""Learns what peers usually show; a training row has no vote in its own standing.

Each group's center is a median, its spread an interquartile range: one leak among the peers moves
neither. Small groups are shrunk towards the level above by empirical Bayes (Efron & Morris 1975):
as far as the noise of their median outweighs how much groups differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bentos.revenue_leak.peers import Chain, IntArray, Level, Standing, pack
from core.encoding import FloatArray

# Interquartile range of a normal variable in standard deviations.
IQR_PER_SD = 1.349
# Variance of a median over that of a mean, normal values: pi / 2.
MEDIAN_PRICE = 1.571
# Rows' worth of trust in the pooled spread when a group's own is judged.
SPREAD_PRIOR_ROWS = 8.0
LEAST_SPREAD = 1e-4
# A spread pooled from fewer rows, or from groups with fewer peers, is taken from the level above.
LEAST_POOLED_ROWS = 20
LEAST_PEERS = 2


@dataclass(frozen=True)
class _Groups:
    """Values of one level, sorted by group and value; ``n`` kept rows in ``g`` groups."""

    rows: IntArray  # (n,) positions in the table, in sorted order
    values: FloatArray  # (n,) sorted inside each group
    keys: IntArray  # (g,)
    start: IntArray  # (g,)
    size: IntArray  # (g,)
    group: IntArray  # (n,) group of each sorted row

    @classmethod
    def of(cls, values: FloatArray, keys: IntArray) -> _Groups:
        kept = np.flatnonzero(np.isfinite(values) & (keys >= 0))
        rows = kept[np.lexsort((values[kept], keys[kept]))]
        found, start, size = np.unique(keys[rows], return_index=True, return_counts=True)
        group = np.repeat(np.arange(found.size), size)
        return cls(rows, values[rows], found, start, size, group)

    def quantile(self, share: float) -> FloatArray:
        """Quantile of each group, shape ``(g,)``."""
        at = self.start + share * (self.size - 1)
        low = np.floor(at).astype(np.int64)
        high = np.minimum(low + 1, self.start + self.size - 1)
        found: FloatArray = self.values[low] + (at - low) * (self.values[high] - self.values[low])
        return found

    def quantile_without(self, share: float) -> FloatArray:
        """Quantile of each row's group without the row, shape ``(n,)``; 0 where it is alone."""
        start, size = self.start[self.group], self.size[self.group]
        rank = np.arange(len(self.rows)) - start
        at = share * np.maximum(size - 2, 0)
        low = np.floor(at).astype(np.int64)
        high = np.minimum(low + 1, np.maximum(size - 2, 0))
        # Ranks from the row's own on belong to the next value once the row is gone.
        first = np.minimum(start + low + (low >= rank), start + size - 1)
        second = np.minimum(start + high + (high >= rank), start + size - 1)
        found = self.values[first] + (at - low) * (self.values[second] - self.values[first])
        return np.where(size > 1, found, 0.0)


def learn_chain(
    values: FloatArray, *, codes: Mapping[str, FloatArray], levels: Sequence[Sequence[str]]
) -> tuple[Chain, Standing]:
    """Learn a chain of peer groups from history.

    Parameters
    ----------
    values
        Shape ``(n,)``; NaN has no vote.
    codes
        Codes of the categories, each of shape ``(n,)``; NaN for null.
    levels
        One or two names of categories for each level, coarsest first.

    Returns
    -------
    Chain
        For rows to come.
    Standing
        Of the training rows themselves, each without its own vote, shapes ``(n,)``.
    """
    root = _root(values)
    parts = Standing(*(np.full(len(values), value) for value in root))
    parents = parts
    learned: list[Level] = []
    for names in levels:
        groups = _Groups.of(values, pack([codes[name] for name in names]))
        level, parts, parents = _learn_level(groups, names, without=parts, parents=parents)
        learned.append(level)
    return Chain(root=root, levels=tuple(learned)), parts


def _learn_level(
    groups: _Groups, names: Sequence[str], *, without: Standing, parents: Standing
) -> tuple[Level, Standing, Standing]:
    """Learn one level; give the rows' standing without and with their own vote as well."""
    if not groups.rows.size:
        return _nothing_learned(names, without=without, parents=parents)
    above = parents.center[groups.rows[groups.start]]
    median = groups.quantile(0.5)
    spread = (groups.quantile(0.75) - groups.quantile(0.25)) / IQR_PER_SD
    pooled = _pooled_spread(groups, fallback=parents.spread[groups.rows])
    between = _between(median - above, size=groups.size, pooled=pooled)
    whole = _shrink(median, above, spread, groups.size, pooled=pooled, between=between)
    level = Level(tuple(names), groups.keys, *whole, (pooled, between))
    spread_without = (groups.quantile_without(0.75) - groups.quantile_without(0.25)) / IQR_PER_SD
    alone = _shrink(
        groups.quantile_without(0.5),
        without.center[groups.rows],
        spread_without,
        groups.size[groups.group] - 1,
        pooled=pooled,
        between=between,
    )
    known = groups.size[groups.group] > 1
    rows = groups.rows
    return (
        level,
        _updated(without, level, rows[known], tuple(part[known] for part in alone)),
        _updated(parents, level, rows, tuple(part[groups.group] for part in whole)),
    )


def _nothing_learned(
    names: Sequence[str], *, without: Standing, parents: Standing
) -> tuple[Level, Standing, Standing]:
    """Give a level whose one group no row can belong to: every key here was null."""
    zero, none = np.zeros(1), np.zeros(0, dtype=np.int64)
    level = Level(tuple(names), np.array([-1]), zero, zero + 1.0, zero, zero, (1.0, 1.0))
    found = (zero[:0], zero[:0], zero[:0], zero[:0])
    return level, _updated(without, level, none, found), _updated(parents, level, none, found)


def _root(values: FloatArray) -> tuple[float, float, float, float]:
    """Center, spread, doubt and count over all rows."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0, 0.0, 0.0
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
    spread = max(float(high - low) / IQR_PER_SD, LEAST_SPREAD)
    return float(middle), spread, spread / float(np.sqrt(known.size)), float(known.size)


def _pooled_spread(groups: _Groups, *, fallback: FloatArray) -> float:
    """Typical spread inside the groups, from rows set against their peers without them."""
    several = groups.size[groups.group] > LEAST_PEERS
    if several.sum() < LEAST_POOLED_ROWS:
        return float(np.median(fallback))
    away = (groups.values - groups.quantile_without(0.5))[several]
    low, high = np.quantile(away, (0.25, 0.75))
    return max(float(high - low) / IQR_PER_SD, LEAST_SPREAD)


def _between(away: FloatArray, *, size: IntArray, pooled: float) -> float:
    """Typical difference of a group's true center from the level above."""
    low, high = np.quantile(away, (0.25, 0.75))
    noise = MEDIAN_PRICE * pooled**2 / float(np.median(size))
    return float(np.sqrt(max(((high - low) / IQR_PER_SD) ** 2 - noise, LEAST_SPREAD**2)))


def _shrink(
    median: FloatArray,
    above: FloatArray,
    spread: FloatArray,
    size: IntArray,
    *,
    pooled: float,
    between: float,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Center, spread, doubt and count of groups, drawn towards the level above."""
    count = size.astype(np.float64)
    steady = np.sqrt(
        (SPREAD_PRIOR_ROWS * pooled**2 + count * spread**2) / (SPREAD_PRIOR_ROWS + count)
    )
    noise = MEDIAN_PRICE * steady**2 / np.maximum(count, 1.0)
    weight = between**2 / (between**2 + noise)
    return above + weight * (median - above), steady, np.sqrt(weight * noise), count


def _updated(
    standing: Standing, level: Level, rows: IntArray, found: tuple[FloatArray, ...]
) -> Standing:
    """Give a copy in which ``rows`` stand as found, and the others in a group never seen."""
    parts = (
        standing.center.copy(),
        np.full(len(standing.center), level.usual[0]),
        np.hypot(standing.doubt, level.usual[1]),
        np.zeros(len(standing.center)),
    )
    for part, values in zip(parts, found, strict=True):
        part[rows] = values
    return Standing(*parts)
