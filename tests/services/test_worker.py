"""The worker goes on, whatever the registry does, and stops when told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from structlog.testing import capture_logs

from core.errors import RegistryDown
from services.releases.watcher import Watcher
from services.worker import Worker
from tests.services.releases.test_watcher import FolderRegistry, served
from tests.tiny import Shelf, tiny_type


class Flaky(FolderRegistry):
    """Fails in another way at each of its first looks."""

    failures: tuple[Exception, ...] = (RegistryDown("folder", "down"), OSError("disk"))
    looks: int = 0

    def champion(self, model: str) -> object:  # type: ignore[override]  # gives what its base gives
        self.looks += 1
        if self.looks <= len(self.failures):
            raise self.failures[self.looks - 1]
        return super().champion(model)


def until(condition: Callable[[], bool], *, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_it_survives_a_registry_that_is_down_and_takes_the_champion_after(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path / "registry")
    shelf.write("1")
    releases = tmp_path / "releases"
    registry = Flaky(shelf, alias="1")
    watcher = Watcher(registry, folder=releases, models=("churn",), predictor_type=tiny_type)  # type: ignore[arg-type]
    with capture_logs() as said:
        worker = Worker(watcher, watch_seconds=0.01)
        thread = threading.Thread(target=worker.run)
        thread.start()
        until(lambda: served(releases) == "1")
        worker.stop()
        thread.join(timeout=5)
    assert not thread.is_alive()
    events = [line["event"] for line in said]
    assert events == ["registry_down", "watch_failed", "champion_switched", "registry_back"]
