"""Makes the next segment of a spool before it is needed, and finishes those that are full.

Both take milliseconds, which a request should not wait for; a thread does them.

Failure policy: without room on the disk, or within what the spool may take, or while its folder
cannot be looked at, there is no next segment; the thread goes on, it is tried again twice a second,
and the state tells why there is none.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from core.logs import get_logger
from services.durable import sync_folder
from services.predictions.condition import Condition, read_condition
from services.predictions.segment import DONE, OPEN, Segment

LOOK_SECONDS = 0.5
TRIES = 5


class Keeper:
    """Keeps one empty segment ready.

    Parameters
    ----------
    folder
        Of the spool.
    segment_bytes
        Size of a segment.
    most_bytes
        What all segments of the folder may take, those of other processes included.
    """

    def __init__(self, folder: Path, *, segment_bytes: int, most_bytes: int) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._most_bytes = most_bytes
        self._writer = uuid4().hex
        self._made = 0
        self._next: Segment | None = None
        self._full: deque[Segment] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_stopped = False
        self._thread: threading.Thread | None = None
        self._log = get_logger(__name__)
        # What is told of the folder; read by other threads.
        self.held_bytes = 0
        self.lag_seconds = 0.0
        self.condition = Condition()
        self.blocked: str | None = None

    def start(self) -> None:
        """Make the folder and the first segment, and go on in a thread."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._look()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish what is full, and end."""
        self._is_stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._finish()
        if self._next is not None:
            self._next.finish()
            self._next = None

    def take(self) -> Segment | None:
        """Give an empty segment; nothing when there is no room for one."""
        with self._lock:
            if self._next is None and self.blocked is None:
                self._next = self._make(self._segment_bytes)
            taken, self._next = self._next, None
        self._wake.set()
        return taken

    def take_large(self, size: int) -> Segment | None:
        """Give a segment for one record that is larger than any usual one.

        Parameters
        ----------
        size
            Of the segment, in bytes.
        """
        with self._lock:
            return self._make(size)

    def give_back(self, segment: Segment) -> None:
        """Take a segment that is to be finished."""
        self._full.append(segment)
        self._wake.set()

    def _run(self) -> None:
        while not self._is_stopped:
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            self._finish()
            self._look()

    def _look(self) -> None:
        """See what the folder holds, and make the next segment."""
        with self._lock:
            try:
                self._measure()
            except OSError as error:
                # A thread that ends would make no segment again, once the disk is well.
                self._block(f"the spool cannot be looked at: {error.strerror or error}")
                return
            if self._next is None:
                self._next = self._make(self._segment_bytes)
            else:
                self._unblock()

    def _measure(self) -> None:
        held, oldest_s = 0, None
        for path, size, changed_s in _files(self._folder):
            held += size
            if path.endswith(DONE) and (oldest_s is None or changed_s < oldest_s):
                oldest_s = changed_s
        self.held_bytes = held
        self.lag_seconds = 0.0 if oldest_s is None else max(0.0, time.time() - oldest_s)
        self.condition = read_condition(self._folder)

    def _make(self, size: int) -> Segment | None:
        """Make a segment; nothing, and why, when that cannot be."""
        if self.held_bytes + size > self._most_bytes:
            self._block(f"the spool holds {self.held_bytes:,} of {self._most_bytes:,} bytes")
            return None
        try:
            segment = self._make_one(size)
            sync_folder(self._folder)
        except OSError as error:
            self._block(f"no segment can be made: {error.strerror or error}")
            return None
        self.held_bytes += size
        self._unblock()
        return segment

    def _make_one(self, size: int) -> Segment:
        """Make a segment, again when the worker had a look at it before it was locked."""
        for tries_left in reversed(range(TRIES)):
            # Never the same name again: a worker that looks at the first would take the second.
            path = self._folder / f"{self._writer}-{self._made:08d}{OPEN}"
            self._made += 1
            try:
                return Segment(path, size)
            except BlockingIOError:
                if not tries_left:
                    raise
        raise AssertionError("it is tried at least once")

    def _block(self, reason: str) -> None:
        was_blocked, self.blocked = self.blocked is not None, reason
        if not was_blocked:
            self._log.error("spool_full", reason=reason)

    def _unblock(self) -> None:
        was_blocked, self.blocked = self.blocked is not None, None
        if was_blocked:
            self._log.info("spool_has_room", held_bytes=self.held_bytes)

    def _finish(self) -> None:
        while self._full:
            segment = self._full.popleft()
            try:
                segment.finish()
            except OSError as error:
                # It stays as that of a writer that is gone, and is read as such.
                self._log.error("segment_not_finished", path=str(segment.path), reason=str(error))


def _files(folder: Path) -> Iterator[tuple[str, int, float]]:
    """Give name, size and time of change of each segment."""
    for path in folder.iterdir():
        if path.suffix not in {OPEN, DONE}:
            continue
        try:
            facts = path.stat()
        except FileNotFoundError:
            continue  # moved on meanwhile
        yield path.name, facts.st_size, facts.st_mtime
