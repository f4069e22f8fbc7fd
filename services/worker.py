"""The worker: what has to happen beside serving, in a process of its own.

``python -m services.worker``

Failure policy: while MLflow is down the worker waits, asks again every few seconds, says so once
when it goes and once when it comes back; what is served goes on.
"""

from __future__ import annotations

import signal
import sys
import threading

from bentos.catalog import CATALOG, predictor_type
from bentos.lone import read_platform_config
from core.errors import RegistryDown, SeptetError
from core.logs import configure_logs, get_logger
from core.platform_config import PlatformConfig
from core.settings import Settings, load_settings
from services.history.keeper import build_history
from services.releases.watcher import Watcher

MAX_WAIT_SECONDS = 8.0
STOP_SECONDS = 10.0  # a look at a registry that hangs is not waited for any longer


class Worker:
    """Runs the watcher until it is told to stop.

    Parameters
    ----------
    watcher
        Follows the aliases.
    watch_seconds
        Seconds between two looks.
    """

    def __init__(self, watcher: Watcher, *, watch_seconds: float) -> None:
        self._watcher = watcher
        self._watch_seconds = watch_seconds
        self._stop = threading.Event()
        self._log = get_logger(__name__)

    def stop(self) -> None:
        """Let the current look finish, then stop."""
        self._stop.set()

    def run(self) -> None:
        """Look again and again."""
        wait_seconds = self._watch_seconds
        is_down = False
        while True:
            try:
                self._watcher.step()
            except RegistryDown as error:
                if not is_down:
                    self._log.warning("registry_down", reason=error.detail)
                is_down = True
                wait_seconds = min(wait_seconds * 2, MAX_WAIT_SECONDS)
            except Exception as error:  # noqa: BLE001 - a full disk today is no reason to be gone
                self._log.error("watch_failed", exc_info=error)
                wait_seconds = min(wait_seconds * 2, MAX_WAIT_SECONDS)
            else:
                if is_down:
                    self._log.info("registry_back")
                is_down = False
                wait_seconds = self._watch_seconds
            if self._stop.wait(wait_seconds):
                return


def build_worker(settings: Settings, platform: PlatformConfig) -> Worker:
    """Put the worker's parts together.

    Parameters
    ----------
    settings
        Places of the registry and of the releases.
    platform
        How often it looks.
    """
    # Imported here: it brings in mlflow, which the rest of this package must never see.
    from core.registry import Registry  # noqa: PLC0415

    watcher = Watcher(
        Registry(settings.mlflow_address, artifacts=settings.mlflow_artifacts),
        folder=settings.releases,
        models=CATALOG,
        predictor_type=predictor_type,
    )
    return Worker(watcher, watch_seconds=platform.releases.watch_seconds)


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 when it stopped cleanly."""
    signals = {signal.SIGTERM, signal.SIGINT}
    # Blocked here and in every thread started after: they are waited for, not handled, because a
    # handler that runs inside of a lock of the main thread could wait for itself.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    log = get_logger(__name__)
    try:
        settings = load_settings()
        configure_logs(settings.log_level)
        platform = read_platform_config(settings)
        worker = build_worker(settings, platform)
        history = build_history(settings, platform.history)
    except SeptetError as error:
        log.error("worker_not_started", reason=error.detail)
        return 1
    stop = threading.Event()
    threads = [
        threading.Thread(target=worker.run, name="watch", daemon=True),
        threading.Thread(target=history.run, args=(stop,), name="history", daemon=True),
    ]
    for thread in threads:
        thread.start()
    log.info("worker_started", releases=str(settings.releases))
    number = signal.sigwait(signals)
    log.info("worker_stopping", signal=signal.Signals(number).name)
    worker.stop()
    stop.set()
    for thread in threads:
        thread.join(timeout=STOP_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
