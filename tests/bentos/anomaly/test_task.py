"""What a window of points must be like, and what is said of one that is not."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bentos.anomaly.task import PointsTask
from core.contract import Contract
from core.errors import RowInvalid
from tests.bentos.anomaly.records import config_of

START = datetime(2026, 1, 1, tzinfo=UTC)


def window(count: int = 40, **changes: Any) -> dict[str, Any]:
    times = [START + timedelta(days=day) for day in range(count)]
    points = [{"time": t.isoformat(), "value": float(i % 7)} for i, t in enumerate(times)]
    return {"points": points, **changes}


def refused(row: dict[str, Any]) -> tuple[str, str, str]:
    with pytest.raises(RowInvalid) as caught:
        Contract(config_of(), (PointsTask,)).parse_row(row)
    [problem] = caught.value.problems
    return problem.field, problem.problem, problem.allowed


def moved(place: int, time: datetime) -> dict[str, Any]:
    row = window()
    row["points"][place]["time"] = time.isoformat()
    return row


def test_its_own_example_is_a_window_that_can_be_judged() -> None:
    assert len(PointsTask.model_validate(dict(PointsTask.EXAMPLE)).points) > 30


def test_a_window_shorter_than_its_seasons_is_told_how_many_points_are_needed() -> None:
    field, problem, allowed = refused(window(40, season_steps=52))
    assert (field, problem) == ("points", "has 40 points, 39 before the first judged")
    assert allowed == "at least 156 must stand before it (3 seasons of 52)"


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_a_window_of_few_points_is_told_the_minimum(count: int) -> None:
    assert "at least 30 must stand before it" in refused(window(count))[2]


def test_a_gap_is_named_with_its_place_and_length() -> None:
    row = window()
    del row["points"][20:23]
    field, problem, allowed = refused(row)
    assert field == "points.20.time"
    assert "leaves a gap of 3 steps" in problem
    assert "fill the gaps" in allowed


def test_a_double_is_refused() -> None:
    assert refused(moved(5, START + timedelta(days=4)))[1].endswith("as the point before")


def test_nothing_but_doubles_is_refused_too() -> None:
    row = window()
    for point in row["points"]:
        point["time"] = START.isoformat()
    assert "as the point before" in refused(row)[1]


def test_points_out_of_order_are_refused() -> None:
    row = window()
    row["points"].reverse()
    assert refused(row)[2] == "oldest first"


def test_an_irregular_step_is_refused() -> None:
    assert "comes out of step" in refused(moved(7, START + timedelta(days=7, hours=5)))[1]


def test_a_mix_of_time_zones_is_refused() -> None:
    row = window()
    for point in row["points"][::2]:
        time = datetime.fromisoformat(point["time"])
        point["time"] = time.astimezone(ZoneInfo("Asia/Karachi")).isoformat()
    assert "more than one time zone" in refused(row)[1]


def test_local_days_stay_regular_where_the_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    row = window(90)
    for day, point in enumerate(row["points"]):
        local = datetime(2026, 2, 1, tzinfo=berlin) + timedelta(days=day)
        point["time"] = local.isoformat()
    parsed = Contract(config_of(), (PointsTask,)).parse_row(row)
    assert len({point.time.utcoffset() for point in parsed["points"]}) == 2


def test_months_are_even_steps() -> None:
    row = window(48)
    for month, point in enumerate(row["points"]):
        point["time"] = f"{2020 + month // 12}-{1 + month % 12:02d}-01T00:00:00Z"
    Contract(config_of(), (PointsTask,)).parse_row(row)
