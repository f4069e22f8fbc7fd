"""The champions that a process serves, kept in step with the disk.

Failure policy: whatever is wrong on disk (a damaged artifact, a foreign one, an unreadable
pointer), the champion that was loaded before goes on, and the reason is logged once and shown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bentos.predictor import Predictor
from bentos.release import POINTER, Pointer, Release, open_release, read_pointer
from core import clock
from core.errors import ArtifactCorrupt, NoChampion
from core.logs import get_logger

_FileState = tuple[int, int, int] | None  # modification time (ns), size, inode


@dataclass(frozen=True)
class Refusal:
    """A release that was not taken.

    Parameters
    ----------
    version
        Version it claims, when that could be read.
    reason
        What does not hold.
    refused_at
        When it was refused.
    """

    version: str | None
    reason: str
    refused_at: datetime


class Holder:
    """Holds one release a model, and follows the pointers on disk.

    It is inert until ``start``. Loading and checking happen in its own thread; a request only
    ever reads a finished release, so that a switch drops nothing.

    Parameters
    ----------
    models
        Names of the models.
    predictor_type
        Gives the predictor class of a model.
    """

    def __init__(
        self, models: Sequence[str], *, predictor_type: Callable[[str], type[Predictor]]
    ) -> None:
        self.models = tuple(models)
        self._predictor_type = predictor_type
        self._folder: Path | None = None
        self._releases: Mapping[str, Release] = {}
        self._refusals: Mapping[str, Refusal] = {}
        self._seen: dict[str, _FileState] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._log = get_logger(__name__)

    def start(self, folder: Path, *, poll_seconds: float) -> None:
        """Load what there is, then look for changes in a thread.

        Parameters
        ----------
        folder
            The folder of the releases, one sub-folder a model.
        poll_seconds
            Seconds between two looks.
        """
        self._folder = folder
        self._stop.clear()
        self.refresh()
        self._thread = threading.Thread(
            target=self._follow, args=(poll_seconds,), name="releases", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; what is loaded stays."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None

    def champion(self, model: str) -> Release:
        """Give the release that answers now.

        Raises
        ------
        NoChampion
            There is none; the reason is named when one was refused.
        """
        release = self._releases.get(model)
        if release is None:
            refusal = self._refusals.get(model)
            raise NoChampion(model, refusal.reason if refusal else None)
        return release

    def find(self, model: str) -> Release | None:
        """Give the release that answers now, if there is one."""
        return self._releases.get(model)

    def is_serving(self, model: str) -> bool:
        """Whether a model answers."""
        return model in self._releases

    def refusal(self, model: str) -> Refusal | None:
        """Give the last release that was not taken, until another one is."""
        return self._refusals.get(model)

    @property
    def versions(self) -> tuple[tuple[str, str, str], ...]:
        """Model, version and manifest of all that is held: changes when anything is switched."""
        held = self._releases
        return tuple((m, r.version, r.identity.manifest_sha256) for m, r in held.items())

    def refresh(self) -> None:
        """Look once at every pointer, and take what changed."""
        for model in self.models:
            self._refresh_model(model)

    def _follow(self, poll_seconds: float) -> None:
        while not self._stop.wait(poll_seconds):
            self.refresh()

    def _refresh_model(self, model: str) -> None:
        if self._folder is None:
            return
        folder = self._folder / model
        state = _file_state(folder / POINTER)
        if state is None or self._seen.get(model) == state:
            return
        # Noted before it is read: a pointer written meanwhile has another state, and is seen next.
        self._seen[model] = state
        version: str | None = None
        try:
            pointer = read_pointer(folder)
            if pointer is None:
                return
            version = pointer.version
            release = self._held(model, pointer) or open_release(
                folder / version, pointer=pointer, kind=self._predictor_type(model)
            )
        except ArtifactCorrupt as error:
            self._refuse(model, version=version, reason=error.fault)
        except Exception as error:  # noqa: BLE001 - the thread must outlive any artifact
            self._refuse(model, version=version, reason=f"{type(error).__name__}: {error}")
        else:
            self._take(model, release)

    def _held(self, model: str, pointer: Pointer) -> Release | None:
        """Give the release that is held already, when it is the one that is pointed at."""
        held = self._releases.get(model)
        if held is None or held.version != pointer.version:
            return None
        return held if held.identity.manifest_sha256 == pointer.manifest_sha256 else None

    def _take(self, model: str, release: Release) -> None:
        """Let a release answer from now on: one assignment, so that no request sees a half."""
        self._refusals = {m: r for m, r in self._refusals.items() if m != model}
        if self._releases.get(model) is not release:
            self._releases = {**self._releases, model: release}
            self._log.info("release_taken", model=model, version=release.version)

    def _refuse(self, model: str, *, version: str | None, reason: str) -> None:
        refusal = Refusal(version=version, reason=reason, refused_at=clock.now())
        self._refusals = {**self._refusals, model: refusal}
        held = self._releases.get(model)
        self._log.error(
            "release_refused",
            model=model,
            version=version,
            reason=reason,
            serving=held.version if held else None,
        )


def _file_state(path: Path) -> _FileState:
    """Give what changes when a file is replaced; nothing when it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
