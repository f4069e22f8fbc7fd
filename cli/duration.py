"""Durations as a person writes them: `90d`, `24h`, `30m`, `15s`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from core import clock
from core.errors import FieldProblem
from core.refusals import FieldsInvalid

_DURATION = re.compile(r"(\d{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MOST = timedelta(days=36_500)


def read_duration(text: str, *, option: str) -> timedelta:
    """Read a duration.

    Parameters
    ----------
    text
        A number and a unit.
    option
        Whose value it is.

    Raises
    ------
    FieldsInvalid
        It is none, or longer than a hundred years.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    if found is not None:
        # Compared before it is made: a timedelta overflows.
        number, unit = int(found[1]), _UNITS[found[2]]
        if number <= _MOST / timedelta(**{unit: 1}):
            return timedelta(**{unit: number})
    allowed = "a number with s, m, h, d or w is allowed, such as 24h or 90d"
    raise FieldsInvalid([FieldProblem(option, f"is {text[:40]!r}", allowed)])


def read_moment(text: str, *, option: str, ahead: bool) -> datetime:
    """Read a time: a duration from now, or a date with or without a time.

    Parameters
    ----------
    text
        As given; a time without a zone is meant in UTC.
    option
        Whose value it is.
    ahead
        Whether a duration leads into the future.

    Raises
    ------
    FieldsInvalid
        It is neither.
    """
    if _DURATION.fullmatch(text.strip().lower()):
        span = read_duration(text, option=option)
        return clock.now() + span if ahead else clock.now() - span
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        allowed = "a duration such as 90d, or a time such as 2030-01-31T12:00:00Z, is allowed"
        raise FieldsInvalid([FieldProblem(option, f"is {text[:40]!r}", allowed)]) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=clock.now().tzinfo)
