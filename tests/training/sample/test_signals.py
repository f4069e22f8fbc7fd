"""The truth of signals: when what is out of the ordinary."""

from typing import Any

import numpy as np

Tables = dict[str, dict[str, Any]]


def test_events_lie_apart_and_within_the_series(tables: Tables) -> None:
    events, days = tables["truth_signals"], tables["signals"]["as_of"]
    assert 60 <= len(events["kind"]) <= 100
    assert (events["begin"] <= events["end"]).all()
    assert events["begin"].min() > days.min() + np.timedelta64(170, "D")
    assert events["end"].max() <= days.max()
    assert set(events["kind"]) == {
        "spike", "level_shift", "variance_burst", "flat_line", "missing_season",
    }  # fmt: skip


def test_out_of_the_ordinary_are_one_or_two_days_in_a_hundred(tables: Tables) -> None:
    events, days = tables["truth_signals"], len(tables["signals"]["as_of"])
    spans = (events["end"] - events["begin"]) / np.timedelta64(1, "D") + 1
    assert 0.01 <= spans.sum() / days <= 0.02
    drawn = np.isin(events["kind"], ["spike", "level_shift", "variance_burst", "missing_season"])
    assert events["snr"][drawn].min() >= 1
    assert events["snr"][drawn].max() <= 6


def test_each_event_is_seen_where_the_truth_says(tables: Tables) -> None:
    signals, events = tables["signals"], tables["truth_signals"]
    gaps: dict[str, list[float]] = {"spike": [], "level_shift": []}
    for number, kind in enumerate(events["kind"]):
        rows = signals["series_id"] == events["series_id"][number]
        day, value = signals["as_of"][rows], signals["value"][rows]
        inside = (day >= events["begin"][number]) & (day <= events["end"][number])
        if kind == "flat_line":
            assert np.ptp(value[inside]) == 0
            assert np.ptp(value[~inside]) > 0
        elif kind in gaps:
            at = np.flatnonzero(inside)
            weeks = [
                value[at + 7 * step]
                for step in (-4, -3, 3, 4)
                if (at + 7 * step).max() < len(value)
            ]
            seen = abs(np.mean(value[at] - np.mean(weeks, axis=0)))
            gaps[kind].append(seen - events["snr"][number])
    assert abs(np.mean(gaps["spike"])) < 0.5
    assert abs(np.mean(gaps["level_shift"])) < 0.3
