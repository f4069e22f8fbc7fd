"""What lies in one file: rows of a day, outcomes about a month."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from services.history.decoding import OUTCOMES
from services.history.partition import ANY_TIME, about, in_order, parted
from services.history.reader.times import time_of
from tests.services.history.reader.tables import identity

NOW = datetime(2026, 7, 9, 12, tzinfo=UTC)
TIMES = st.datetimes(
    datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)  # noqa: DTZ001 - hypothesis wants them so
)  # fmt: skip


def told(*rows: dict[str, Any]) -> pa.Table:
    usual = {"at": NOW, "caller": "0123456789ab"}
    return pa.Table.from_pylist([{**usual, **row} for row in rows], schema=OUTCOMES)


@given(TIMES)
def test_an_outcome_by_id_is_about_when_that_was_made(at: datetime) -> None:
    key = identity(at)
    [found] = about(told({"outcome_of": key, "as_of": NOW})).to_pylist()
    assert found == time_of(key)
    assert at - found < timedelta(milliseconds=1)


def test_an_outcome_by_entity_is_about_its_time_or_any() -> None:
    early = datetime(1999, 12, 31, tzinfo=UTC)
    rows: list[dict[str, Any]] = [
        {"entity": "c1", "as_of": NOW},
        {"entity": "c1"},
        {"entity": "c1", "as_of": early},
    ]
    assert about(told(*rows)).to_pylist() == [NOW, ANY_TIME, ANY_TIME]


def test_an_outcome_of_a_time_to_come_is_about_any() -> None:
    """So that one batch makes no thousand months, and a file is of no day after it was told."""
    months = [NOW + timedelta(days=31 * number) for number in range(1, 400)]
    whole = told(*({"entity": "c1", "as_of": month} for month in [NOW, *months]))
    assert {day: part.num_rows for day, part in parted(whole)} == {
        date(1970, 1, 1): 399, date(2026, 7, 1): 1,
    }  # fmt: skip


def test_a_part_of_a_table_is_read_from_where_it_begins() -> None:
    keys = [identity(NOW + timedelta(hours=i)) for i in range(5)]
    whole = told(*({"outcome_of": key} for key in keys), {"entity": "c1"})
    found = about(whole.slice(2, 4)).to_pylist()
    assert found == [*(time_of(key) for key in keys[2:]), ANY_TIME]


def test_outcomes_are_parted_by_month_and_nothing_is_lost() -> None:
    days = [date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 28), date(2025, 2, 3)]
    rows = [
        {"outcome_of": identity(datetime(day.year, day.month, day.day, 5, tzinfo=UTC))}
        for day in days
    ]
    whole = told(*rows, {"entity": "c1"})
    found = {day: part.num_rows for day, part in parted(whole)}
    months = [date(1970, 1, 1), date(2025, 2, 1), date(2026, 1, 1), date(2026, 2, 1)]
    assert found == dict(zip(months, (1, 1, 1, 2), strict=True))


def test_of_none_there_is_no_part() -> None:
    assert list(parted(told())) == []


def test_outcomes_stand_by_what_they_are_about() -> None:
    first, second = identity(NOW), identity(NOW + timedelta(hours=1))
    rows: list[dict[str, Any]] = [
        {"entity": "c2"}, {"outcome_of": second}, {"entity": "c1", "at": NOW + timedelta(1)},
        {"outcome_of": first}, {"entity": "c1"},
    ]  # fmt: skip
    found = in_order(told(*rows))
    assert found["outcome_of"].to_pylist() == [first, second, None, None, None]
    assert found["entity"].to_pylist()[2:] == ["c1", "c1", "c2"]
    assert found["at"].to_pylist()[2:4] == [NOW, NOW + timedelta(1)]
