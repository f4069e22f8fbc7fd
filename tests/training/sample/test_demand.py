"""The truth of demand: what was to be expected, and how surely."""

from typing import Any

import numpy as np
import pytest

Tables = dict[str, dict[str, Any]]


@pytest.mark.parametrize("table", ["demand", "demand_weekly", "demand_daily"])
def test_the_quantiles_hold_what_they_say(tables: Tables, table: str) -> None:
    seen, truth = tables[table], tables[f"truth_{table}"]
    hours = seen["demand_hours"]
    held = (hours >= truth["low_hours"] - 0.05) & (hours <= truth["high_hours"] + 0.05)
    assert 0.93 <= held.mean() <= 0.975


def test_the_mean_forecasts_better_than_last_year(tables: Tables) -> None:
    seen, truth = tables["demand"], tables["truth_demand"]
    errors = []
    for name in np.unique(seen["series_id"]):
        rows = seen["series_id"] == name
        hours, mean = seen["demand_hours"][rows], truth["mean_hours"][rows]
        naive = np.abs(hours[12:] - hours[:-12]).mean()
        errors.append(np.abs(hours[-12:] - mean[-12:]).mean() / max(naive, 1e-9))
    assert np.mean(errors) < 0.85


def test_some_series_are_seldom_asked_for_and_some_begin_late(tables: Tables) -> None:
    seen = tables["demand"]
    names, counts = np.unique(seen["series_id"], return_counts=True)
    zeros = [np.mean(seen["demand_hours"][seen["series_id"] == name] == 0) for name in names]
    assert len(names) == 60
    assert counts.min() < counts.max() == 96
    assert 2 <= sum(share > 0.3 for share in zeros) <= 15


def test_the_past_state_says_more_than_the_mean_alone(tables: Tables) -> None:
    truth = tables["truth_demand"]
    hours, mean, state = (tables["demand"]["demand_hours"], truth["mean_hours"], truth["log_state"])
    same = truth["series_id"][1:] == truth["series_id"][:-1]
    wanders = same & (truth["noise"][1:] > 0)
    told = mean[1:] * np.exp(truth["persistence"][1:] * state[:-1])
    error_told = np.abs(hours[1:] - told)[wanders] / mean[1:][wanders]
    error_mean = np.abs(hours[1:] - mean[1:])[wanders] / mean[1:][wanders]
    assert error_told.mean() < 0.97 * error_mean.mean()
