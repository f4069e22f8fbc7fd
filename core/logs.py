"""Structured logs: one JSON line an event, on standard error.

Failure policy: whoever logs goes on, also when standard error is a file on a full disk. What cannot
be written is lost and counted; the first line that can be written again stands behind one that says
how many were lost (``log_lines_lost``).
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from typing import TextIO, cast

import structlog

from core import clock


class Outlet:
    """Writes whole lines to standard error, each part at once so that no other falls in between."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._is_cut = False
        self._untold = 0
        self.lost = 0

    def put(self, block: bytes) -> None:
        """Write whole lines.

        Parameters
        ----------
        block
            The lines, each with its end.

        Raises
        ------
        OSError
            Not all of them could be written.
        """
        with self._lock:
            # Half a line that a full disk left must not swallow the next one.
            whole = b"\n" + block if self._is_cut else block
            done = 0
            try:
                while done < len(whole):
                    done += _write(whole[done:])
            finally:
                if done:
                    self._is_cut = whole[done - 1 : done] != b"\n"

    def write(self, text: str) -> None:
        """Write a line, or lose and count it.

        Parameters
        ----------
        text
            The line with its end.
        """
        block = text.encode("utf-8", errors="backslashreplace")
        with self._lock:
            told = self._untold
            if told:
                block = _tell(told) + block
            try:
                self.put(block)
            except (OSError, ValueError):  # the second of a stream that was closed
                self.lost += 1
                self._untold += 1
            else:
                self._untold -= told

    def flush(self) -> None:
        """Do nothing: what was written is not held back."""


def _write(block: bytes) -> int:
    """Write what goes through; say how many bytes."""
    buffer = getattr(sys.stderr, "buffer", None)
    if buffer is None:
        # Somebody put a stream of text in its place, or there is none.
        return len(block) if sys.stderr is None else _write_text(block)
    # Past the buffer: it would keep what a full disk refuses, and be full itself in the end.
    written = getattr(buffer, "raw", buffer).write(block)
    if not written:
        raise BlockingIOError("standard error takes nothing now")
    return cast("int", written)


def _write_text(block: bytes) -> int:
    sys.stderr.write(block.decode())
    return len(block)


def _tell(lines: int) -> bytes:
    at = clock.now().isoformat()
    line = {"event": "log_lines_lost", "level": "warning", "timestamp": at, "lines": lines}
    return json.dumps(line).encode() + b"\n"


OUTLET = Outlet()


def configure_logs(level: str = "INFO") -> None:
    """Send every event as one JSON line to standard error.

    Parameters
    ----------
    level
        Least level that is written: DEBUG, INFO, WARNING or ERROR.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        # All that a logger of structlog's asks of its file is `write` and `flush`.
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", OUTLET)),
        cache_logger_on_first_use=True,
    )


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Give the logger of a module; ``name`` becomes the field ``module``."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(module=name))
