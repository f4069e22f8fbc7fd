"""Daily signals of the firm's operations, with events that are out of the ordinary."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from training.sample.clients import MONTHS_A_QUARTER, Firm, Floats
from training.sample.delivery import SERVICES

KINDS = ("spike", "level_shift", "variance_burst", "flat_line", "missing_season")
SERIES = 40
DAYS = 3 * 365
# Events begin after a first part in which what is usual can be learned, and not on each other.
_QUIET_DAYS, _APART_DAYS = 180, 60
# Two on average: out of the ordinary for between one and two days in a hundred.
_LEAST_EVENTS, _MOST_EVENTS = 1, 3
_NOISE = 1.0
_WEEK = 7


def signal_tables(random: np.random.Generator, firm: Firm) -> dict[str, pa.Table]:
    """Give ``signals`` (a row a day and series) and ``truth_signals`` (a row an event).

    An event's ``snr`` is its size in standard deviations of the noise: of a spike, a shift or a
    burst the step or factor drawn (2 to 6); of a flat line or a missing season the mean change of
    the days concerned. ``begin`` and ``end`` are its first and last day.
    """
    end = np.datetime64(int(firm.first_month + firm.quarters * MONTHS_A_QUARTER), "M")
    days = end.astype("datetime64[D]") - np.arange(DAYS, 0, -1)
    stamps = pa.array(days.astype("datetime64[us]"), pa.timestamp("us", tz="UTC"))
    parts, events = [], []
    for number in range(SERIES):
        name = f"tickets-{SERVICES[number % len(SERVICES)]}-{number:02d}"
        value, found = _signal(random, days.astype(np.int64))
        parts.append(
            pa.table({"series_id": [name] * DAYS, "as_of": stamps, "value": value.round(3)})
        )
        events += [
            {"series_id": name, "begin": days[first], "end": days[last], "kind": kind, "snr": snr}
            for first, last, kind, snr in found
        ]
    columns = {key: [event[key] for event in events] for key in events[0]}
    for key in ("begin", "end"):
        times = np.array(columns[key], dtype="datetime64[us]")
        columns[key] = pa.array(times, pa.timestamp("us", tz="UTC"))
    return {"signals": pa.concat_tables(parts), "truth_signals": pa.table(columns)}


def _signal(
    random: np.random.Generator, days: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> tuple[Floats, list[tuple[int, int, str, float]]]:
    """Make one signal and its events."""
    week = random.normal(0, 1, _WEEK)
    week -= week.mean()
    # Its absence is to be seen: two to four times the noise.
    week *= random.uniform(2, 4) / np.abs(week).mean()
    year = 2 * np.pi * days / 365.25
    slow = random.normal(0, 2) * np.sin(year) + random.normal(0, 2) * np.cos(year)
    noise = np.empty(len(days))
    noise[0] = random.normal(0, _NOISE)
    persistence = random.uniform(0, 0.4)
    innovation = _NOISE * np.sqrt(1 - persistence**2)
    for day in range(1, len(days)):
        noise[day] = persistence * noise[day - 1] + random.normal(0, innovation)
    usual = 40 + slow + random.normal(0, 0.002) * np.arange(len(days))
    season = week[(days + 3) % _WEEK]
    value = usual + season + noise
    events = []
    for first in _starts(random, len(days)):
        kind = KINDS[random.integers(len(KINDS))]
        snr = float(random.uniform(2, 6))
        last = first + (0 if kind == "spike" else int(random.integers(7, 15)))
        span = slice(first, last + 1)
        sign = random.choice((-1.0, 1.0))
        if kind in {"spike", "level_shift"}:
            value[span] += sign * snr * _NOISE
        elif kind == "variance_burst":
            value[span] += noise[span] * snr
        else:
            spoilt = value[first - 1] if kind == "flat_line" else value[span] - season[span]
            snr = float(np.abs(value[span] - spoilt).mean() / _NOISE)
            value[span] = spoilt
        events.append((first, last, kind, snr))
    return value, events


def _starts(random: np.random.Generator, days: int) -> list[int]:
    """Draw days on which events begin, well apart."""
    found: list[int] = []
    wanted = int(random.integers(_LEAST_EVENTS, _MOST_EVENTS + 1))
    while len(found) < wanted:
        day = int(random.integers(_QUIET_DAYS, days - 20))
        if all(abs(day - other) > _APART_DAYS for other in found):
            found.append(day)
    return sorted(found)
