"""What really happens in the months and weeks that forecasts and budgets are about.

The firm's tables end before the play begins: a month is that of their last year, a week likewise,
grown and stirred by chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from core.config import ModelConfig
from training.demo.drift import DEMAND_GROWS
from training.demo.outcomes import Truth, text_of
from training.demo.rhythm import Span

_YEAR_WEEKS, _WEEK_DAYS, _MONTH_DAYS = 52, 7, 31
_GROWTH_A_YEAR = 1.03
_DEMAND_SPREAD, _MARKET_SPREAD = 0.1, 0.03


@dataclass(frozen=True, slots=True)
class Step:
    """One month of a series, or one week of a market.

    Parameters
    ----------
    about
        Entity and time, as an outcome names them.
    begin
        Its first day.
    truth
        What happened.
    """

    about: dict[str, Any]
    begin: date
    truth: Truth


@dataclass(frozen=True, slots=True)
class Steps:
    """All steps that the play is about.

    Parameters
    ----------
    days
        After how many days a step has ended.
    found
        The steps.
    """

    days: int
    found: list[Step]


def demand_steps(config: ModelConfig, table: pa.Table, span: Span, *, seed: int) -> Steps:
    """Give the months of each series that the play touches.

    Parameters
    ----------
    config
        The model's config.
    table
        Its table of the firm.
    span
        The days of the play.
    seed
        Of what is by chance.
    """
    random = np.random.default_rng([seed, table.num_rows])
    hours = _latest_year(config, table)
    found = []
    for month in _months(span):
        grows = DEMAND_GROWS if month >= span.drift_on else 1.0
        for (series, number), (year, value) in sorted(hours.items()):
            noise = random.lognormal(0.0, _DEMAND_SPREAD)
            if number == month.month:
                grown = value * grows * _GROWTH_A_YEAR ** (month.year - year) * noise
                found.append(_step(series, month, round(float(grown), 1)))
    return Steps(_MONTH_DAYS, found)


def market_steps(config: ModelConfig, table: pa.Table, span: Span, *, seed: int) -> Steps:
    """Give the weeks of the market that the play touches; as ``demand_steps``."""
    random = np.random.default_rng([seed, table.num_rows])
    market = table.column(config.entity)[0].as_py()
    ordered = table.sort_by(config.as_of or config.entity)
    revenue = ordered.column(config.target.column).to_pylist()[-_YEAR_WEEKS:]
    first = span.first - timedelta(days=span.first.weekday())
    found = []
    for number in range((span.last - first).days // _WEEK_DAYS):
        monday = first + timedelta(weeks=number)
        value = revenue[monday.isocalendar().week % len(revenue)]
        noise = random.lognormal(0.0, _MARKET_SPREAD)
        found.append(_step(market, monday, round(float(value * noise), 1)))
    return Steps(_WEEK_DAYS, found)


def _latest_year(config: ModelConfig, table: pa.Table) -> dict[tuple[str, int], tuple[int, float]]:
    """Give year and hours of the last one of each calendar month, by series and month."""
    columns = [config.entity, config.as_of or "", config.target.column]
    rows = zip(*(table.column(name).to_pylist() for name in columns), strict=True)
    found: dict[tuple[str, int], tuple[int, float]] = {}
    for series, at, hours in sorted(rows, key=lambda row: row[1]):
        if hours is not None:
            found[series, at.month] = (at.year, hours)
    return found


def _months(span: Span) -> Iterator[date]:
    """Give the first day of each month that the play touches."""
    month = span.first.replace(day=1)
    while month <= span.last:
        yield month
        month = (month + timedelta(days=_MONTH_DAYS)).replace(day=1)


def _step(entity: str, begin: date, value: float) -> Step:
    about = {"entity": entity, "as_of": text_of(begin)}
    return Step(about, begin, Truth(value))
