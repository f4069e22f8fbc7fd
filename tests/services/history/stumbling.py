"""Backtests that stumble when a test says so: ``HOME/stumbles/<kind>`` holds how often."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.history_faults import HistoryTooLarge, ReleaseGone
from services.history.questions import BacktestQuestion
from services.history.reader.backtest import Backtests, Part

KILL, BUSY, GONE, STRANGE, SLOW, HOLD = "kill", "busy", "gone", "strange", "slow", "hold"
SECRET = "/srv/septet/secret-folder"


def stumble(home: Path, kind: str, times: int) -> None:
    """Let the next parts of backtests stumble."""
    (home / "stumbles").mkdir(exist_ok=True)
    _write(home / "stumbles" / kind, times)


def _write(file: Path, times: int) -> None:
    """Write at once: another process reads it at any moment."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(str(times))
    draft.replace(file)


@dataclass(frozen=True)
class StumblingBacktests(Backtests):
    """Backtests whose parts meet what they may meet at any moment.

    Parameters
    ----------
    home
        Where it says how often.
    """

    home: Path = Path()

    def part(self, question: BacktestQuestion, day: str, after: Sequence[str] | None) -> Part:
        """Stumble, or ask some rows again."""
        while self._times(HOLD):
            time.sleep(0.02)
        if self._is_now(SLOW):
            time.sleep(0.5)
        if self._is_now(KILL):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._is_now(BUSY):
            raise HistoryTooLarge(20.0)
        if self._is_now(GONE):
            raise ReleaseGone(question.model, question.against, "somebody deleted it")
        if self._is_now(STRANGE):
            raise OSError(f"cannot read {SECRET}")
        return super().part(question, day, after)

    def _times(self, kind: str) -> int:
        file = self.home / "stumbles" / kind
        return int(file.read_text()) if file.exists() else 0

    def _is_now(self, kind: str) -> bool:
        times = self._times(kind)
        if times:
            _write(self.home / "stumbles" / kind, times - 1)
        return times > 0
