"""Releases that answered once: those on disk, and those that only the registry has any more.

Failure policy: a version that the registry has no whole artifact of is told as gone; a registry
that is down is told as such, and what is on disk can still be asked.
"""

from __future__ import annotations

import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from bentos.predictor import Predictor
from bentos.release import Identity, Pointer, Release, open_release
from core.artifact import RELEASE, manifest_sha256
from core.errors import ArtifactCorrupt, NotFound
from core.history_faults import ReleaseGone
from core.registry import Registry
from services.durable import replace_file

_MOST_OPEN = 8
_GONE = "MLflow has no such version, or its artifact was deleted"


@dataclass
class Archive:
    """Opens releases by version, and keeps some open.

    Parameters
    ----------
    releases
        Folder of the releases that are served.
    folder
        Where those from the registry are kept.
    registry
        Has every version.
    kind_of
        Gives the predictor class of a model.
    """

    releases: Path
    folder: Path
    registry: Registry
    kind_of: Callable[[str], type[Predictor]]
    _open: OrderedDict[tuple[str, str], Release] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, model: str, version: str) -> Release:
        """Give a release, ready to answer.

        Parameters
        ----------
        model, version
            Which one.

        Raises
        ------
        ReleaseGone
            There is no whole artifact of it any more.
        RegistryDown
            It is not on disk, and MLflow does not answer.
        """
        with self._lock:
            found = self._open.get((model, version))
            if found is None:
                found = self._open[model, version] = self._find(model, version)
                if len(self._open) > _MOST_OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end((model, version))
            return found

    def _find(self, model: str, version: str) -> Release:
        fault = _GONE
        for home in (self.releases / model, self.folder / model):
            place = home / version
            # A name from outside leads to no other folder.
            if place.parent == home and _is_there(place / RELEASE):
                try:
                    return self._opened(model, version, place)
                except ArtifactCorrupt as error:
                    # What serves is looked after by the watcher; here it is asked for anew.
                    fault = f"{error.fault}; {_GONE}"
        return self._download(model, version, fault)

    def _opened(self, model: str, version: str, place: Path) -> Release:
        pointer = Pointer(version=version, manifest_sha256=manifest_sha256(place))
        return open_release(place, pointer=pointer, kind=self.kind_of(model))

    def _download(self, model: str, version: str, fault: str) -> Release:
        """Bring a version from the registry to the disk, whole or not at all."""
        known = {found.version: found for found in self.registry.versions(model)}
        if version not in known:
            raise ReleaseGone(model, version, fault)
        home = self.folder / model
        draft = home / f".{uuid4().hex}"
        draft.mkdir(parents=True)
        try:
            self.registry.download(model, version, draft)
            identity = Identity(
                model=model,
                version=version,
                run_id=known[version].run_id,
                registered_at=known[version].registered_at,
                manifest_sha256=manifest_sha256(draft),
            )
            replace_file(draft / RELEASE, identity.model_dump_json(indent=1).encode())
            self._opened(model, version, draft)
            shutil.rmtree(home / version, ignore_errors=True)
            draft.rename(home / version)
            return self._opened(model, version, home / version)
        except (ArtifactCorrupt, NotFound, OSError) as error:
            raise ReleaseGone(model, version, str(getattr(error, "fault", error))) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A name from outside may be longer than any that a folder can have.
        return False
