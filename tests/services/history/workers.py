"""One worker of a home folder, and whose rows the log has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.history.decoding import OUTCOMES_OF
from services.history.eraser import Eraser
from services.history.erasure import Erasures
from services.history.housekeeping import Housekeeper
from services.history.log import PredictionLog
from services.history.mover import Mover
from tests.services.history.conftest import log_of, rows_of
from tests.services.history.wishes import later

OUTCOMES = "churn" + OUTCOMES_OF


class Worker:
    """One worker of a home folder, stepped by hand."""

    def __init__(
        self, home: Path, log: PredictionLog | None = None, *, links: Sequence[str] = ()
    ) -> None:
        self.log = log_of(home) if log is None else log
        self.erasures = Erasures(self.log, links=links)
        self.mover = Mover(home / "spool", self.log, erasures=self.erasures)
        self.eraser = Eraser(self.log, self.erasures, spool=home / "spool")
        self.housekeeper = Housekeeper(self.log, keep_days=None)

    def work(self) -> None:
        """Move and erase, and two minutes later prove."""
        try:
            self.mover.step()
            self.eraser.step()
            with later():
                self.housekeeper.step()
                self.eraser.finish()
        finally:
            self.mover.close()


def entities(log: PredictionLog, place: str = "churn") -> list[str]:
    """Read the entities that the log has."""
    return sorted(one["entity"] for one in rows_of(log, place) if one["entity"])
