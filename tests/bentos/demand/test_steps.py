"""Times of the steps ahead."""

from zoneinfo import ZoneInfo

import numpy as np

from bentos.demand.steps import STEPS, following, texts_of


def test_the_day_of_a_month_stays_what_it_is() -> None:
    ahead = following(np.datetime64("2025-12-01T00:00:00"), STEPS["month"], 2)
    assert ahead.astype(str).tolist() == ["2026-01-01T00:00:00", "2026-02-01T00:00:00"]


def test_quarters_and_weeks_count_their_months_and_days() -> None:
    quarter = following(np.datetime64("2025-10-01T00:00:00"), STEPS["quarter"], 1)
    week = following(np.datetime64("2025-12-29T00:00:00"), STEPS["week"], 1)
    assert quarter.astype(str).tolist() == ["2026-01-01T00:00:00"]
    assert week.astype(str).tolist() == ["2026-01-05T00:00:00"]


def test_a_local_day_stays_a_day_when_the_clock_is_put_forward() -> None:
    # In Berlin the night to the 30th of March 2025 lost an hour.
    ahead = following(np.datetime64("2025-03-29T00:00:00"), STEPS["day"], 2)
    told = texts_of(ahead, ZoneInfo("Europe/Berlin"))
    assert told == ["2025-03-30T00:00:00+01:00", "2025-03-31T00:00:00+02:00"]
