"""Sees what somebody should look at: files that were set aside, erasures that are not done."""

from __future__ import annotations

from pathlib import Path

from services.history.erasure import Erasures
from services.history.log import QUARANTINE, PredictionLog
from services.predictions.condition import Condition, read_condition, write_condition


class Watch:
    """Tells the serving processes how the log is, by whom it comes into ``/metrics``.

    Parameters
    ----------
    log
        The log.
    erasures
        What was asked.
    spool
        Folder of the segments, where it is told.
    """

    def __init__(self, log: PredictionLog, erasures: Erasures, *, spool: Path) -> None:
        self._log = log
        self._erasures = erasures
        self._spool = spool

    def tell(self) -> None:
        """Look, and write down what has changed.

        Raises
        ------
        OSError
            The disk failed, or is full.
        """
        files = self._log.store.keys(f"{QUARANTINE}/*")
        segments = list((self._spool / QUARANTINE).glob("*"))
        open_ones = [
            one.asked_at.timestamp()
            for state in ("asked", "rewritten")
            for one in self._erasures.of_state(state)
        ]
        found = Condition(len(files) + len(segments), min(open_ones, default=None))
        if found != read_condition(self._spool):
            write_condition(self._spool, found)
