"""What was learned: from encoded rows to their curves, and to the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bentos.pricing.curve import Curves, place_of
from bentos.pricing.design import Design, IntArray
from core.encoding import FloatArray

_BLOCK_ROWS = 32
STEEPEST = 6.0


@dataclass(frozen=True)
class Anchor:
    """What a price is measured against: a feature of the row, or the usual price of its level.

    Parameters
    ----------
    feature
        Position of the feature among the encoded ones; -1 for one usual price of all.
    is_level
        Whether the feature is a category with a usual price of each level.
    usual
        Shape ``(levels + 1,)``: the usual prices; the last for a level that is not known.
    """

    feature: int
    is_level: bool
    usual: FloatArray

    def of(self, matrix: FloatArray) -> FloatArray:
        """Give the reference price of ``n`` encoded rows."""
        if self.feature < 0:
            return np.full(len(matrix), self.usual[-1])
        if not self.is_level:
            return np.ascontiguousarray(matrix[:, self.feature])
        return self.usual[level_codes(matrix[:, self.feature], len(self.usual) - 1)]


@dataclass(frozen=True)
class Seen:
    """Which prices history holds, as ratios to the reference.

    Parameters
    ----------
    feature
        Position of the category whose levels have ranges of their own; -1 for none.
    low, high
        Shape ``(levels + 1,)``: quantiles of the ratio; the last over all rows.
    """

    feature: int
    low: FloatArray
    high: FloatArray

    def of(self, matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the range of the ratio of ``n`` encoded rows."""
        last = len(self.low) - 1
        if self.feature < 0:
            return np.full(len(matrix), self.low[-1]), np.full(len(matrix), self.high[-1])
        codes = level_codes(matrix[:, self.feature], last)
        return self.low[codes], self.high[codes]


@dataclass(frozen=True)
class Shape:
    """What all rows' curves share; see ``Curves``.

    Parameters
    ----------
    is_win, power, factor, noise, width, sure
        As in ``Curves``.
    """

    is_win: bool
    power: float
    factor: float
    noise: float
    width: float
    sure: float


@dataclass(frozen=True)
class Learned:
    r"""Parameters of the curves.

    For a row with the columns ``A`` the slope is ``exp(A . slope)``. The height is ``A . height``
    for volume, and ``slope * (A . height)`` for wins: there ``A . height`` is what the client would
    pay, on the scale of ``z``. The trees' raw score is added by the caller.

    Parameters
    ----------
    design
        Turns encoded features into ``k`` columns.
    height
        Shape ``(k,)``.
    slope
        Shape ``(s,)``, of the columns that ``slope_columns`` names.
    slope_columns
        Shape ``(s,)``.
    root
        Shape ``(r, k + s)``: the parameters' covariance is ``root.T @ root``.
    usual_place
        Mean ``z`` of the training rows: where reasons begin.
    """

    design: Design
    height: FloatArray
    slope: FloatArray
    slope_columns: IntArray
    root: FloatArray
    usual_place: float

    def curves(
        self, matrix: FloatArray, reference: FloatArray, trees: FloatArray, shape: Shape
    ) -> Curves:
        """Give the curves of ``n`` encoded rows; ``trees`` of shape ``(n,)`` is added to them."""
        columns = self.design.columns_of(matrix)
        steep = np.ascontiguousarray(columns[:, self.slope_columns])
        base = (columns * self.height).sum(axis=1)
        slope = np.exp(_held((steep * self.slope).sum(axis=1)))
        height = slope * base + trees if shape.is_win else base + trees
        return Curves(
            is_win=shape.is_win, power=shape.power, factor=shape.factor, height=height,
            slope=slope, reference=reference, worth=base, spread=self._spread(columns, steep),
            noise=shape.noise, width=shape.width, sure=shape.sure,
        )  # fmt: skip

    def _spread(self, columns: FloatArray, steep: FloatArray) -> FloatArray:
        """Give variance, covariance and variance of the two linear parts, shape ``(n, 3)``."""
        split = len(self.height)
        first, second = self.root[:, :split], self.root[:, split:]
        found = np.empty((len(columns), 3))
        for start in range(0, len(columns), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            one = (columns[rows, None, :] * first).sum(axis=2)
            two = (steep[rows, None, :] * second).sum(axis=2)
            found[rows, 0] = (one * one).sum(axis=1)
            found[rows, 1] = (one * two).sum(axis=1)
            found[rows, 2] = (two * two).sum(axis=1)
        return found

    def reasons(
        self, matrix: FloatArray, place: FloatArray, *, price: int, is_win: bool
    ) -> tuple[float, FloatArray]:
        r"""Share the parametric ``eta`` out over the features.

        Integrated gradients (Sundararajan, Taly & Yan 2017) along the straight way from the usual
        row to this one. ``eta`` is a product of straight lines and an exponential of one, so that
        the integrals are closed: with ``D`` the change of the slope's logarithm,
        ``S0 = s0 (e^D - 1) / D`` and ``S1 = s0 (e^D (D - 1) + 1) / D^2``.

        Parameters
        ----------
        matrix
            Shape ``(n, p)``: encoded rows.
        place
            Shape ``(n,)``: ``z`` of the price asked about.
        price
            Position of the price among the encoded features.
        is_win
            Which form the height has.

        Returns
        -------
        base : float
            ``eta`` of the usual row at the usual price.
        parts : ndarray of shape (n, p)
        """
        columns = self.design.columns_of(matrix)
        # In C order: else numpy adds up a batch in another order than a single row.
        steep = np.ascontiguousarray(columns[:, self.slope_columns])
        lifts, bends = columns * self.height, steep * self.slope
        lifts[:, 0], bends[:, 0] = 0.0, 0.0
        start, begin = float(self.height[0]), float(np.exp(_held(self.slope[:1]))[0])
        wanted, held = bends.sum(axis=1), _held(self.slope[0] + bends.sum(axis=1)) - self.slope[0]
        ratio = np.divide(held, wanted, out=np.ones_like(held), where=wanted != 0)
        zero, one = _integrals(held, begin)
        rise = place - self.usual_place
        if is_win:
            lifts = lifts * zero[:, None]
            lean = (
                (start - self.usual_place) * zero
                + (columns[:, 1:] * self.height[1:]).sum(axis=1) * one
                - rise * one
            )
            base = begin * (start - self.usual_place)
        else:
            lean = -(self.usual_place * zero + rise * one)
            base = start - begin * self.usual_place
        parts = np.zeros(matrix.shape)
        _gather(parts, lifts, self.design.owner)
        _gather(parts, bends * (ratio * lean)[:, None], self.design.owner[self.slope_columns])
        parts[:, price] -= rise * zero
        return base, parts

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give the arrays from which ``from_arrays`` builds the same parameters."""
        own = {
            "height": self.height, "slope": self.slope, "slope_columns": self.slope_columns,
            "root": self.root, "usual_place": np.array([self.usual_place]),
        }  # fmt: skip
        return own | {f"design_{k}": v for k, v in self.design.to_arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Learned:
        """Build the parameters that ``to_arrays`` described."""
        mark = "design_"
        design = {k.removeprefix(mark): v for k, v in arrays.items() if k.startswith(mark)}
        return cls(
            Design.from_arrays(design), arrays["height"], arrays["slope"],
            arrays["slope_columns"], arrays["root"], float(arrays["usual_place"][0]),
        )  # fmt: skip


def level_codes(column: FloatArray, unknown: int) -> IntArray:
    """Give the codes of a category as positions; ``unknown`` for null and levels not seen."""
    return np.asarray(np.where(np.isnan(column), unknown, column), dtype=np.int64)


def place_in(anchor: Anchor, matrix: FloatArray, price: FloatArray, power: float) -> FloatArray:
    """Give ``z`` of the prices of ``n`` encoded rows."""
    return place_of(price / anchor.of(matrix), power)


def _held(log_slope: FloatArray) -> FloatArray:
    """Keep the slope between a four-hundredth and four hundred."""
    return np.asarray(np.minimum(np.maximum(log_slope, -STEEPEST), STEEPEST))


def _integrals(change: FloatArray, begin: float) -> tuple[FloatArray, FloatArray]:
    """Give the integrals of ``s(t)`` and ``t s(t)`` over the way; by series where it is short."""
    short = np.abs(change) < 1e-3  # noqa: PLR2004 - the next term is below 1e-15 there
    safe = np.where(short, 1.0, change)
    full = np.expm1(safe)
    zero = np.where(
        short, 1 + change / 2 + change**2 / 6 + change**3 / 24 + change**4 / 120, full / safe
    )
    one = np.where(
        short,
        1 / 2 + change / 3 + change**2 / 8 + change**3 / 30 + change**4 / 144,
        ((safe - 1) * full + safe) / safe**2,
    )
    return begin * zero, begin * one


def _gather(parts: FloatArray, columns: FloatArray, owner: IntArray) -> None:
    """Add columns to the features they stem from."""
    for place, feature in enumerate(owner):
        if feature >= 0:
            parts[:, feature] += columns[:, place]
