"""Steps of time, against the database that parts rows into them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from services.history.questions import Step
from services.history.reader.step import cut, following

STEPS: tuple[Step, ...] = ("hour", "day", "week", "month")
TIMES = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=31.7 * i) for i in range(600)]


def begin_of(at: datetime, by: Step) -> datetime:
    """Ask the database, which parts rows into steps."""
    query = f"SELECT date_trunc('{by}', TIMESTAMP '{at:%F %T}')"
    [[begin]] = duckdb.execute(query).fetchall()
    found: datetime = begin.replace(tzinfo=UTC)
    return found


@pytest.mark.parametrize("by", STEPS)
def test_the_following_step_is_the_next_that_begins(by: Step) -> None:
    for at in TIMES:
        begin = begin_of(at, by)
        after = following(begin, by)
        assert after > at
        assert begin_of(after, by) == after
        assert begin_of(after - timedelta(seconds=1), by) == begin


@pytest.mark.parametrize(
    ("since", "until", "notes"),
    [
        (2, 16, []),
        (3, 16, ["The first week is not whole."]),
        (2, 15, ["The last week is not whole."]),
        (3, 15, ["The first and the last week are not whole."]),
        # No week of these holds either end.
        (1, 23, []),
    ],
)
def test_steps_that_the_question_cuts_are_noted(since: int, until: int, notes: list[str]) -> None:
    first, second = (datetime(2026, 3, day, tzinfo=UTC) for day in (2, 9))
    span = datetime(2026, 3, since, tzinfo=UTC), datetime(2026, 3, until, tzinfo=UTC)
    assert cut(span, "week", first, second) == notes


def test_a_step_that_is_not_over_is_not_whole() -> None:
    begin = begin_of(datetime.now(UTC), "month")
    assert cut((begin, begin + timedelta(days=60)), "month", begin, begin) == [
        "The month is not whole."
    ]
