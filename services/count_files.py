"""The files in which serving processes count, with every byte of them reserved.

The library maps a file that was only made long, not filled: once the disk is full, the first count
that falls on a page without a block ends the process (SIGBUS). Here a file is written whole under
another name, its blocks reserved, and renamed, before it is mapped.

Failure policy: what gets no blocks, at its start or when it grows, is counted in memory and the
process goes on. Its page of metrics tells of it, those of other processes of what it counted
before; each page tries again for blocks, and the log says when they were missed and found.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from prometheus_client import CollectorRegistry, Metric, multiprocess, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from core.logs import get_logger

FIRST_BYTES = 1 << 16
_HEAD_BYTES = 8
# Of an entry beside its key: its length, the padding of the key, value and time.
_ENTRY_BYTES = 4 + 8 + 16
_EMPTY = _HEAD_BYTES.to_bytes(4, sys.byteorder) + bytes(4)

# Key, value, time when it was set, place in the file.
Entry = tuple[str, float, float, int]


class CountFile(MmapedDict):
    """Counts of one kind of one process, in a file that cannot run out of blocks.

    Parameters
    ----------
    filename
        The file; what another process of the same number left in it goes on.
    """

    in_memory: ClassVar[dict[str, CountFile]] = {}

    # Not the library's own: it maps the file as it is.
    def __init__(self, filename: str) -> None:
        self._fname = filename
        self._positions: dict[str, int] = {}
        self.fault: str | None = None
        content = _content_of(Path(filename))
        self._used = int.from_bytes(content[:4], sys.byteorder)
        self._capacity = max(len(content), FIRST_BYTES)
        self._m = mmap.mmap(-1, self._capacity)
        self._m[: self._used] = content[: self._used]
        self._positions = {key: at for key, _, _, at in self.entries()}
        self._place(self._capacity)

    def entries(self) -> Iterator[Entry]:
        """Give what was counted."""
        found: Iterator[Entry] = self._read_all_values()  # type: ignore[no-untyped-call]
        return found

    def settle(self) -> None:
        """Try to give what is in memory its file."""
        self._place(self._capacity)

    def _place(self, capacity: int) -> None:
        """Go on in a file, or a block of memory, of so many bytes."""
        content = self._m[: self._used]
        try:
            placed = _write_anew(Path(self._fname), content, capacity)
        except OSError as error:
            self.fault = error.strerror or str(error)
            placed = mmap.mmap(-1, capacity)
            placed[: self._used] = content
            self.in_memory[self._fname] = self
        else:
            self.fault = None
            self.in_memory.pop(self._fname, None)
        self._m, self._capacity = placed, capacity

    def _init_value(self, key: str) -> None:
        capacity = self._capacity
        while self._used + _ENTRY_BYTES + len(key.encode()) > capacity:
            capacity *= 2
        if capacity > self._capacity:
            self._place(capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Let go of the file."""
        self.in_memory.pop(self._fname, None)
        self._m.close()

    @staticmethod
    def read_all_values_from_file(filename: str) -> Iterator[Entry]:
        """Give what was counted in a file, or in memory when it is ours and stands there."""
        own = CountFile.in_memory.get(filename)
        if own is not None:
            return own.entries()
        read = MmapedDict.read_all_values_from_file
        found: Iterator[Entry] = read(filename)  # type: ignore[no-untyped-call]
        return found


class Collected(MultiProcessCollector):
    """The counts of all processes, those of this one also where no file holds them.

    Gauges tell of processes that live: one that was killed on a full disk would say for good that
    the spool is full.
    """

    def collect(self) -> Iterable[Metric]:
        """Give them, put together."""
        found_files = (path for path in Path(self._path).glob("*.db") if _counts(path))
        files = {*map(str, found_files), *CountFile.in_memory}
        found: Iterable[Metric] = self.merge(sorted(files))  # type: ignore[no-untyped-call]
        return found


class CountFiles:
    """All count files of this process."""

    def __init__(self) -> None:
        self._was_short = False
        self._log = get_logger(__name__)
        # The library has no setting for it; both look the name up when they use it.
        for module in (values, multiprocess):
            vars(module)["MmapedDict"] = CountFile

    def settle(self) -> None:
        """Try to give files to what is in memory; say in the log when that changed."""
        for one in list(CountFile.in_memory.values()):
            one.settle()
        short = list(CountFile.in_memory.values())
        if short and not self._was_short:
            self._log.error("metrics_in_memory", files=len(short), reason=short[0].fault)
        if self._was_short and not short:
            self._log.info("metrics_in_files_again")
        self._was_short = bool(short)

    def collect(self) -> CollectorRegistry:
        """Give the counts of all processes."""
        self.settle()
        registry = CollectorRegistry()
        Collected(registry)  # type: ignore[no-untyped-call]
        return registry


def _counts(path: Path) -> bool:
    """Say whether a file counts: all but the gauges of a process that is gone."""
    kind, _, number = path.stem.rpartition("_")
    if not kind.startswith("gauge_live"):
        return True
    try:
        os.kill(int(number), 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


def _content_of(path: Path) -> bytes:
    """Give what stands in a file; an empty one when there is none."""
    with suppress(FileNotFoundError):
        return path.read_bytes() or _EMPTY
    return _EMPTY


def _write_anew(path: Path, content: bytes, capacity: int) -> mmap.mmap:
    """Put a file with all of its blocks in place of another, and map it.

    Raises
    ------
    OSError
        There is no room for it.
    """
    # No name that readers look for, until it is whole.
    draft = path.with_name(f"{path.name}.draft")
    try:
        with draft.open("w+b") as file:
            os.posix_fallocate(file.fileno(), 0, capacity)
            file.write(content)
            file.flush()
            mapped = mmap.mmap(file.fileno(), capacity)
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    return mapped
