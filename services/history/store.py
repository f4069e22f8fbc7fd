"""Where the prediction log lies: a folder, or whatever fsspec has an address for, such as S3.

A key is a path under that place, with slashes. What is written is there whole or not at all, and
lasts, before ``write`` comes back: in a folder by a draft, ``fsync`` and a rename; in an object
store because one put is one step.
"""

from __future__ import annotations

import fnmatch
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from core import clock
from core.errors import ConfigError
from services.durable import Fill, fill_file, sync_folder

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Place = Path | str


class Store(Protocol):
    """Keeps bytes under keys."""

    @property
    def filesystem(self) -> AbstractFileSystem | None:
        """By what a place is opened; nothing where it is a path of this machine."""

    def place(self, key: str) -> Place:
        """Give where a key lies: a path, or an address of ``filesystem``."""

    def read(self, key: str) -> bytes:
        """Give the bytes of a key.

        Raises
        ------
        FileNotFoundError
            There is none.
        """

    def read_all(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Give the bytes of those of some keys that are there, by key."""

    def source(self, key: str) -> Path | io.BytesIO:
        """Give what a reader of Parquet opens; a fault of the store is raised here, not there."""

    def write(self, key: str, fill: Fill) -> int:
        """Put what a function writes in a key's place in one step; say how many bytes."""

    def delete(self, key: str) -> None:
        """Delete a key, when it is there."""

    def move(self, key: str, to: str) -> None:
        """Put a key under another one; nothing when it is not there."""

    def keys(self, pattern: str) -> list[str]:
        """Give the keys that a pattern meets; a star stands for what has no slash."""

    def age_s(self, key: str) -> float:
        """Give the seconds since a key was written; none when it is gone."""


class FolderStore:
    """Keeps the log in a folder of this machine.

    Parameters
    ----------
    folder
        Where.
    """

    filesystem: None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, key: str) -> Path:
        """Give the path of a key."""
        return self._folder / key

    def read(self, key: str) -> bytes:
        """Give the bytes of a key."""
        return self.place(key).read_bytes()

    def read_all(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Give the bytes of some keys."""
        found = {}
        for key in keys:
            with suppress(FileNotFoundError):
                found[key] = self.read(key)
        return found

    def source(self, key: str) -> Path:
        """Give the path of a key."""
        return self.place(key)

    def write(self, key: str, fill: Fill) -> int:
        """Write a draft, bring it to the disk, and give it its name."""
        path = self.place(key)
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
            sync_folder(path.parent.parent)
        return fill_file(path, fill)

    def delete(self, key: str) -> None:
        """Delete a file, when it is there."""
        self.place(key).unlink(missing_ok=True)

    def move(self, key: str, to: str) -> None:
        """Give a file another name."""
        path, new = self.place(key), self.place(to)
        if path.exists():
            new.parent.mkdir(parents=True, exist_ok=True)
            path.rename(new)
            sync_folder(new.parent)

    def keys(self, pattern: str) -> list[str]:
        """Give the files that a pattern meets."""
        return sorted(_meeting(self._folder, *pattern.split("/")))

    def age_s(self, key: str) -> float:
        """Give the seconds since a file was written."""
        try:
            return clock.now_s() - self.place(key).stat().st_mtime
        except FileNotFoundError:
            return 0.0


def _meeting(folder: Path, part: str, *parts: str) -> Iterator[str]:
    """Give what meets a pattern, part by part; quicker than ``Path.glob`` in a full folder."""
    for name in _named(folder, part):
        if parts:
            yield from (f"{name}/{key}" for key in _meeting(folder / name, *parts))
        else:
            yield name


def _named(folder: Path, part: str) -> list[str]:
    if "*" not in part:
        return [part] if (folder / part).exists() else []
    try:
        return fnmatch.filter(os.listdir(folder), part)  # noqa: PTH208 - names, no paths
    except (FileNotFoundError, NotADirectoryError):
        # Not all that meets a star is a folder, and another process may delete one meanwhile.
        return []


class ObjectStore:
    """Keeps the log behind an address of fsspec, where a put is one step and nothing is renamed.

    Parameters
    ----------
    filesystem
        Of fsspec.
    root
        The place under it, without the protocol.
    """

    def __init__(self, filesystem: Any, root: str) -> None:
        self.filesystem = filesystem
        self._root = root.rstrip("/")

    def place(self, key: str) -> str:
        """Give the address of a key, with its protocol."""
        address: str = self.filesystem.unstrip_protocol(self._path(key))
        return address

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def read(self, key: str) -> bytes:
        """Give the bytes of a key."""
        content: bytes = self.filesystem.cat_file(self._path(key))
        return content

    def read_all(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Give the bytes of some keys, asked for at the same time."""
        if not keys:
            return {}
        paths = {self._path(key): key for key in keys}
        found = self.filesystem.cat(list(paths), on_error="return")
        for content in found.values():
            if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                raise content
        return {paths[path]: one for path, one in found.items() if isinstance(one, bytes)}

    def source(self, key: str) -> io.BytesIO:
        """Give the bytes of a key, fetched: what then cannot be read is damage, not the network."""
        return io.BytesIO(self.read(key))

    def write(self, key: str, fill: Fill) -> int:
        """Put the bytes, all at once."""
        draft = io.BytesIO()
        fill(draft)
        content = draft.getvalue()
        self.filesystem.pipe_file(self._path(key), content)
        return len(content)

    def delete(self, key: str) -> None:
        """Delete an object, when it is there."""
        with suppress(FileNotFoundError):
            self.filesystem.rm_file(self._path(key))

    def move(self, key: str, to: str) -> None:
        """Copy an object, then delete it: a crash between leaves both, and it is tried again."""
        with suppress(FileNotFoundError):
            self.filesystem.cp_file(self._path(key), self._path(to))
            self.delete(key)

    def keys(self, pattern: str) -> list[str]:
        """Give the objects that a pattern meets, as the store has them now."""
        self.filesystem.invalidate_cache()
        found = self.filesystem.glob(self._path(pattern))
        return sorted(path.removeprefix(f"{self._root}/") for path in found)

    def age_s(self, key: str) -> float:
        """Give the seconds since an object was put, by the store's clock."""
        try:
            at = self.filesystem.modified(self._path(key))
        except FileNotFoundError:
            return 0.0
        return float((clock.now() - at).total_seconds())


def open_store(place: Place) -> Store:
    """Open the place of a log.

    Parameters
    ----------
    place
        A folder, or an address of fsspec; what else it needs, such as keys and an endpoint, it
        takes from its own variables (``AWS_*``, ``FSSPEC_*``).

    Raises
    ------
    ConfigError
        No installed package reads such addresses.
    """
    if isinstance(place, Path) or "://" not in place:
        return FolderStore(Path(place))
    # Imported here: a log in a folder does not need it.
    from fsspec.core import url_to_fs  # noqa: PLC0415

    try:
        filesystem, root = url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"SEPTET_PREDICTIONS={place[:120]}: {error}. Install what reads such addresses (for "
            "S3: pip install 'septet[s3]'), or give a folder"
        ) from error
    return ObjectStore(filesystem, root)
