"""A segment of the spool: a file of a fixed size that records are written into, one after another.

The file's blocks are reserved when it is made and mapped into memory, so that a record is kept by
one copy: no system call, nothing that a full disk could refuse halfway. What was copied outlives
the process; ``sync`` makes it outlive the machine. A record whose copy was cut short fails its
checksum, and was acknowledged to nobody. Checksums begin from the segment's name, which no caller
knows: a body cannot hold what would be taken for a record.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from errno import EAGAIN
from pathlib import Path
from zlib import crc32

OPEN, DONE = ".open", ".seg"
MAGIC = b"SEPTSPL1"
_MARK = b"\xa5\x5eSR"
# Mark and checksum; then what the checksum covers: size of all, kind, lengths of meta and body,
# nanoseconds since 1970, microseconds it took.
_FRONT = struct.Struct("<4sI")
_BACK = struct.Struct("<IBIIqI")
FRAME_BYTES = _FRONT.size + _BACK.size
MOST_LATENCY_US = 2**32 - 1


class Kind(IntEnum):
    """What a record tells."""

    RELEASE = 1
    ROWS = 2
    BATCH = 3
    REFUSED = 4
    # A batch that was answered now, for a time that is past.
    BACKFILL = 5
    OUTCOMES = 6
    ERASURE = 7


_KINDS = frozenset(Kind)


class NewerRecord(ValueError):
    """A whole record of a kind that this version does not know: a later one wrote it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a segment.

    Parameters
    ----------
    kind
        What it tells.
    at_ns
        When, in nanoseconds since 1970.
    latency_us
        How long the answer took, in microseconds.
    meta
        JSON: model, version, and what else ``services.predictions.journal`` writes.
    body
        What was asked.
    answer
        What was answered.
    """

    kind: Kind
    at_ns: int
    latency_us: int
    meta: bytes
    body: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that are no record.

    Parameters
    ----------
    at
        Where they begin.
    size
        How many.
    """

    at: int
    size: int


class Segment:
    """A segment that this process writes.

    Parameters
    ----------
    path
        Where it is made; its name ends in ``.open``.
    size
        Its size in bytes.

    Raises
    ------
    OSError
        The disk has no room for it, or it cannot be made.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self.used = len(MAGIC)
        self._seed = _seed(path)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _lock_own(handle, path)
            os.posix_fallocate(handle, 0, size)
            self._map = mmap.mmap(handle, size)
        except BaseException:
            path.unlink(missing_ok=True)
            os.close(handle)
            raise
        self._handle = handle
        # Held while the file is closed or brought to the disk, which two threads may want.
        self._lock = threading.Lock()
        self._is_finished = False
        self._fault: OSError | None = None
        self._map[: self.used] = MAGIC

    @property
    def is_empty(self) -> bool:
        """Whether no record was written."""
        return self.used == len(MAGIC)

    def append(self, kind: int, at_ns: int, latency_us: int, *parts: bytes) -> bool:
        """Write a record; say whether there was room for it.

        Parameters
        ----------
        kind, at_ns, latency_us
            As in ``Record``.
        parts
            Its meta, body and answer.
        """
        meta, body, answer = parts
        size = FRAME_BYTES + len(meta) + len(body) + len(answer)
        start = self.used
        if start + size > self.size:
            return False
        back = _BACK.pack(size, kind, len(meta), len(body), at_ns, latency_us)
        checksum = crc32(answer, crc32(body, crc32(meta, crc32(back, self._seed))))
        # Part by part: the copy of a batch into one piece would cost as much as all else here.
        for part in (_FRONT.pack(_MARK, checksum), back, meta, body, answer):
            end = start + len(part)
            self._map[start:end] = part
            start = end
        self.used = end
        return True

    def sync(self) -> None:
        """Wait until all that was written is on the disk.

        Raises
        ------
        OSError
            The disk failed.
        """
        with self._lock:
            # One that was finished is on the disk, unless just that failed.
            if self._fault is not None:
                raise self._fault
            if not self._is_finished:
                os.fdatasync(self._handle)

    def finish(self) -> None:
        """Cut it to what was written, and say by its name that no more will come.

        Raises
        ------
        OSError
            The disk failed; the file stays as that of a writer that is gone.
        """
        with self._lock:
            try:
                self._map.close()
                if self.is_empty:
                    self.path.unlink()
                    return
                os.ftruncate(self._handle, self.used)
                os.fsync(self._handle)
                self.path.rename(self.path.with_suffix(DONE))
            except OSError as error:
                self._fault = error
                raise
            finally:
                self._is_finished = True
                os.close(self._handle)


def adopt(path: Path) -> Path | None:
    """Finish the segment of a writer that is gone; give its new path, nothing while it is written.

    Parameters
    ----------
    path
        Of a segment whose name ends in ``.open``.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Held until it has its new name: a writer that has only just made the file finds it locked,
        # and makes another.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_named(handle, path):
            return None
        return path.rename(path.with_suffix(DONE))
    except (BlockingIOError, FileNotFoundError):
        # Its writer is there, or has finished it since it was looked for.
        return None
    finally:
        os.close(handle)


def _lock_own(handle: int, path: Path) -> None:
    """Lock a file that was just made: whoever can take the lock knows that its writer is gone."""
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if not _is_named(handle, path):
        raise BlockingIOError(EAGAIN, "the worker took it for one of a writer that is gone")


def _is_named(handle: int, path: Path) -> bool:
    """Say whether a file that was locked still stands under its name: others may have had it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def read_segment(path: Path) -> Iterator[Record | Damage]:
    """Read the records of a segment that nobody writes any more.

    Parameters
    ----------
    path
        Of the file.

    Yields
    ------
    Record or Damage
        In the order in which they were written. Bytes that are no record are passed over up to the
        next one; zeros after the last record are room that was not used, and a last record that
        ends in them is one whose writer was killed before it was acknowledged.

    Raises
    ------
    NewerRecord
        A later version of Septet wrote it.
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as held:
            yield from _records(held, _seed(path))


def _seed(path: Path) -> int:
    """Give what the checksums of a segment begin from."""
    return crc32(path.stem.encode())


def _records(held: mmap.mmap, seed: int) -> Iterator[Record | Damage]:
    size = len(held)
    at = len(MAGIC) if held[: len(MAGIC)] == MAGIC else 0
    while at < size:
        record = _record_at(held, at, seed)
        if record is not None:
            yield record
            at += FRAME_BYTES + len(record.meta) + len(record.body) + len(record.answer)
            continue
        after = _next_record(held, at, seed)
        if after < size or not _is_cut_short(held, at):
            yield Damage(at, after - at)
        at = after


def _is_cut_short(held: mmap.mmap, at: int) -> bool:
    """Say whether all that follows is room, or the begin of a record whose writer was killed."""
    begun = held[at:].rstrip(b"\0")
    if at + len(begun) == len(held) or not _MARK.startswith(begun[: len(_MARK)]):
        return False
    if len(begun) < FRAME_BYTES:
        begun = begun.ljust(FRAME_BYTES, b"\0")
    whole = int(_BACK.unpack_from(begun, _FRONT.size)[0])
    # What was written whole ends in a byte that is no zero, and then in the next record or room.
    return not whole or len(begun) < whole


def _next_record(held: mmap.mmap, at: int, seed: int) -> int:
    """Find where the next record begins; the end when there is none."""
    found = held.find(_MARK, at + 1)
    while found != -1:
        if _record_at(held, found, seed) is not None:
            return found
        found = held.find(_MARK, found + 1)
    return len(held)


def _record_at(held: mmap.mmap, at: int, seed: int) -> Record | None:
    """Read the record at a place; nothing when there is none that is whole."""
    if at + FRAME_BYTES > len(held):
        return None
    mark, checksum = _FRONT.unpack_from(held, at)
    if mark != _MARK:
        return None
    back = at + _FRONT.size
    whole, kind, meta, body, at_ns, latency_us = _BACK.unpack_from(held, back)
    end = at + whole
    rest = whole - FRAME_BYTES - meta - body
    if rest < 0 or end > len(held) or crc32(held[back:end], seed) != checksum:
        return None
    if kind not in _KINDS:
        raise NewerRecord(f"a record of kind {kind}, which a later version of Septet wrote")
    start = at + FRAME_BYTES
    middle = start + meta
    return Record(
        Kind(kind),
        at_ns,
        latency_us,
        held[start:middle],
        held[middle : middle + body],
        held[middle + body : end],
    )
