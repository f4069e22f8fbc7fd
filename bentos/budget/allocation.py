"""Splits a total over channels so that their curves bring most, with a proven bound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bentos.budget.curves import MeanCurves
from core.encoding import FloatArray

_GRID = 513
_DYNAMIC_GRID = 257
_HALVINGS = 60
_NEWTON = 40
# A split this near to its bound is taken for the best one.
_NEAR = 1e-4
_TINY = 1e-12
_STALLED = 1e-6


@dataclass(frozen=True)
class Split:
    """A split of a total.

    Parameters
    ----------
    amounts
        Shape ``(k,)``: weekly spend; ``math.fsum`` of them is the total.
    value
        What they bring a week.
    bound
        What no split of this total within the limits exceeds.
    """

    amounts: FloatArray
    value: float
    bound: float

    @property
    def gap(self) -> float:
        """How much better another split could be at most, as a share of the value."""
        if self.value <= 0:
            return 0.0
        return max(self.bound / self.value - 1.0, 0.0)


@dataclass(frozen=True)
class Limits:
    """Between what each channel may lie.

    Parameters
    ----------
    least, most
        Shape ``(k,)``: weekly spend, finite, ``least <= most``.
    """

    least: FloatArray
    most: FloatArray

    def within(self, total: float) -> Limits:
        """Tighten the limits to what a total leaves to each channel."""
        others = self.least.sum() - self.least
        most = np.minimum(self.most, np.maximum(total - others, self.least))
        spare = most.sum() - most
        return Limits(np.clip(total - spare, self.least, most), most)


def split_total(curves: MeanCurves, limits: Limits, total: float) -> Split:
    """Find the split of a total that brings most.

    The dual of the problem is solved by halving: at each price of money every channel takes what
    it is worth to it, and the price moves until all is spent (Everett 1963). For concave curves
    that is the best split; S-shaped ones may leave a gap, and are then searched through by dynamic
    programming over a grid. Newton steps on the conditions of optimality polish either.

    Parameters
    ----------
    curves
        Of ``k`` channels, rising.
    limits
        Of each channel.
    total
        Weekly spend, from the sum of the least to the sum of the most.
    """
    tight = limits.within(total)
    prices = _Prices(curves, tight)
    bound, above, below = prices.solve(total)
    start = _between(above, below, total)
    best = _polished(curves, tight, start, total)
    value = _value(curves, best)
    if bound > value * (1 + _NEAR):
        other = _polished(curves, tight, _dynamic(curves, tight, total), total)
        other_value = _value(curves, other)
        if other_value > value:
            best, value = other, other_value
    return Split(exact(best, limits, total), value, max(bound, value))


def exact(amounts: FloatArray, limits: Limits, total: float) -> FloatArray:
    """Make the sum of amounts the total to the last bit, within the limits.

    What rounding left is put on a channel with room; ``math.fsum`` is the sum.
    """
    found = np.clip(amounts, limits.least, limits.most)
    for _ in range(2 * len(found) + 4):
        if math.fsum(found) == total:
            break
        left = float(Fraction(total) - sum(map(Fraction, found.tolist())))
        up, down = limits.most - found, found - limits.least
        room = np.minimum(up, down) if np.minimum(up, down).max() > abs(left) else None
        if room is None:
            room = up if left > 0 else down
        # Of the channels that have room the one with the finest floats: a coarse one may step over
        # the total again and again.
        fits = room > abs(left)
        place = int(np.where(fits, found, np.inf).argmin()) if fits.any() else int(room.argmax())
        moved = float(Fraction(float(found[place])) + Fraction(left))
        found[place] = min(max(moved, limits.least[place]), limits.most[place])
    return found


class _Prices:
    """What the channels take at a price of money, on a grid of each channel's room."""

    def __init__(self, curves: MeanCurves, limits: Limits) -> None:
        # Finer toward the least: there curves bend most, and may rise without end.
        run = np.linspace(0.0, 1.0, _GRID) ** 2
        width = (limits.most - limits.least)[:, None]
        self._grid = limits.least[:, None] + width * run
        self._grid[:, -1] = limits.most
        self._values, slopes, _ = curves(self._grid)
        # Between two nodes a curve whose slope is monotone rises above its chord by no more than
        # this; it makes the bound one on the whole curve.
        self._bows = np.abs(np.diff(slopes, axis=1)) * np.diff(self._grid, axis=1) / 4
        self._top = float(slopes.max()) * 2 + _TINY
        self._rows = np.arange(len(self._grid))

    def solve(self, total: float) -> tuple[float, FloatArray, FloatArray]:
        """Give the least dual value, and what is taken just below and above its price."""
        low, high = 0.0, self._top
        above, below = self._take(low), self._take(high)
        for _ in range(_HALVINGS):
            price = (low + high) / 2
            taken = self._take(price)
            if taken.sum() > total:
                low, above = price, taken
            else:
                high, below = price, taken
        return min(self._dual(low, total), self._dual(high, total)), above, below

    def _dual(self, price: float, total: float) -> float:
        """Give what no split of the total exceeds (weak duality)."""
        gain = self._values - price * self._grid
        bowed = np.maximum(gain[:, 1:], gain[:, :-1]) + self._bows
        # Nor does a rising curve exceed its right end at the price of its left.
        cells = np.minimum(bowed, self._values[:, 1:] - price * self._grid[:, :-1])
        return float(cells.max(axis=1).sum()) + price * total

    def _take(self, price: float) -> FloatArray:
        """Give what each channel takes where a unit of money costs the price."""
        places = (self._values - price * self._grid).argmax(axis=1)
        taken: FloatArray = self._grid[self._rows, places]
        return taken


def _between(above: FloatArray, below: FloatArray, total: float) -> FloatArray:
    """Mix two splits so that the sum is the total."""
    high, low = float(above.sum()), float(below.sum())
    share = 0.0 if high <= low else (total - low) / (high - low)
    return below + min(max(share, 0.0), 1.0) * (above - below)


def _dynamic(curves: MeanCurves, limits: Limits, total: float) -> FloatArray:
    """Search every split on a grid of the money that is free (Bellman 1957)."""
    free = max(total - float(limits.least.sum()), 0.0)
    steps = np.linspace(0.0, free, _DYNAMIC_GRID)
    grid = limits.least[:, None] + steps
    values = curves(np.minimum(grid, limits.most[:, None]))[0]
    # A channel whose limit lies between two nodes takes the money and wastes what is above it;
    # the polish gives that to others.
    best = np.zeros(_DYNAMIC_GRID)
    choices = np.empty((len(values), _DYNAMIC_GRID), dtype=np.int64)
    for place, value in enumerate(values):
        padded = np.concatenate([np.full(_DYNAMIC_GRID - 1, -np.inf), best])
        # Row b, column i: b - i spent on the channels before.
        before = sliding_window_view(padded, _DYNAMIC_GRID)[:, ::-1]
        reached = before + value
        choices[place] = reached.argmax(axis=1)
        best = reached[np.arange(_DYNAMIC_GRID), choices[place]]
    amounts = np.empty(len(values))
    left = _DYNAMIC_GRID - 1
    for place in range(len(values) - 1, -1, -1):
        taken = int(choices[place, left])
        amounts[place] = min(grid[place, taken], limits.most[place])
        left -= taken
    return _filled(amounts, limits, total)


def _filled(amounts: FloatArray, limits: Limits, total: float) -> FloatArray:
    """Spread what is left over the room there is."""
    left = total - float(amounts.sum())
    room = limits.most - amounts if left > 0 else amounts - limits.least
    whole = float(room.sum())
    return amounts if whole <= 0 else amounts + left * room / whole


def _polished(curves: MeanCurves, limits: Limits, start: FloatArray, total: float) -> FloatArray:
    """Move money from lower to higher marginal return, by damped Newton steps."""
    amounts = _filled(np.clip(start, limits.least, limits.most), limits, total)
    value = _value(curves, amounts)
    damping = 1.0
    for _ in range(_NEWTON):
        step = _newton_step(curves, limits, amounts)
        tried = amounts + damping * step
        reached = _value(curves, tried)
        if reached > value:
            gained, amounts, value = reached - value, tried, reached
            damping = min(1.0, 2 * damping)
            if gained <= _TINY * abs(value):
                break
        else:
            damping /= 4
            if damping < _STALLED:
                break
    return amounts


def _newton_step(curves: MeanCurves, limits: Limits, amounts: FloatArray) -> FloatArray:
    """Give a step that keeps the sum and the limits."""
    _, slopes, bends = (found[:, 0] for found in curves(amounts[:, None]))
    # Where the curve bends up the step follows the slope, as if it bent down.
    pace = 1.0 / np.maximum(np.abs(bends), 1e-9 * np.abs(slopes).max() / (amounts.max() + _TINY))
    free = limits.most > limits.least
    edge = _TINY * (amounts.max() + _TINY)
    at_most, at_least = amounts >= limits.most - edge, amounts <= limits.least + edge
    step = np.zeros_like(amounts)
    for _ in range(len(amounts)):
        if free.sum() < 2:  # noqa: PLR2004 - money moves between two
            return np.zeros_like(amounts)
        price = float((slopes * pace)[free].sum() / pace[free].sum())
        step = np.where(free, (slopes - price) * pace, 0.0)
        held = ((step > 0) & at_most) | ((step < 0) & at_least)
        if not held.any():
            break
        free &= ~held
    room = np.where(step > 0, limits.most - amounts, amounts - limits.least)
    moving = np.abs(step) > 0
    longest = float((room[moving] / np.abs(step[moving])).min()) if moving.any() else 1.0
    return step * min(1.0, longest)


def _value(curves: MeanCurves, amounts: FloatArray) -> float:
    return float(curves(amounts[:, None])[0].sum())
