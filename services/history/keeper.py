"""What the worker does for the history, again and again: move, and keep in shape.

Failure policy: whatever fails is told once, and tried again with growing waits; what was kept waits
in the spool meanwhile, whose bounds then decide (``services.predictions.spool``).
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from bentos.catalog import CATALOG
from core.config import load_model_config
from core.errors import ConfigError
from core.logs import get_logger
from core.platform_config import History
from core.settings import Settings
from services.history.eraser import Eraser
from services.history.erasure import Erasures
from services.history.housekeeping import Housekeeper
from services.history.log import PredictionLog
from services.history.masking import open_masking
from services.history.mover import Mover, owner_of
from services.history.predicted import INPUT
from services.history.watch import Watch

MOST_WAIT_SECONDS = 30.0


class HistoryKeeper:
    """Moves predictions into the log until it is told to stop.

    Parameters
    ----------
    mover
        Empties the spool.
    eraser
        Carries erasures out.
    housekeeper
        Keeps the log in shape.
    watch
        Tells how it is.
    move_seconds, tidy_seconds
        Seconds between two looks of each.
    """

    def __init__(
        self,
        mover: Mover,
        eraser: Eraser,
        housekeeper: Housekeeper,
        watch: Watch,
        *,
        move_seconds: float,
        tidy_seconds: float,
    ) -> None:
        self._mover = mover
        self._eraser = eraser
        self._housekeeper = housekeeper
        self._watch = watch
        self._move_seconds = move_seconds
        self._tidy_seconds = tidy_seconds
        self._tidied_s: float | None = None
        self._fault: str | None = None
        self._is_in_doubt = False
        self._log = get_logger(__name__)

    def run(self, stop: threading.Event) -> None:
        """Look again and again until the event is set, and once more after it."""
        wait_seconds = self._move_seconds
        is_last = False
        while True:
            if self._try_step():
                wait_seconds = self._move_seconds
            else:
                wait_seconds = min(2 * wait_seconds, MOST_WAIT_SECONDS)
            if is_last:
                break
            is_last = stop.wait(wait_seconds)
        self.close()

    def close(self) -> None:
        """Let another worker have the spool."""
        self._mover.close()

    def step(self) -> None:
        """Move what waits, erase what was asked, and look after the log when it is time."""
        # Another worker of this spool writes the same manifests.
        if not self._mover.is_alone():
            return
        if self._is_in_doubt:
            self._begin_anew()
        # Until all of it has ended well.
        self._is_in_doubt = True
        try:
            self._mover.step()
            self._eraser.step()
        except Exception:
            # A full disk may have room again once what is too old is gone.
            self._begin_anew()
            self._tidy()
            raise
        if self._tidy():
            self._eraser.finish()
            self._watch.tell()
        self._is_in_doubt = False

    def _begin_anew(self) -> None:
        """Go on after a fault, which may have left files that no manifest names."""
        self._mover.renew()
        self._tidied_s = None

    def _tidy(self) -> bool:
        """Look after the log when it is time; say whether it was."""
        now_s = time.monotonic()
        if self._tidied_s is not None and now_s - self._tidied_s < self._tidy_seconds:
            return False
        if self._tidied_s is None:
            self._housekeeper.sweep()
        self._housekeeper.step()
        self._tidied_s = now_s
        return True

    def _try_step(self) -> bool:
        try:
            self.step()
        except Exception as error:  # noqa: BLE001 - a full disk today is no reason to be gone
            fault = f"{type(error).__name__}: {error}"[:300]
            if fault != self._fault:
                self._log.error("history_not_kept", reason=fault, exc_info=error)
            self._fault = fault
            return False
        if self._fault is not None:
            self._log.info("history_kept_again")
        self._fault = None
        return True


def build_history(settings: Settings, config: History) -> HistoryKeeper:
    """Put the parts together.

    Parameters
    ----------
    settings
        Places of the spool and of the log.
    config
        How often, how long it is kept, and what of it.

    Raises
    ------
    ConfigError
        A mask or a sample names a model or a column that there is not.
    """
    place = settings.predictions_place
    # They hold what callers sent: nobody else on this machine may read it.
    for folder in (settings.spool, place):
        if isinstance(folder, Path):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = PredictionLog(place, owner=owner_of(settings.spool))
    masking, secret = open_masking(settings, config)
    conceal = None if secret is None else secret.mask
    erasures = Erasures(log, conceal=conceal, links=_links(settings))
    return HistoryKeeper(
        Mover(settings.spool, log, erasures=erasures, masking=masking),
        Eraser(log, erasures, spool=settings.spool),
        Housekeeper(log, keep_days=config.keep_days, spool=settings.spool),
        Watch(log, erasures, spool=settings.spool),
        move_seconds=config.move_seconds,
        tidy_seconds=config.tidy_seconds,
    )


def _links(settings: Settings) -> list[str]:
    """Name the columns of inputs that are the entity of some model, as a client's is."""
    found = set()
    for model in CATALOG:
        try:
            found.add(load_model_config(settings.model_config_path(model)).entity)
        except ConfigError as error:
            # It is served no more, and others must go on: but rows that name its entity stay.
            get_logger(__name__).error("config_unreadable", model=model, reason=error.detail)
    return sorted(INPUT + name for name in found)
