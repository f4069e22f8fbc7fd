"""Times of a series: what a step is, and which step comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class StepKind:
    """What a step of a series is.

    Parameters
    ----------
    name
        ``hour``, ``day``, ``week``, ``month``, ``quarter`` or ``year``.
    season
        Steps of its season; 1 for none.
    unit
        numpy's unit of it.
    count
        How many of those make a step.
    """

    name: str
    season: int
    unit: str
    count: int


STEPS = {
    kind.name: kind
    for kind in (
        StepKind("hour", 24, "h", 1),
        StepKind("day", 7, "D", 1),
        StepKind("week", 52, "D", 7),
        StepKind("month", 12, "M", 1),
        StepKind("quarter", 4, "M", 3),
        StepKind("year", 1, "M", 12),
    )
}


def following(last: np.datetime64, kind: StepKind, steps: int) -> Times:
    """Give the local times of the steps after ``last``, ``datetime64[s]``, shape ``(steps,)``.

    The day of a month and the hour of a day stay what they are.
    """
    ahead = np.arange(1, steps + 1) * kind.count
    if kind.unit == "M":
        month = last.astype("datetime64[M]")
        within = last.astype("datetime64[s]") - month.astype("datetime64[s]")
        times: Times = (month + ahead).astype("datetime64[s]") + within
    else:
        times = last.astype("datetime64[s]") + ahead.astype(f"timedelta64[{kind.unit}]")
    return times


def texts_of(times: Times, zone: ZoneInfo) -> list[str]:
    """Write local times as ISO 8601 with the zone's offset on that day."""
    found: list[datetime] = times.astype("datetime64[s]").tolist()
    return [time.replace(tzinfo=zone).isoformat() for time in found]
