"""Brings champions from MLflow to the disk where no `septet up` does it."""

from __future__ import annotations

import time

from bentos.catalog import predictor_type
from bentos.release import read_pointer
from cli.faults import AlreadyUp
from cli.lock import alone
from core.errors import ArtifactCorrupt
from core.registry import Registry
from core.settings import Settings
from services.releases.watcher import Watcher

_WAIT_SECONDS = 15.0
_LOOK_SECONDS = 0.2


def publish(settings: Settings, registry: Registry, model: str) -> None:
    """Take a champion from MLflow to the disk, as the worker does.

    Parameters
    ----------
    settings
        Where the releases lie.
    registry
        Says which version is champion.
    model
        Name of the model; no other process may do the same for it at the same time.

    Raises
    ------
    RegistryDown
        MLflow does not answer.
    """
    watcher = Watcher(
        registry, folder=settings.releases, models=(model,), predictor_type=predictor_type
    )
    watcher.step()


def make_live(settings: Settings, registry: Registry, *, model: str, version: str) -> bool:
    """See to it that a champion lies on disk: by ourselves, or by the worker where one runs.

    Returns
    -------
    bool
        Whether it does; a worker that is late or refuses it says why in its log.
    """
    try:
        with alone(settings.home):
            publish(settings, registry, model)
    except AlreadyUp:
        deadline = time.monotonic() + _WAIT_SECONDS
        while not _lies(settings, model, version) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
    return _lies(settings, model, version)


def _lies(settings: Settings, model: str, version: str) -> bool:
    try:
        pointer = read_pointer(settings.releases / model)
    except ArtifactCorrupt:
        return False
    return pointer is not None and pointer.version == version
