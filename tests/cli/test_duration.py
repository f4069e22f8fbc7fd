"""Durations and times as a person writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cli.duration import read_duration, read_moment
from core import clock
from core.refusals import FieldsInvalid


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("15s", timedelta(seconds=15)),
        ("30M", timedelta(minutes=30)),
        (" 24h ", timedelta(hours=24)),
        ("90d", timedelta(days=90)),
        ("2w", timedelta(weeks=2)),
        ("0s", timedelta(0)),
    ],
)
def test_a_number_and_a_unit_are_a_duration(text: str, meant: timedelta) -> None:
    assert read_duration(text, option="--overlap") == meant


@pytest.mark.parametrize("text", ["", "h", "-1h", "1.5h", "90", "1y", "999999999w", "\u0661h x"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(FieldsInvalid, match=r"--overlap: .* such as 24h or 90d"):
        read_duration(text, option="--overlap")


def test_a_duration_leads_ahead_or_back_from_now() -> None:
    before = clock.now()
    ahead = read_moment("1h", option="--expires", ahead=True)
    back = read_moment("1h", option="--since", ahead=False)
    assert before + timedelta(hours=1) <= ahead <= clock.now() + timedelta(hours=1)
    assert before - timedelta(hours=1) <= back <= clock.now() - timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2030-01-31", datetime(2030, 1, 31, tzinfo=UTC)),
        ("2030-01-31T12:00:00Z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31T12:00:00+02:00", datetime(2030, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_a_time_without_a_zone_is_meant_in_utc(text: str, meant: datetime) -> None:
    assert read_moment(text, option="--expires", ahead=True) == meant
