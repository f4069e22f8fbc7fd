"""The other question: is this point of a series unusual?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from core.errors import FieldProblem
from core.task import Conflict, Part, Task, Time

MOST_POINTS = 20_000
LEAST_POINTS = 30
CYCLES = 3
_FIRST_DAY = date(2026, 1, 1)
_HOUR, _YEAR_DAYS = timedelta(hours=1), 365


class Point(Part):
    """One point of a series."""

    time: Time = Field(description="When, with its zone.")
    value: float = Field(description="What was measured.")


class PointsTask(Task):
    """A window of a series, the latest points of which are to be judged."""

    ASKS_FEATURES: ClassVar[bool] = False
    MARK: ClassVar[str | None] = "points"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "points": [
            {"time": f"{_FIRST_DAY + timedelta(days=day)}T00:00:00Z", "value": float(day % 7)}
            for day in range(42)
        ],
        "season_steps": 7,
    }

    points: list[Point] = Field(
        max_length=MOST_POINTS, description="The window, oldest point first, in even steps."
    )
    season_steps: int | None = Field(
        default=None, ge=2, le=MOST_POINTS, description="Steps of a season; null for none."
    )
    judge_last: int = Field(
        default=1, ge=1, le=MOST_POINTS, description="How many of the latest points to judge."
    )
    false_alarm_rate: float | None = Field(
        default=None, gt=0, lt=0.5,
        description="Share of usual points that may be flagged; null for the release's own.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        problem = self._too_short() or _uneven([point.time for point in self.points])
        if problem is not None:
            raise Conflict([problem])
        return self

    def _too_short(self) -> FieldProblem | None:
        """Say how many points are needed before the first one that is judged."""
        season = self.season_steps or 1
        least = max(LEAST_POINTS, CYCLES * season if season > 1 else 0)
        before = len(self.points) - self.judge_last
        if before >= least:
            return None
        what = f"{CYCLES} seasons of {season}" if least > LEAST_POINTS else f"{least} points"
        return FieldProblem(
            "points", f"has {len(self.points)} points, {max(before, 0)} before the first judged",
            f"at least {least} must stand before it ({what})",
        )  # fmt: skip


def _uneven(times: list[datetime]) -> FieldProblem | None:
    """Name the first point that is not one step after the one before.

    A step is even on the clock of the zone or in absolute time: a daily series at local midnight
    stays daily where the clocks change.
    """
    local = [time.replace(tzinfo=None) for time in times]
    gaps = [b - a for a, b in pairwise(times)]
    local_gaps = [b - a for a, b in pairwise(local)]
    usual = sorted(gaps)[len(gaps) // 2]
    for place, gap in enumerate(gaps, 1):
        name, time = f"points.{place}.time", times[place].isoformat()
        if not gap:
            return FieldProblem(name, f"is {time}, as the point before", "one value a time")
        if gap < timedelta(0):
            return FieldProblem(name, f"is {time}, before the point before it", "oldest first")
    if not _is_one_zone(times):
        return FieldProblem(
            "points", "has times of more than one time zone",
            "write all times in UTC, or all in one zone",
        )  # fmt: skip
    for place, (gap, local_gap) in enumerate(zip(gaps, local_gaps, strict=True), 1):
        if usual in {gap, local_gap} or _is_month(local[place - 1], local[place], usual):
            continue
        missing = round(gap / usual) - 1
        what = f"leaves a gap of {missing} steps" if missing > 0 else "comes out of step"
        return FieldProblem(
            f"points.{place}.time", f"is {times[place].isoformat()}, which {what}",
            f"every point must come {usual} after the one before; fill the gaps",
        )  # fmt: skip
    return None


def _is_one_zone(times: list[datetime]) -> bool:
    """Tell whether the offsets are those of one zone: at most summer time, twice a year."""
    offsets = [time.utcoffset() or timedelta(0) for time in times]
    kinds = set(offsets)
    if len(kinds) == 1:
        return True
    changes = sum(a != b for a, b in pairwise(offsets))
    years = (times[-1] - times[0]).days / _YEAR_DAYS
    return len(kinds) == 2 and max(kinds) - min(kinds) <= _HOUR and changes <= 2 * years + 2  # noqa: PLR2004


def _is_month(before: datetime, after: datetime, usual: timedelta) -> bool:
    """Tell whether two times are the same day of neighbouring months of a monthly series."""
    months = (after.year - before.year) * 12 + after.month - before.month
    return months == 1 and after.day == before.day and 28 <= usual.days <= 31  # noqa: PLR2004
