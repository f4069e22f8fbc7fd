"""The demand for the firm's services, by month, by week and by day, and what was to be expected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import nbdtrik, ndtri

from training.sample.clients import MONTHS_A_QUARTER, REGIONS, Firm, Floats
from training.sample.delivery import SERVICES

MODES = ("onsite", "remote")
# Demand was booked before the clients' tables begin: a year of season alone teaches no season.
LEAST_MONTHS = 96
LEAST_WEEKS = 208
LEAST_DAYS = 3 * 365
_FEW_SERIES = 40
_INTERMITTENT_SHARE, _COUNTED_SHARE = 0.1, 0.15
_LOW, _HIGH = 0.025, 0.975
# Month and day on which nobody works.
_HOLIDAYS = ((1, 1), (5, 1), (10, 3), (12, 24), (12, 25), (12, 26), (12, 31))
_YEAR_DAYS = 365.25
Days = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Calendar:
    """Times of one table.

    Parameters
    ----------
    table
        Name of the table.
    days
        First day of each step, ``datetime64[D]``, shape ``(t,)``.
    hours
        Usual demand of a series in a step.
    is_daily
        Whether a step is a day: then there is a week's season, and holidays.
    """

    table: str
    days: Days
    hours: float
    is_daily: bool


def demand_tables(random: np.random.Generator, firm: Firm) -> dict[str, pa.Table]:
    """Give ``demand`` (60 monthly series), ``demand_weekly`` and ``demand_daily`` (40 each).

    The truth of a row is ``mean_hours`` and the 95 % quantiles with nothing known of the past, and
    what is needed to know better at an origin: ``log_state`` is an AR(1) of coefficient
    ``persistence`` and innovations ``noise``, by whose exponential the mean is multiplied.
    """
    tables: dict[str, pa.Table] = {}
    for calendar in _calendars(firm):
        names = [f"{s}-{r}-{m}" for s in SERVICES for r in REGIONS for m in MODES]
        kept = names if calendar.table == "demand" else names[:_FEW_SERIES]
        made = [_series(random, calendar, name) for name in kept]
        tables[calendar.table] = pa.concat_tables([seen for seen, _ in made])
        tables[f"truth_{calendar.table}"] = pa.concat_tables([truth for _, truth in made])
    return tables


def _calendars(firm: Firm) -> tuple[Calendar, ...]:
    """All end where the simulation ends."""
    end = firm.first_month + firm.quarters * MONTHS_A_QUARTER
    months = max(firm.quarters * MONTHS_A_QUARTER, LEAST_MONTHS)
    month_days = np.arange(end - months, end).astype("datetime64[M]").astype("datetime64[D]")
    last = np.datetime64(int(end), "M").astype("datetime64[D]")
    # 1970-01-05 was a Monday.
    monday = last - (last.astype(np.int64) - 4) % 7
    weeks = monday - 7 * np.arange(LEAST_WEEKS, 0, -1)
    days = last - np.arange(LEAST_DAYS, 0, -1)
    return (
        Calendar("demand", month_days, 500.0, is_daily=False),
        Calendar("demand_weekly", weeks, 120.0, is_daily=False),
        Calendar("demand_daily", days, 24.0, is_daily=True),
    )


def _series(
    random: np.random.Generator, calendar: Calendar, name: str
) -> tuple[pa.Table, pa.Table]:
    """Make one series with its truth; some begin late."""
    promo = _promotions(random, len(calendar.days))
    mean = _mean(random, calendar, promo)
    kind = random.random()
    counted = kind < _INTERMITTENT_SHARE + _COUNTED_SHARE
    persistence, noise = (0.0, 0.0) if counted else (random.uniform(0.2, 0.6), 0.06)
    if counted:
        idle = random.uniform(0.4, 0.75) if kind < _INTERMITTENT_SHARE else 0.0
        mean = mean / mean.mean() * random.uniform(4, 12)
        hours, low, high = _counts(random, mean, idle)
        mean, state = mean * (1 - idle), np.zeros(len(mean))
    else:
        hours, low, high, state = _amounts(random, mean, persistence, noise)
    begin = int(random.integers(len(mean) // 3)) if random.random() < 0.15 else 0
    keys = {
        "series_id": pa.array([name] * (len(mean) - begin)),
        "as_of": pa.array(calendar.days[begin:].astype("datetime64[us]"),
                          pa.timestamp("us", tz="UTC")),
    }  # fmt: skip
    seen = keys | {"demand_hours": hours[begin:].round(1), "promo_share": promo[begin:].round(3)}
    truth = keys | {
        "mean_hours": mean[begin:], "low_hours": low[begin:], "high_hours": high[begin:],
        "log_state": state[begin:], "persistence": np.full(len(mean) - begin, persistence),
        "noise": np.full(len(mean) - begin, noise),
    }  # fmt: skip
    return pa.table(seen), pa.table(truth)


def _promotions(random: np.random.Generator, steps: int) -> Floats:
    """Share of a step in which the service was promoted; known ahead, as it is planned."""
    share: Floats = np.where(random.random(steps) < 0.15, random.uniform(0.2, 1, steps), 0.0)
    return share


def _mean(random: np.random.Generator, calendar: Calendar, promo: Floats) -> Floats:
    """Level x trend with breaks x seasons x holidays x promotion."""
    days = calendar.days.astype(np.int64)
    year = (days - days[0]) / _YEAR_DAYS
    trend = random.normal(0.03, 0.04) * year
    for at in random.uniform(0.2, 0.8, random.integers(0, 3)) * year[-1]:
        trend = trend + random.normal(0, 0.04) * np.maximum(year - at, 0)
    phase = 2 * np.pi * (days / _YEAR_DAYS)
    season = np.zeros(len(days))
    for order, size in ((1, 0.15), (2, 0.06), (3, 0.03)):
        season += random.normal(0, size) * np.sin(order * phase)
        season += random.normal(0, size) * np.cos(order * phase)
    logs = np.log(calendar.hours) + random.normal(0, 0.6) + trend + season
    logs += random.uniform(0.1, 0.3) * promo
    if calendar.is_daily:
        shape = np.append(random.normal(0.1, 0.1, 5), random.normal(-0.9, 0.2, 2))
        logs += shape[(days + 3) % 7] - shape.mean()
        logs -= random.uniform(0.5, 1.2) * _is_holiday(calendar.days)
    mean: Floats = np.exp(logs)
    return mean


def _is_holiday(days: Days) -> Floats:
    months = days.astype("datetime64[M]")
    month = months.astype(np.int64) % 12 + 1
    day = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    found = np.zeros(len(days))
    for holiday_month, holiday_day in _HOLIDAYS:
        found[(month == holiday_month) & (day == holiday_day)] = 1.0
    return found


def _amounts(
    random: np.random.Generator, mean: Floats, persistence: float, noise: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Hours whose logarithm wanders around the mean's."""
    spread = noise / np.sqrt(1 - persistence**2)
    state = np.empty(len(mean))
    state[0] = random.normal(0, spread)
    for step in range(1, len(mean)):
        state[step] = persistence * state[step - 1] + random.normal(0, noise)
    around = mean * np.exp(-(spread**2) / 2)
    return (
        around * np.exp(state),
        around * np.exp(ndtri(_LOW) * spread),
        around * np.exp(ndtri(_HIGH) * spread),
        state,
    )


def _counts(
    random: np.random.Generator, mean: Floats, idle: float
) -> tuple[Floats, Floats, Floats]:
    """Whole hours of a service seldom asked for: negative binomial, and idle steps of none."""
    size = 6.0
    chance = size / (size + mean)
    hours = random.negative_binomial(size, chance) * (random.random(len(mean)) >= idle)
    # The quantiles of the mixture with idle steps are those of the counts at a shifted level.
    low = np.where(idle >= _LOW, 0.0, _count_quantile(_LOW, size, chance))
    high = _count_quantile(1 - (1 - _HIGH) / (1 - idle), size, chance)
    return hours.astype(np.float64), low, high


def _count_quantile(share: float, size: float, chance: Floats) -> Floats:
    """Quantile of the negative binomial; ``scipy.stats`` has it too, but takes 30 MiB to load."""
    quantile: Floats = np.ceil(nbdtrik(share, size, chance)).clip(0)
    return quantile
