"""What could not be read is kept aside, for somebody to look at; not longer than what can be.

Damaged files of the log lie in ``quarantine`` beside its models, named by model, day and file;
damaged segments in ``quarantine`` of the spool.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from core import clock
from core.logs import get_logger
from services.history.decoding import OUTCOMES_OF
from services.history.log import QUARANTINE, PredictionLog
from services.history.partition import utc_day

_DAY = re.compile(r"-(\d{4}-\d{2}-\d{2})-")


def day_of(key: str) -> date | None:
    """Give the day that stands in the name of a file in quarantine; nothing when none does.

    Parameters
    ----------
    key
        Its key, or its name. The day is that of its rows, or the first of the month that they are
        about where they are outcomes.
    """
    found = _DAY.search(key)
    return None if found is None else date.fromisoformat(found[1])


def expire(log: PredictionLog, spool: Path, *, first_day: date) -> int:
    """Delete what is too old in the quarantines of log and spool; say how many files.

    Parameters
    ----------
    log
        The log.
    spool
        Folder of the segments.
    first_day
        The earliest day, UTC, whose rows are kept.
    """
    keys = [key for key in log.store.keys(f"{QUARANTINE}/*") if _last_day_of(log, key) < first_day]
    segments = [
        path
        for path in sorted((spool / QUARANTINE).glob("*"))
        if datetime.fromtimestamp(path.stat().st_mtime, UTC).date() < first_day
    ]
    for key in keys:
        log.store.delete(key)
    for path in segments:
        path.unlink()
    if keys or segments:
        names = [*keys, *(path.name for path in segments)]
        get_logger(__name__).info("quarantine_expired", files=len(names), first=names[:5])
    return len(keys) + len(segments)


def _last_day_of(log: PredictionLog, key: str) -> date:
    """Give a day after which none of a file's rows was made, as well as it is known."""
    day = day_of(key)
    # The month that outcomes are about says nothing of when they were told.
    if day is None or f"{OUTCOMES_OF}-" in key:
        return utc_day(clock.now() - timedelta(seconds=log.store.age_s(key)))
    return day
