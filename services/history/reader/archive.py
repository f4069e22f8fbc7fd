"""Releases that answered once: those on disk, and those that only the registry has any more.

Failure policy: a version that the registry has no whole artifact of is told as gone; a registry
that is down is told as such, and what is on disk can still be asked. While it hangs, whoever wants
that version waits, and nobody else.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from bentos.predictor import Predictor
from bentos.release import Identity, Pointer, Release, open_release
from core import clock
from core.artifact import RELEASE, manifest_sha256
from core.errors import ArtifactCorrupt, NotFound
from core.history_faults import ReleaseGone
from core.registry import Registry
from services.durable import replace_file

MOST_KEPT = 20
_MOST_OPEN = 8
# What a process that was killed left of a download.
_DRAFT_SECONDS = 86_400.0
_GONE = "MLflow has no such version, or its artifact was deleted"


_Key = tuple[str, str]


@dataclass
class _Turn:
    """Who looks for a version, and how many wait for it.

    Parameters
    ----------
    count
        Those who look or wait.
    """

    count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Archive:
    """Opens releases by version, and keeps some open.

    Parameters
    ----------
    releases
        Folder of the releases that are served.
    folder
        Where those from the registry are kept, the last ones that were asked.
    registry
        Has every version.
    kind_of
        Gives the predictor class of a model.
    """

    releases: Path
    folder: Path
    registry: Registry
    kind_of: Callable[[str], type[Predictor]]
    _open: OrderedDict[_Key, Release] = field(default_factory=OrderedDict)
    _turns: dict[_Key, _Turn] = field(default_factory=dict)
    # Of the two dictionaries alone: nobody who holds it waits for a disk or a registry.
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
        key = (model, version)
        found = self._opened_before(key)
        if found is not None:
            return found
        with self._turn(key):
            found = self._opened_before(key) or self._find(model, version)
            with self._lock:
                self._open[key] = found
                if len(self._open) > _MOST_OPEN:
                    self._open.popitem(last=False)
        return found

    def _opened_before(self, key: _Key) -> Release | None:
        with self._lock:
            found = self._open.get(key)
            if found is not None:
                self._open.move_to_end(key)
            return found

    @contextmanager
    def _turn(self, key: _Key) -> Iterator[None]:
        """Let one at a time look for a version."""
        with self._lock:
            turn = self._turns.setdefault(key, _Turn())
            turn.count += 1
        try:
            with turn.lock:
                yield
        finally:
            with self._lock:
                turn.count -= 1
                if not turn.count:
                    del self._turns[key]

    def _find(self, model: str, version: str) -> Release:
        fault = _GONE
        for home in (self.releases / model, self.folder / model):
            place = home / version
            # A name from outside leads to no other folder.
            if place.parent == home and _is_there(place / RELEASE):
                try:
                    found = self._opened(model, version, place)
                except ArtifactCorrupt as error:
                    # What serves is looked after by the watcher; here it is asked for anew.
                    fault = f"{error.fault}; {_GONE}"
                    continue
                if home == self.folder / model:
                    # It is a younger one than those that nobody asks.
                    os.utime(place)
                return found
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
            os.utime(home / version)
            found = self._opened(model, version, home / version)
        except (ArtifactCorrupt, NotFound, OSError) as error:
            raise ReleaseGone(model, version, str(getattr(error, "fault", error))) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        self._forget_oldest()
        return found

    def _forget_oldest(self) -> None:
        """Delete what was not asked for longest, but for what is in use."""
        places = sorted(self.folder.glob("*/*"), key=_changed_s, reverse=True)
        kept = [place for place in places if not place.name.startswith(".")]
        for draft in set(places).difference(kept):
            if _changed_s(draft) < clock.now_s() - _DRAFT_SECONDS:
                shutil.rmtree(draft, ignore_errors=True)
        for place in kept[MOST_KEPT:]:
            gone = place.with_name(f".{uuid4().hex}")
            with self._lock:
                key = (place.parent.name, place.name)
                if key in self._open or key in self._turns or not place.is_dir():
                    continue
                place.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)


def _changed_s(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except FileNotFoundError:
        # Another thread brings it anew, or deletes it.
        return 0.0


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A name from outside may be longer than any that a folder can have.
        return False
