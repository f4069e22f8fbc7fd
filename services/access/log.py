"""The access log: one JSON line a request, never a key and never a feature's value.

Failure policy: lines wait in memory for a thread to write them, so that a slow reader of standard
error stalls no request; beyond ``MOST_LINES`` they are dropped, and so are those that could not be
written, as on a full disk. The thread goes on; how many were dropped is shown as a metric, and
logged with the next lines that can be written. The lines have the shape of every other log of ours,
but are written without `structlog`, which takes longer over one than the gate over a whole request.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from core import clock
from core.logs import OUTLET

if TYPE_CHECKING:
    from bentos.reply import Reply

FLUSH_SECONDS = 0.1
MOST_LINES = 50_000
_SHOWN_PATH = 200
_KEY = re.compile(r"sep_live_[0-9A-Za-z_]*")


class Lines:
    """Lines that wait to be written.

    Parameters
    ----------
    write
        Takes a block of whole lines; standard error without it.
    """

    def __init__(self, write: Callable[[bytes], object] | None = None) -> None:
        self._write = write or OUTLET.put
        self._waiting: list[bytes] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._told = 0
        self.dropped = 0

    def info(self, line: bytes) -> None:
        """Take one line."""
        if len(self._waiting) < MOST_LINES:
            self._waiting.append(line)
        else:
            self.dropped += 1

    def start(self) -> None:
        """Write what comes, ten times a second, until ``stop``."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._follow, name="access-log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what still waits, and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None

    def flush(self) -> None:
        """Write what waits; what cannot be written is dropped and counted."""
        waiting, self._waiting = self._waiting, []
        dropped = self.dropped
        told = [] if dropped == self._told else [_tell(dropped)]
        if not waiting and not told:
            return
        try:
            self._write(b"\n".join([*waiting, *told]) + b"\n")
        except Exception:  # noqa: BLE001 - counted; a thread that ends would write nothing again
            self.dropped += len(waiting)
        else:
            self._told = dropped

    def _follow(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()
        self.flush()


class AccessLog:
    """Writes down each exchange.

    Parameters
    ----------
    lines
        Where the lines go.
    """

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.is_on = True

    def write(self, reply: Reply, *, route: str, address: str, key_id: str) -> None:
        """Write one line.

        Parameters
        ----------
        reply
            The exchange, answered.
        route
            Template of the route; the path itself may hold what a caller wrote into it.
        address
            Who called.
        key_id
            Public id of the key; empty without one.
        """
        if not self.is_on:
            return
        seconds = time.perf_counter() - reply.started_s
        if not route:
            path = _KEY.sub("sep_live_***", reply.scope["path"])[:_SHOWN_PATH]
            # A reader may take more than a line feed for the end of a line, and a terminal obeys.
            plain = (sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in path)
            reply.notes["path"] = "".join(plain)
        line = {
            "event": "request",
            "level": "info",
            "timestamp": clock.now(),
            "request_id": reply.request_id.decode(),
            "method": reply.scope["method"][:20],
            "route": route or "unmatched",
            "status": reply.status,
            "ms": round(seconds * 1e3, 3),
            "bytes": reply.sent_bytes,
            "address": address,
            "key": key_id,
            **reply.notes,
        }
        self.lines.info(orjson.dumps(line))


def _tell(dropped: int) -> bytes:
    line = {
        "event": "access_log_dropped",
        "level": "warning",
        "timestamp": clock.now(),
        "lines": dropped,
    }
    return orjson.dumps(line)
