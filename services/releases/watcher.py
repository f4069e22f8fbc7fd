"""Turns an alias in the registry into a checked release on disk.

The worker runs it; serving processes only read what it wrote. An alias may be moved by the gate,
by hand in MLflow's UI, or by any client.

Failure policy: while MLflow does not answer, nothing on disk changes and what is served goes on; an
artifact that does not pass every check is marked on its version in the registry and left out, and
an alias that was deleted leaves the last champion in place.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from bentos.predictor import Predictor
from bentos.release import POINTER, Identity, Pointer, open_release, read_pointer
from core.artifact import RELEASE, manifest_sha256, open_artifact
from core.errors import ArtifactCorrupt
from core.logs import get_logger
from services.durable import replace_file, sync_folder

_DRAFT_PREFIX = ".incoming-"
# A store of artifacts that was away for a moment looks like a damaged artifact: it is asked again.
RETRY_SECONDS = 60.0


class RegisteredVersion(Protocol):
    """A version in the registry."""

    @property
    def version(self) -> str:
        """Its number, as text."""

    @property
    def run_id(self) -> str:
        """The run that trained it."""

    @property
    def registered_at(self) -> datetime:
        """When it was registered, UTC."""


class ReleaseSource(Protocol):
    """What the watcher needs of a registry."""

    def champion(self, model: str) -> RegisteredVersion | None:
        """Give the version that bears the alias champion, if any does."""

    def download(self, model: str, version: str, folder: Path) -> None:
        """Copy a version's artifact into an empty folder."""

    def mark_refused(self, model: str, version: str, reason: str) -> None:
        """Note on a version why it is not served."""


class Watcher:
    """Follows the alias ``champion`` of each model.

    Parameters
    ----------
    source
        The registry.
    folder
        The folder of the releases, one sub-folder a model.
    models
        Names of the models.
    predictor_type
        Gives the predictor class of a model.
    """

    def __init__(
        self,
        source: ReleaseSource,
        *,
        folder: Path,
        models: Sequence[str],
        predictor_type: Callable[[str], type[Predictor]],
    ) -> None:
        self._source = source
        self._folder = folder
        self._models = tuple(models)
        self._predictor_type = predictor_type
        self._refused: dict[str, tuple[str, float]] = {}
        self._checked: dict[str, str] = {}
        self._log = get_logger(__name__)

    def step(self) -> list[str]:
        """Look once at every alias.

        Returns
        -------
        list of str
            Models whose champion was switched.

        Raises
        ------
        RegistryDown
            The registry does not answer.
        """
        return [model for model in self._models if self._follow(model)]

    def _follow(self, model: str) -> bool:
        wanted = self._source.champion(model)
        if wanted is None:
            return False
        refused, again_s = self._refused.get(model, ("", 0.0))
        if wanted.version == refused and time.monotonic() < again_s:
            return False
        if wanted.version == self._served(model):
            self._refused.pop(model, None)
            return False
        try:
            pointer = self._take(model, wanted)
        except ArtifactCorrupt as error:
            self._refuse(model, wanted.version, error.fault)
            return False
        self._refused.pop(model, None)
        self._log.info("champion_switched", model=model, version=pointer.version)
        return True

    def _served(self, model: str) -> str | None:
        """Give the version that lies on disk as champion, when it is whole."""
        home = self._folder / model
        try:
            pointer = read_pointer(home)
            if pointer is None:
                return None
            if self._checked.get(model) != pointer.version:
                # Once a start: what was damaged while nobody looked is downloaded again.
                open_artifact(home / pointer.version)
                self._checked[model] = pointer.version
        except ArtifactCorrupt as error:
            self._log.warning("champion_on_disk_damaged", model=model, reason=error.fault)
            return None
        return pointer.version

    def _take(self, model: str, wanted: RegisteredVersion) -> Pointer:
        """Download, check, and only then make a version the champion on disk."""
        home = self._folder / model
        home.mkdir(parents=True, exist_ok=True)
        before = self._served(model)
        for left_over in home.glob(f"{_DRAFT_PREFIX}*"):
            shutil.rmtree(left_over)
        draft = home / f"{_DRAFT_PREFIX}{uuid4().hex}"
        draft.mkdir()
        try:
            self._source.download(model, wanted.version, draft)
            pointer = self._check(model, wanted, draft)
            place = home / pointer.version
            if place.exists():
                # From an earlier time as champion; the one just checked takes its place.
                place.rename(home / f"{_DRAFT_PREFIX}{uuid4().hex}")
            draft.rename(place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        sync_folder(home)
        replace_file(home / POINTER, pointer.model_dump_json().encode())
        self._checked[model] = pointer.version
        self._clear(home, keep={pointer.version, before})
        return pointer

    def _check(self, model: str, wanted: RegisteredVersion, draft: Path) -> Pointer:
        """Say who the artifact is, and check it to the bottom."""
        try:
            digest = manifest_sha256(draft)
        except OSError as error:
            raise ArtifactCorrupt(str(draft), f"it has no manifest ({error.strerror})") from error
        identity = Identity(
            model=model,
            version=wanted.version,
            run_id=wanted.run_id,
            registered_at=wanted.registered_at,
            manifest_sha256=digest,
        )
        replace_file(draft / RELEASE, identity.model_dump_json(indent=1).encode())
        pointer = Pointer(version=wanted.version, manifest_sha256=digest)
        open_release(draft, pointer=pointer, kind=self._predictor_type(model))
        return pointer

    def _refuse(self, model: str, version: str, reason: str) -> None:
        """Leave a version out for now, and say so where people look."""
        refused, _ = self._refused.get(model, ("", 0.0))
        self._refused[model] = (version, time.monotonic() + RETRY_SECONDS)
        if refused == version:
            return
        self._log.error(
            "champion_refused",
            model=model,
            version=version,
            reason=reason,
            serving=self._served(model),
        )
        self._source.mark_refused(model, version, reason)

    def _clear(self, home: Path, *, keep: set[str | None]) -> None:
        """Delete versions that are neither champion nor the one before."""
        for folder in home.iterdir():
            if folder.is_dir() and folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)
