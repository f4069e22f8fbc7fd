"""Learning what costs usually are, without letting a row see its own outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from bentos.profitability.history import Habit, Sums, Volumes, facts_by_level, stand
from core.encoding import FloatArray

IntArray = npt.NDArray[np.int64]
ITEM_WEIGHTS = (0.0, 0.25, 1.0, 4.0, 16.0, 64.0)
GROUP_WEIGHTS = (4.0, 32.0)


@dataclass(frozen=True)
class Clock:
    """When each row asks, and when its outcome is known; ranks in time.

    Parameters
    ----------
    asks, known
        Shape ``(n,)``. A row may use another whose ``known`` is below its ``asks``.
    """

    asks: IntArray
    known: IntArray

    def take(self, rows: IntArray) -> Clock:
        """Give the clock of some rows."""
        return Clock(self.asks[rows], self.known[rows])


def clock_of(
    as_of: npt.NDArray[np.datetime64] | None, *, horizon_days: int, order: IntArray
) -> Clock:
    """Build the clock of a table.

    Parameters
    ----------
    as_of
        Shape ``(n,)``; None when rows have no time.
    horizon_days
        Days from a row's time until its outcome is known.
    order
        Shape ``(n,)``: an arbitrary order that stands in for time where there is none.
    """
    if as_of is None:
        return Clock(asks=order, known=order)
    asks = as_of.astype("datetime64[us]").astype(np.int64)
    # An outcome known at the very moment of asking counts only where there is a horizon: without
    # one, rows of the same time (the lines of one order) must not see each other.
    known = asks + horizon_days * 86_400_000_000 - (1 if horizon_days else 0)
    both = np.unique(np.concatenate([asks, known]), return_inverse=True)[1].astype(np.int64)
    return Clock(asks=both[: len(asks)], known=both[len(asks) :])


def outcome_parts(target: FloatArray, volumes: Volumes) -> dict[str, FloatArray]:
    """Give each row's part of the totals; each of shape ``(n,)``."""
    cost = volumes.revenue - target
    ratio = cost / volumes.scale
    return {
        "count": np.ones(len(target)),
        "cost": cost,
        "scale": volumes.scale,
        "quantity": volumes.quantity,
        "ratio": ratio,
        "square": ratio * ratio,
    }


def tabulate(
    codes: Sequence[FloatArray], *, sizes: Sequence[int], parts: Mapping[str, FloatArray]
) -> list[Sums]:
    """Add up the history of every key of every level.

    Parameters
    ----------
    codes
        For each level, the rows' keys, of shape ``(n,)``; NaN for none.
    sizes
        How many keys each level has.
    parts
        Each row's part of the totals.
    """
    tables: list[Sums] = []
    for level, size in zip(codes, sizes, strict=True):
        known = ~np.isnan(level)
        place = level[known].astype(np.int64)
        tables.append(
            Sums(
                *(
                    np.bincount(place, parts[name][known], minlength=size).astype(np.float64)
                    for name in Sums.names()
                )
            )
        )
    return tables


def accumulate(
    codes: Sequence[FloatArray], *, clock: Clock, parts: Mapping[str, FloatArray]
) -> list[Sums]:
    """Add up, for each row, the history of its keys that was known when it asked.

    These are ordered target statistics (Prokhorenkova et al. 2018): a row sees only rows before
    it, so that inputs in training are distributed as they are when serving.

    Parameters
    ----------
    codes
        For each level, the rows' keys, of shape ``(n,)``; NaN for none.
    clock
        When each row asks and is known.
    parts
        Each row's part of the totals.
    """
    span = int(max(clock.asks.max(initial=0), clock.known.max(initial=0))) + 2
    found: list[Sums] = []
    for level in codes:
        place = np.where(np.isnan(level), -1, level).astype(np.int64)
        order = np.lexsort((clock.known, place))
        stamps = place[order] * span + clock.known[order]
        start = np.searchsorted(stamps, place * span, side="left")
        stop = np.searchsorted(stamps, place * span + clock.asks, side="left")
        none = place < 0
        totals = []
        for name in Sums.names():
            running = np.concatenate([[0.0], np.cumsum(parts[name][order])])
            totals.append(np.where(none, 0.0, running[stop] - running[start]))
        # Running totals leave rounding errors where nothing was added.
        empty = none | (start == stop)
        found.append(Sums(*(np.where(empty, 0.0, total) for total in totals)))
    return found


def choose_habit(
    sums: Sequence[Sums],
    *,
    volumes: Volumes,
    target: FloatArray,
    item: bool,
    per_unit: bool,
) -> Habit:
    """Choose how strongly a finer level is shrunk, by the error of ordered history.

    Parameters
    ----------
    sums
        For each level, what ``accumulate`` gave.
    volumes
        The sizes of the rows.
    target
        The outcomes, of shape ``(n,)``.
    item
        Whether the finest level is an item.
    per_unit
        Whether units are counted, so that a cost per unit can be kept.
    """
    root = float((volumes.revenue - target).sum() / volumes.scale.sum())
    first = Habit(root=root, item_weight=1.0, group_weight=16.0, per_unit=False, has_item=item)
    if not sums:
        return first
    best, least = first, np.inf
    weights = product(ITEM_WEIGHTS if item else (1.0,), GROUP_WEIGHTS)
    for item_weight, group_weight in weights:
        for unit in (False, True) if item and per_unit else (False,):
            habit = replace(
                first, item_weight=item_weight, group_weight=group_weight, per_unit=unit
            )
            ratio = stand(habit, facts_by_level(habit, sums), volumes).ratio
            loss = mixed_error(target, volumes.revenue - volumes.scale * ratio)
            if loss < least:
                best, least = habit, loss
    return best


def mixed_error(target: FloatArray, predicted: FloatArray) -> float:
    """Give the error that choices are made by: RMSE and MAE, each against a constant's.

    The squared error alone is ruled by a few large rows; the absolute error alone does not want
    the mean. 0 is perfect, 2 is no better than a constant.
    """
    gap = target - predicted
    middle = target - np.median(target)
    centre = target - target.mean()
    rmse = np.sqrt((gap**2).mean()) / max(float(np.sqrt((centre**2).mean())), 1e-300)
    mae = np.abs(gap).mean() / max(float(np.abs(middle).mean()), 1e-300)
    return float(rmse + mae)
