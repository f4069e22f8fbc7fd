"""The served curve: how the chance to win, or the volume, falls in price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray

MOST_ETA = 500.0


@dataclass(frozen=True)
class Curves:
    r"""The curves of ``n`` rows, each with its uncertainty.

    ``eta = height - slope * z`` with ``z = log(price / reference)``, or for a power ``k`` other
    than 0 Box and Cox's ``((price / reference)^k - 1) / k``. The response is
    ``1 / (1 + exp(-eta))`` for wins and ``factor * exp(eta)`` for volume. ``slope`` is above 0: the
    response falls in price everywhere.

    Parameters
    ----------
    is_win
        Whether the response is a chance.
    power
        ``k``.
    factor
        Mean of a volume over its median (Duan 1983); 1 for wins.
    height, slope, reference
        Shape ``(n,)``.
    worth
        Shape ``(n,)``: ``z`` at which the parametric part of the log-odds is 0; unused for volume.
    spread
        Shape ``(n, 3)``: variance of the height's parameters, their covariance with the
        logarithm of the slope, and the variance of that.
    noise
        Variance of the logarithm of a volume around its curve; 0 for wins.
    width
        How many deviations the interval of the response is wide on each side.
    sure
        The same for quantities without an outcome's noise: the normal quantile of the level.
    """

    is_win: bool
    power: float
    factor: float
    height: FloatArray
    slope: FloatArray
    reference: FloatArray
    worth: FloatArray
    spread: FloatArray
    noise: float
    width: float
    sure: float

    def take(self, rows: slice | npt.NDArray[Any]) -> Curves:
        """Give the curves of some rows."""
        return Curves(
            self.is_win, self.power, self.factor, self.height[rows], self.slope[rows],
            self.reference[rows], self.worth[rows], self.spread[rows], self.noise, self.width,
            self.sure,
        )  # fmt: skip

    def place(self, price: FloatArray) -> FloatArray:
        """Give ``z`` of prices of shape ``(n,)`` or ``(n, g)``."""
        return place_of(price / _like(self.reference, price), self.power)

    def eta(self, price: FloatArray) -> FloatArray:
        """Give log-odds, or the logarithm of the median volume."""
        slope = _like(self.slope, price)
        return _like(self.height, price) - slope * self.place(price)

    def response(self, price: FloatArray) -> FloatArray:
        """Give the chance to win, or the mean volume, at prices of shape ``(n,)`` or ``(n, g)``."""
        return self.respond(self.eta(price))

    def respond(self, eta: FloatArray) -> FloatArray:
        """Turn ``eta`` into a response."""
        held = np.minimum(np.maximum(eta, -MOST_ETA), MOST_ETA)
        if self.is_win:
            return np.asarray(1.0 / (1.0 + np.exp(-held)))
        return np.asarray(self.factor * np.exp(held))

    def interval(self, price: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the ends of the interval of the response.

        Of the chance itself for wins; of the volume that is sold for volume.
        """
        eta = self.eta(price)
        first, second = self._pulls(price)
        half = self.width * np.sqrt(self._variance(first, second) + self.noise)
        scale = np.log(self.factor) if not self.is_win else 0.0
        return self.respond(eta - half - scale), self.respond(eta + half - scale)

    def elasticity(self, price: FloatArray) -> FloatArray:
        """Give the percent by which the response changes when the price rises by 1 %."""
        steep = _like(self.slope, price) * np.power(
            price / _like(self.reference, price), self.power
        )
        return -steep * (1.0 - self.response(price)) if self.is_win else -steep

    def elasticity_interval(self, price: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the ends of the interval of the elasticity, at prices of shape ``(n,)``.

        On the logarithm of its size, so that it stays below 0.
        """
        first, second = self._pulls(price)
        chance = self.response(price) if self.is_win else np.zeros_like(price)
        # d log(slope * (1 - P)) = d log(slope) - P * d eta
        half = self.sure * np.sqrt(self._variance(-chance * first, 1.0 - chance * second))
        middle = self.elasticity(price)
        return middle * np.exp(half), middle * np.exp(-half)

    def uplift_spread(self, price: FloatArray, cost: FloatArray, before: FloatArray) -> FloatArray:
        """Give the deviation of the difference in profit of two prices, of shape ``(n,)``."""
        parts = []
        for at in (price, before):
            first, second = self._pulls(at)
            response = self.response(at)
            steep = (at - cost) * response * ((1.0 - response) if self.is_win else 1.0)
            parts.append((steep * first, steep * second))
        (one, two), (three, four) = parts
        return np.asarray(np.sqrt(self._variance(one - three, two - four)))

    def _pulls(self, price: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give how ``eta`` moves with the height's parameters and with the slope's logarithm."""
        slope, place = _like(self.slope, price), self.place(price)
        if self.is_win:
            return slope + 0.0 * place, slope * (_like(self.worth, price) - place)
        return np.ones_like(place), -slope * place

    def _variance(self, first: FloatArray, second: FloatArray) -> FloatArray:
        own, both, other = (_like(self.spread[:, i], first) for i in range(3))
        found = first * first * own + 2.0 * first * second * both + second * second * other
        return np.asarray(np.maximum(found, 0.0))


def place_of(ratio: FloatArray, power: float) -> FloatArray:
    """Give ``z`` of a price over its reference."""
    if power == 0.0:
        return np.asarray(np.log(ratio))
    return np.asarray((np.power(ratio, power) - 1.0) / power)


def _like(values: FloatArray, price: FloatArray) -> FloatArray:
    """Stand values of the rows beside prices of one or more columns."""
    return values if price.ndim == 1 else values[:, None]
