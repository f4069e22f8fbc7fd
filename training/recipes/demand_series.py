"""Series out of a table: their step, their gaps, and why one cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from bentos.demand.steps import STEPS, StepKind, Times, following
from core.encoding import FloatArray
from training.frame import Frame

_LEAST_POINTS = 6
_LONGEST_GAP = 2
_MOST_GAPS = 0.05
_DAY = 86_400


@dataclass(frozen=True)
class Series:
    """One regular series, local in time.

    Parameters
    ----------
    name
        Its id.
    kind
        What a step is.
    times
        Local times, ``datetime64[s]``, shape ``(n,)``.
    values
        Shape ``(n,)``, finite.
    regressors
        Shape ``(n, k)``; 0 where unknown.
    filled
        How many steps were missing and are filled in.
    """

    name: str
    kind: StepKind
    times: Times
    values: FloatArray
    regressors: FloatArray
    filled: int

    def head(self, count: int) -> Series:
        """Give the first points alone."""
        return Series(
            self.name, self.kind, self.times[:count], self.values[:count],
            self.regressors[:count], self.filled,
        )  # fmt: skip


@dataclass(frozen=True)
class Refused:
    """A series that no model can be fitted to, with what is known of it.

    Parameters
    ----------
    name
        Its id.
    reason
        Why, and what to do.
    last
        Local time of its last point.
    level
        Median of its latest values.
    """

    name: str
    reason: str
    last: np.datetime64
    level: float


def series_of(frame: Frame, zone: ZoneInfo) -> tuple[list[Series], list[Refused]]:
    """Part a frame into series.

    Parameters
    ----------
    frame
        Rows in any order; ``as_of`` is set.
    zone
        Calendar of the steps: a day that begins at midnight there is a day, whatever the offset.

    Returns
    -------
    list of Series, list of Refused
        In the order of their names.
    """
    times = local_times(frame, zone)
    names = frame.entity.astype(str)
    order = np.lexsort((times, names))
    borders = np.flatnonzero(names[order][1:] != names[order][:-1]) + 1
    good: list[Series] = []
    bad: list[Refused] = []
    for rows in np.split(order, borders):
        found = _one(str(names[rows[0]]), times[rows], frame, rows)
        if isinstance(found, Series):
            good.append(found)
        else:
            bad.append(found)
    return good, bad


def local_times(frame: Frame, zone: ZoneInfo) -> Times:
    """Give the rows' times on the zone's clock, ``datetime64[s]``."""
    if frame.as_of is None:
        raise ValueError("a frame of series needs its times")
    stamps = frame.as_of.astype("datetime64[s]").astype(np.int64)
    seen, where = np.unique(stamps, return_inverse=True)
    shifts = np.array([_offset(int(stamp), zone) for stamp in seen], dtype=np.int64)
    local: Times = (stamps + shifts[where]).astype("datetime64[s]")
    return local


def _offset(stamp: int, zone: ZoneInfo) -> int:
    from datetime import UTC, datetime  # noqa: PLC0415 - here alone

    offset = datetime.fromtimestamp(stamp, UTC).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _one(name: str, times: Times, frame: Frame, rows: npt.NDArray[np.int64]) -> Series | Refused:
    """Make one series regular, or say why that cannot be."""
    values = frame.target[rows]
    known = ~np.isnan(values)
    level = float(np.median(values[known][-12:])) if known.any() else 0.0
    last = times[-1] if len(times) else np.datetime64(0, "s")

    def refuse(reason: str) -> Refused:
        return Refused(name, reason, last, level)

    times, values, rows = times[known], values[known], rows[known]
    if len(values) < _LEAST_POINTS:
        return refuse(f"has {len(values)} points; at least {_LEAST_POINTS} are needed")
    twice = np.flatnonzero(np.diff(times.astype(np.int64)) == 0)
    if twice.size:
        return refuse(f"has two values for {times[twice[0]]} on the zone's clock; keep one")
    kind = infer_step(times)
    if kind is None:
        return refuse(
            "has irregular steps; hours, days, weeks, months, quarters or years are wanted. A "
            "series in local days needs training.options.timezone"
        )
    count = _steps_between(times[0], times[-1], kind)
    grid = np.concatenate([times[:1], following(times[0], kind, count)])
    places = np.searchsorted(grid, times)
    if not np.array_equal(grid[np.minimum(places, count)], times):
        return refuse(f"has a time that lies between its {kind.name}s; move it to a step's begin")
    missing = np.diff(places) - 1
    if missing.size and (missing.max() > _LONGEST_GAP or missing.sum() > _MOST_GAPS * len(grid)):
        worst = int(missing.argmax())
        return refuse(
            f"has a gap of {int(missing[worst])} {kind.name}s after {times[worst]:.10}; fill it, "
            "or leave out what lies before it"
        )
    regressors = _on_grid(frame, rows, places, len(grid))
    filled = np.interp(np.arange(len(grid)), places, values)
    return Series(name, kind, grid, filled, regressors, int(missing.sum()))


def infer_step(times: Times) -> StepKind | None:
    """Tell what a step is from the usual distance of the points; nothing when there is none."""
    months = times.astype("datetime64[M]")
    within = times - months.astype("datetime64[s]")
    gaps = np.diff(months.astype(np.int64))
    if np.all(within == within[0]) and np.all(gaps > 0):
        step = int(np.median(gaps))
        named = {1: "month", 3: "quarter", 12: "year"}.get(step)
        return STEPS[named] if named else None
    seconds = np.diff(times.astype(np.int64))
    step = int(np.median(seconds))
    named = {3600: "hour", _DAY: "day", 7 * _DAY: "week"}.get(step)
    if named is None or any(gap % step for gap in seconds.tolist()):
        return None
    return STEPS[named]


def _steps_between(first: np.datetime64, last: np.datetime64, kind: StepKind) -> int:
    if kind.unit == "M":
        months = last.astype("datetime64[M]") - first.astype("datetime64[M]")
        return int(months.astype(np.int64)) // kind.count
    seconds = int((last - first).astype("timedelta64[s]").astype(np.int64))
    return seconds // ({"h": 3600, "D": _DAY}[kind.unit] * kind.count)


def _on_grid(
    frame: Frame, rows: npt.NDArray[np.int64], places: npt.NDArray[np.int64], count: int
) -> FloatArray:
    """Lay the regressors on the grid; what is missing or null counts as nothing happening."""
    columns: Mapping[str, FloatArray] = frame.columns
    laid = np.zeros((count, len(columns)))
    for place, values in enumerate(columns.values()):
        laid[places, place] = np.nan_to_num(values[rows])
    return laid
