"""Which days are played, how much is asked on each, and at what time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType

import numpy as np

# Monday to Sunday; the firm has few who work on a weekend.
_WEEK = (1.0, 1.1, 1.1, 1.05, 0.9, 0.25, 0.15)
# The firm grows by so much in thirty days.
_GROWTH = 0.04
_MONTH_DAYS = 30.0
_SPREAD = 0.12
_MINUTES = 45
_ROWS_A_DAY: Mapping[str, float] = MappingProxyType(
    {
        "profitability": 30,
        "churn": 40,
        "revenue_leak": 80,
        "pricing": 40,
        "budget": 3,
        "demand": 20,
        "anomaly": 100,
    }
)
_HOURS: Mapping[str, int] = MappingProxyType(
    {
        "profitability": 7,
        "churn": 6,
        "revenue_leak": 18,
        "pricing": 10,
        "budget": 8,
        "demand": 5,
        "anomaly": 20,
    }
)


@dataclass(frozen=True, slots=True)
class Span:
    """The days of the play.

    Parameters
    ----------
    first, last
        Both are played.
    drift_on
        The first day after the drift.
    """

    first: date
    last: date
    drift_on: date

    @property
    def days(self) -> list[date]:
        """Every day."""
        return [self.first + timedelta(days=i) for i in range((self.last - self.first).days + 1)]


def rows_on(model: str, day: date, *, since: date, random: np.random.Generator) -> int:
    """Say how many rows of a model are asked on a day, at least one.

    Parameters
    ----------
    model
        Its name.
    day
        The day.
    since
        The first day of all.
    random
        Of the model and day.
    """
    grown = (1 + _GROWTH) ** ((day - since).days / _MONTH_DAYS)
    usual = _ROWS_A_DAY[model] * _WEEK[day.weekday()] * grown
    stirred: float = usual * random.lognormal(0.0, _SPREAD)
    return max(1, round(stirred))


def time_on(model: str, day: date, random: np.random.Generator) -> datetime:
    """Say when on a day a model is asked, UTC.

    Parameters
    ----------
    model
        Its name.
    day
        The day.
    random
        Of the model and day.
    """
    begin = datetime.combine(day, time(_HOURS[model]), UTC)
    return begin + timedelta(minutes=int(random.integers(_MINUTES)))
