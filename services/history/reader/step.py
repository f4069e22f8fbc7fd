"""Steps of time, UTC: which follows, what they are called, which are not whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core import clock
from services.history.questions import Step

_LONG = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


def following(begin: datetime, by: Step) -> datetime:
    """Give the begin of the next step.

    Parameters
    ----------
    begin
        That of a step.
    by
        Length of the step.
    """
    if by == "month":
        return (begin + timedelta(days=31)).replace(day=1)
    return begin + _LONG[by]


def name_of(begin: datetime, by: Step | None) -> str:
    """Name a step.

    Parameters
    ----------
    begin
        Its begin.
    by
        Its length; nothing for a moment.
    """
    if by == "month":
        return f"{begin:%B %Y}"
    day = f"{begin.day} {begin:%b %Y}"
    return {"day": day, "week": f"week of {day}"}.get(by or "", f"{day}, {begin:%H:%M}")


def cut(span: tuple[datetime, datetime], by: Step, first: datetime, last: datetime) -> list[str]:
    """Note which of the steps at both ends are not whole.

    Parameters
    ----------
    span
        From when until when was asked.
    by
        Length of a step.
    first, last
        Begin of the first and of the last step that has anything.
    """
    since, until = span[0].astimezone(UTC), min(span[1], clock.now()).astimezone(UTC)
    is_first = first < since
    is_last = until < following(last, by)
    if not (is_first or is_last):
        return []
    if first == last:
        return [f"The {by} is not whole."]
    which = "first and the last" if is_first and is_last else "first" if is_first else "last"
    return [f"The {which} {by} {'are' if ' ' in which else 'is'} not whole."]
