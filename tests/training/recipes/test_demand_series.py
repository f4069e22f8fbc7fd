"""Series out of a table: what is mended, what is refused, and in which words."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.demand_series import Floats, Times, days, frame_of, months, wave
from training.recipes.demand_series import Refused, Series, infer_step, series_of

UTC, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")


def one(times: Times, values: Floats, zone: ZoneInfo = UTC) -> Series | Refused:
    good, bad = series_of(frame_of({"s": (times, values)}), zone)
    return good[0] if good else bad[0]


def reason(times: Times, values: Floats, zone: ZoneInfo = UTC) -> str:
    found = one(times, values, zone)
    assert isinstance(found, Refused)
    return found.reason


class TestStep:
    @pytest.mark.parametrize(
        ("unit", "every", "name"),
        [("h", 1, "hour"), ("D", 1, "day"), ("D", 7, "week"), ("M", 1, "month"),
         ("M", 3, "quarter"), ("Y", 1, "year")],
    )  # fmt: skip
    def test_it_is_read_from_the_times(self, unit: str, every: int, name: str) -> None:
        times = (np.array("2020", f"datetime64[{unit}]") + every * np.arange(30)).astype(
            "datetime64[s]"
        )
        kind = infer_step(times)
        assert kind is not None
        assert kind.name == name

    def test_irregular_steps_are_refused(self) -> None:
        draw = np.random.default_rng(1)
        times = np.cumsum(draw.integers(3, 60, 40)) + np.datetime64("2020-01-01", "h")
        assert "has irregular steps" in reason(times, wave(40))

    def test_a_time_between_the_steps_is_refused(self) -> None:
        times = months(40)
        times[20] += np.timedelta64(9, "D").astype("timedelta64[us]")
        assert "irregular" in reason(times, wave(40)) or "between" in reason(times, wave(40))

    def test_a_month_that_does_not_fit_into_quarters_is_refused(self) -> None:
        times = months(120)[::3].copy()
        times[10] = np.datetime64("2020-08-01", "us")
        assert "lies between its quarters" in reason(times, wave(40))


class TestGaps:
    def test_a_small_gap_is_filled_between_its_neighbours(self) -> None:
        kept = np.r_[0:30, 31:60]
        found = one(months(60)[kept], np.arange(60.0)[kept])
        assert isinstance(found, Series)
        assert found.filled == 1
        np.testing.assert_allclose(found.values, np.arange(60.0))

    def test_a_long_gap_is_refused_with_its_place(self) -> None:
        kept = np.r_[0:30, 36:60]
        said = reason(months(60)[kept], wave(60)[kept])
        assert "has a gap of 6 months after 2020-06-01" in said
        assert "fill it, or leave out what lies before it" in said

    def test_a_value_that_is_not_there_counts_as_a_gap(self) -> None:
        values = np.arange(60.0)
        values[12] = np.nan
        found = one(months(60), values)
        assert isinstance(found, Series)
        assert found.values[12] == 12.0


class TestTooLittle:
    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_a_few_points_are_refused(self, count: int) -> None:
        assert f"has {count} points; at least 6 are needed" in reason(months(count), wave(count))

    def test_what_is_known_of_a_refused_series_is_kept(self) -> None:
        found = one(months(2), np.array([40.0, 60.0]))
        assert isinstance(found, Refused)
        assert found.level == 50
        assert found.last == np.datetime64("2018-02-01")

    def test_two_values_of_one_step_are_refused(self) -> None:
        times = months(20)
        times[5] = times[4]
        assert "has two values for 2018-05-01" in reason(times, wave(20))


class TestZone:
    def test_local_days_stay_daily_over_a_change_of_the_clock(self) -> None:
        # Midnights of Berlin, told in UTC: 23:00 the day before in winter, 22:00 in summer.
        local = days(120, first="2025-02-01").astype("datetime64[D]")
        is_summer = local > np.datetime64("2025-03-30")
        times = local.astype("datetime64[h]") - np.where(is_summer, 2, 1)
        found = one(times, wave(120, season=7), BERLIN)
        assert isinstance(found, Series)
        assert found.kind.name == "day"
        assert found.filled == 0
        assert np.all(found.times == local)

    def test_local_days_without_their_zone_are_told_of_the_option(self) -> None:
        local = days(120, first="2025-02-01").astype("datetime64[D]")
        is_summer = local > np.datetime64("2025-03-30")
        times = local.astype("datetime64[h]") - np.where(is_summer, 2, 1)
        assert "training.options.timezone" in reason(times, wave(120, season=7))

    def test_times_of_mixed_zones_are_no_days(self) -> None:
        times = days(60).astype("datetime64[h]")
        times[30:] += 5
        assert "irregular steps" in reason(times, wave(60, season=7))


def test_rows_may_come_in_any_order() -> None:
    order = np.random.default_rng(1).permutation(60)
    mixed, straight = one(months(60)[order], wave(60)[order]), one(months(60), wave(60))
    assert isinstance(mixed, Series)
    assert isinstance(straight, Series)
    np.testing.assert_array_equal(mixed.values, straight.values)
