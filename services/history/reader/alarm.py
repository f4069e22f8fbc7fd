"""Interrupts questions that take too long.

One thread looks at all of them by turns: a thread for each would cost more than a small question.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

# How often is looked, beside the time that a question has.
LOOKS = 20


class Alarm:
    """Ends what runs longer than it may.

    Parameters
    ----------
    seconds
        How long that is; up to a twentieth more passes until it is seen.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[int, tuple[duckdb.DuckDBPyConnection, float]] = {}
        self._asked = threading.local()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="alarm", daemon=True)
        self._thread.start()

    @contextmanager
    def question(self) -> Iterator[None]:
        """Hold all that this thread reads meanwhile to one time; within another, to that one's."""
        if hasattr(self._asked, "until"):
            yield
            return
        self.begin_anew()
        try:
            yield
        finally:
            del self._asked.until

    def begin_anew(self) -> None:
        """Give the question of this thread its whole time once more."""
        self._asked.until = time.monotonic() + self._seconds

    @contextmanager
    def over(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Interrupt a cursor when its time is over, unless it has ended before."""
        until = getattr(self._asked, "until", time.monotonic() + self._seconds)
        with self._lock:
            self._until[id(cursor)] = cursor, until
        try:
            yield
        finally:
            # Under the lock: a cursor that was let go of cannot be interrupted.
            with self._lock:
                del self._until[id(cursor)]

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(self._seconds / LOOKS):
            now = time.monotonic()
            with self._lock:
                for cursor, until in self._until.values():
                    if now > until:
                        cursor.interrupt()
