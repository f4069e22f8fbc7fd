"""Takes audit entries that have no change to stand beside, and writes them without a wait.

A request hands its entry over and goes on; a thread writes what came together. Failure policy:
while the records do not answer, entries wait in memory up to a limit; what comes then is dropped,
counted and logged. No request fails or waits for the audit.

What one key is refused again and again within a minute is written once, and the next line says how
many were left out: a caller must not be able to fill the disk with its own refusals.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from core.denials import RecordsUnavailable
from core.logs import get_logger
from services.access.audit import Entry, write_entries
from services.records import Records

_MOST_AT_ONCE = 200
_RETRY_SECONDS = 1.0
_STOP_SECONDS = 5.0
_SELDOM_SECONDS = 60.0
_MOST_ALIKE = 1024


@dataclass(frozen=True, slots=True)
class _Last:
    """What came last of entries that are alike."""

    written_s: float
    entry: Entry
    left_out: int


class AuditRecorder:
    """Writes entries in the background.

    Parameters
    ----------
    records
        The database.
    most_waiting
        Entries that wait at most.
    monotonic
        Gives seconds that never go back.
    """

    def __init__(
        self,
        records: Records,
        *,
        most_waiting: int = 1000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        # Nothing in the queue ends the thread.
        self._waiting: queue.Queue[Entry | None] = queue.Queue(maxsize=most_waiting)
        self._monotonic = monotonic
        # The one that came last stands last.
        self._seldom: OrderedDict[Hashable, _Last] = OrderedDict()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_down = False
        self._dropped = 0
        self._log = get_logger(__name__)

    @property
    def dropped(self) -> int:
        """Entries that were lost so far."""
        return self._dropped

    def start(self) -> None:
        """Write from now on."""
        self._thread = threading.Thread(target=self._write_on, name="audit", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, for some seconds at most, then stop."""
        while self._seldom:
            self._tell_left_out(self._seldom.popitem()[1])
        self._stop.set()
        if self._thread is not None:
            try:
                self._waiting.put(None, timeout=_RETRY_SECONDS)
            except queue.Full:
                self._log.warning("audit_full_at_stop")
            self._thread.join(timeout=_STOP_SECONDS)
            self._thread = None

    def record_seldom(self, entry: Entry, *, alike: Hashable) -> None:
        """Take an entry unless one like it came within the minute; then it is counted only.

        Parameters
        ----------
        entry
            What happened.
        alike
            The same for entries that are not worth a line each.
        """
        now_s = self._monotonic()
        last = self._seldom.pop(alike, None)
        if last is not None and now_s - last.written_s < _SELDOM_SECONDS:
            self._seldom[alike] = _Last(last.written_s, entry, last.left_out + 1)
            return
        self._seldom[alike] = _Last(now_s, entry, 0)
        if len(self._seldom) > _MOST_ALIKE:
            self._tell_left_out(self._seldom.popitem(last=False)[1])
        left_out = last.left_out if last is not None else 0
        self.record(_counted(entry, left_out))

    def _tell_left_out(self, last: _Last) -> None:
        """Write the last of those that were left out, with their number."""
        if last.left_out:
            self.record(_counted(last.entry, last.left_out - 1))

    def record(self, entry: Entry) -> None:
        """Take an entry; returns at once, whatever the records do.

        Parameters
        ----------
        entry
            What happened.
        """
        try:
            self._waiting.put_nowait(entry)
        except queue.Full:
            self._drop(1, "too many entries wait")

    def _write_on(self) -> None:
        """Write what comes until told to stop and nothing waits any more."""
        while (entry := self._waiting.get()) is not None:
            batch = [entry]
            ends = self._gather(batch)
            if not self._write_sometime(batch):
                self._drop(len(batch) + self._waiting.qsize(), "the records did not answer")
                return
            if ends:
                return

    def _write_sometime(self, batch: list[Entry]) -> bool:
        """Try until a batch is dealt with; once told to stop, one last time."""
        is_last = False
        while not self._try_to_write(batch):
            if is_last:
                return False
            is_last = self._stop.wait(_RETRY_SECONDS)
        return True

    def _gather(self, batch: list[Entry]) -> bool:
        """Add what waits as well; say whether the end was among it."""
        while len(batch) < _MOST_AT_ONCE:
            try:
                entry = self._waiting.get_nowait()
            except queue.Empty:
                return False
            if entry is None:
                return True
            batch.append(entry)
        return False

    def _try_to_write(self, batch: list[Entry]) -> bool:
        """Write a batch; say whether it is dealt with."""
        try:
            with self._records.writing() as connection:
                write_entries(connection, batch)
        except RecordsUnavailable as error:
            if not self._is_down:
                self._log.error("audit_not_written", reason=error.detail, waiting=len(batch))
            self._is_down = True
            return False
        except Exception as error:  # noqa: BLE001 - a batch that cannot be written must not block
            self._drop(len(batch), f"{type(error).__name__}: {error}")
            return True
        if self._is_down:
            self._log.info("audit_written_again")
        self._is_down = False
        return True

    def _drop(self, count: int, reason: str) -> None:
        """Count what is lost, and log it: the first time, and at each tenfold."""
        before = self._dropped
        self._dropped += count
        if len(str(before)) < len(str(self._dropped)) or before == 0:
            self._log.error("audit_dropped", reason=reason, dropped=self._dropped)


def _counted(entry: Entry, left_out: int) -> Entry:
    """Say in an entry how many like it were left out before."""
    return replace(entry, detail={**entry.detail, "left_out": left_out}) if left_out else entry
