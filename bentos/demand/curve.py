"""Prophet's point forecast from its exported parameters: a sum that arrays give in microseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray

_DAY_NS = 86_400 * 10**9
Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class ProphetCurve:
    """Trend and seasons of one fitted Prophet model (Taylor & Letham 2018).

    ``trend(t) = (k + a(t) . delta) t + m - a(t) . (changepoints * delta)`` with time scaled to
    the training span, ``season(t)`` a Fourier sum, both in units of ``scale``.

    Parameters
    ----------
    start, span
        First training time and length of the training, in nanoseconds.
    scale
        What the series was divided by.
    slope, offset
        ``k`` and ``m``.
    changepoints, deltas
        Shape ``(c,)``: scaled times of the changes of slope, and the changes.
    periods, orders
        Shape ``(s,)``: days of each season and how many harmonics it has.
    betas
        Shape ``(2 * orders.sum(),)``: sine and cosine of each harmonic in turn.
    is_multiplicative
        Whether the season multiplies the trend.
    """

    start: int
    span: int
    scale: float
    slope: float
    offset: float
    changepoints: FloatArray
    deltas: FloatArray
    periods: FloatArray
    orders: npt.NDArray[np.int64]
    betas: FloatArray
    is_multiplicative: bool

    def parts(self, times: Times) -> tuple[FloatArray, FloatArray]:
        """Give trend and season at times, each of shape ``(n,)``, adding up to the forecast."""
        ticks = times.astype("datetime64[ns]").astype(np.int64)
        t = (ticks - self.start) / self.span
        passed = self.changepoints <= t[:, None]
        slope = self.slope + (passed * self.deltas).sum(axis=1)
        offset = self.offset - (passed * (self.changepoints * self.deltas)).sum(axis=1)
        trend = (slope * t + offset) * self.scale
        season = np.zeros(len(t))
        days = ticks / _DAY_NS
        place = 0
        for period, order in zip(self.periods, self.orders, strict=True):
            for harmonic in range(1, int(order) + 1):
                angle = 2.0 * np.pi * harmonic * days / period
                season += self.betas[place] * np.sin(angle) + self.betas[place + 1] * np.cos(angle)
                place += 2
        return trend, season * (trend if self.is_multiplicative else self.scale)

    def value(self, times: Times) -> FloatArray:
        """Give Prophet's ``yhat`` at times, shape ``(n,)``."""
        trend, season = self.parts(times)
        return trend + season

    def to_arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Give the arrays from which ``from_arrays`` builds the same curve."""
        numbers = [self.scale, self.slope, self.offset, float(self.is_multiplicative)]
        return {
            f"{prefix}.clock": np.array([self.start, self.span], dtype=np.int64),
            f"{prefix}.numbers": np.array(numbers),
            f"{prefix}.changes": np.vstack([self.changepoints, self.deltas]),
            f"{prefix}.seasons": np.vstack([self.periods, self.orders.astype(np.float64)]),
            f"{prefix}.betas": self.betas,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]], prefix: str) -> ProphetCurve:
        """Build the curve that ``to_arrays`` described."""
        start, span = arrays[f"{prefix}.clock"].tolist()
        scale, slope, offset, multiplicative = arrays[f"{prefix}.numbers"].tolist()
        changepoints, deltas = arrays[f"{prefix}.changes"]
        periods, orders = arrays[f"{prefix}.seasons"]
        return cls(
            start=start, span=span, scale=scale, slope=slope, offset=offset,
            changepoints=changepoints, deltas=deltas, periods=periods,
            orders=orders.astype(np.int64), betas=arrays[f"{prefix}.betas"],
            is_multiplicative=bool(multiplicative),
        )  # fmt: skip
