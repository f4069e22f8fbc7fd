"""What steady weekly spend brings: saturating curves, one a channel and posterior draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.encoding import FloatArray

Form = Literal["hill", "tanh"]
FORMS: tuple[Form, ...] = ("hill", "tanh")
# tanh(x) is one half here, so that ``half`` means the same in both forms.
TANH_HALF = float(np.arctanh(0.5))
_NODES = 1024
# The table reaches from nothing to this many times a channel's half saturation: all is flat there.
_REACH = 1e5
_TINY = 1e-9
_LARGEST_EXPONENT = 300.0


@dataclass(frozen=True)
class Responses:
    """Curves of ``k`` channels, as ``d`` equally likely draws.

    A steady spend of ``x`` a week brings ``worth x**shape / (x**shape + half**shape)`` a week
    (form hill; Hill 1910), or ``worth tanh(.549 x / half)`` (form tanh: the logistic saturation of
    Jin et al. 2017). Carry-over needs no place here: of steady spend the normalised geometric
    adstock is the spend itself.

    Parameters
    ----------
    form
        Of all channels.
    worth
        Shape ``(d, k)``: most that a channel can bring a week, in the target's unit.
    half
        Shape ``(d, k)``: weekly spend that brings half of it.
    shape
        Shape ``(d, k)``: above 1 the curve is S-shaped; unused by tanh.
    """

    form: Form
    worth: FloatArray
    half: FloatArray
    shape: FloatArray

    def share(self, spend: FloatArray) -> FloatArray:
        """Give the share of its worth that each channel brings, broadcast to ``(..., d, k)``.

        Parameters
        ----------
        spend
            Steady spend a week, shape ``(..., 1, k)``, 0 or more.
        """
        ratio = np.maximum(spend, 0.0) / self.half
        if self.form == "tanh":
            return np.tanh(TANH_HALF * ratio)
        exponent = -self.shape * np.log(np.maximum(ratio, _TINY))
        held: FloatArray = 1.0 / (1.0 + np.exp(np.minimum(exponent, _LARGEST_EXPONENT)))
        return np.where(ratio > 0, held, 0.0)

    def brought(self, spend: FloatArray) -> FloatArray:
        """Give what steady spend, shape ``(k,)``, brings a week, shape ``(d, k)``."""
        return self.worth * self.share(spend)

    def mean_brought(self, spend: FloatArray) -> FloatArray:
        """Give the mean over the draws at points, shape ``(m, k)`` to ``(m, k)``."""
        mean: FloatArray = (self.worth * self.share(spend[:, None, :])).mean(axis=1)
        return mean

    def mean_slope(self, spend: FloatArray) -> FloatArray:
        """Give the slope of that mean, shape ``(m, k)`` to ``(m, k)``."""
        points = np.maximum(spend[:, None, :], _TINY * self.half)
        share = self.share(points)
        if self.form == "tanh":
            slope = self.worth * TANH_HALF / self.half * (1 - share**2)
        else:
            slope = self.worth * self.shape * share * (1 - share) / points
        mean: FloatArray = slope.mean(axis=1)
        return mean


class MeanCurves:
    """The mean curve of each channel, tabulated once, for quick values and slopes.

    A channel's table has its nodes where the curve bends, evenly in ``log(1 + spend / scale)``;
    between them it is a cubic of the exact values and slopes at both ends.

    Parameters
    ----------
    responses
        The draws.
    """

    def __init__(self, responses: Responses) -> None:
        count = responses.worth.shape[1]
        # Fine near nothing, too: a channel may have its bend far below its median half saturation.
        self.scale = np.median(responses.half, axis=0) / 10
        self._step = float(np.log1p(_REACH)) / (_NODES - 1)
        nodes = self.scale * np.expm1(self._step * np.arange(_NODES))[:, None]
        self._nodes = np.ascontiguousarray(nodes.T)
        self._values = np.ascontiguousarray(_by_blocks(responses.mean_brought, nodes).T)
        self._slopes = np.ascontiguousarray(_by_blocks(responses.mean_slope, nodes).T)
        # Where a draw rises without end from nothing (shape below 1) a cubic of that slope would
        # overshoot: there it goes through the middle of the first cell instead.
        middle = responses.mean_brought(nodes[1:2] / 2)[0]
        bowed = 8 * (middle - self._values[:, :2].mean(axis=1)) / self._nodes[:, 1]
        self._slopes[:, 0] = np.clip(bowed + self._slopes[:, 1], 0.0, self._slopes[:, 0])
        self._rows = np.arange(count)[:, None]

    def __call__(self, spend: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Give value, slope and bend (second derivative) at points.

        Parameters
        ----------
        spend
            Steady weekly spend, shape ``(k, m)``.

        Returns
        -------
        value, slope, bend
            Each of shape ``(k, m)``.
        """
        place = np.log1p(spend / self.scale[:, None]) / self._step
        cell = np.clip(place.astype(np.int64), 0, _NODES - 2)
        rows = np.broadcast_to(self._rows, cell.shape)
        left, right = self._nodes[rows, cell], self._nodes[rows, cell + 1]
        width = right - left
        t = np.clip((spend - left) / width, 0.0, 1.0)
        v0, v1 = self._values[rows, cell], self._values[rows, cell + 1]
        s0, s1 = self._slopes[rows, cell] * width, self._slopes[rows, cell + 1] * width
        rise = v1 - v0
        second, third = 3 * rise - 2 * s0 - s1, s0 + s1 - 2 * rise
        value = v0 + t * (s0 + t * (second + t * third))
        slope = (s0 + t * (2 * second + 3 * t * third)) / width
        bend = (2 * second + 6 * t * third) / width**2
        return value, slope, bend


def _by_blocks(curve: Callable[[FloatArray], FloatArray], nodes: FloatArray) -> FloatArray:
    """Evaluate nodes in blocks: all draws at all nodes at once would take much memory."""
    blocks = [curve(nodes[start : start + 64]) for start in range(0, len(nodes), 64)]
    return np.concatenate(blocks)
