"""The one place that reads the wall clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Give the current time, aware, in UTC."""
    return datetime.now(UTC)


def now_s() -> float:
    """Give the current time in seconds since 1970, where an aware time would cost too much."""
    return time.time()
