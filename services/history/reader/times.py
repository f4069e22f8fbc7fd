"""The times that ids and answers hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from services.history.reader.columns import RESULT

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_of(key: bytes) -> datetime:
    """Give the time at which an id was made.

    Parameters
    ----------
    key
        A UUID of version 7: milliseconds since 1970 in its first 6 bytes (RFC 9562).
    """
    return _EPOCH + timedelta(milliseconds=int.from_bytes(key[:6], "big"))


def times_of(row: Mapping[str, Any], path: str) -> list[datetime]:
    """Give the times of the steps of an answer; the path is the model's ``STEPS``."""
    steps, _, time = path.partition(".")
    found = [datetime.fromisoformat(step[time]) for step in orjson.loads(row[RESULT + steps])]
    return [at.replace(tzinfo=at.tzinfo or UTC) for at in found]
