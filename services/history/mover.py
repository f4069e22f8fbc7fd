"""Moves what the serving processes have kept from the spool into the log, exactly once.

Files are written first, then the manifest that names them and the segments they came from, then the
segments are deleted. A crash before the manifest leaves files that nobody names; a crash after it
leaves segments that are known to be moved.

Failure policy: a segment with bytes that are no record is moved as far as it can be read, and kept
in ``spool/quarantine``; one with records of a later version waits for that version, and holds
up no other; a full disk or any other fault of the system leaves everything where it was, to be
tried again.
"""

from __future__ import annotations

import fcntl
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa

from core.logs import get_logger
from services.durable import replace_file, sync_folder
from services.history.decoding import OUTCOMES_OF, REFUSED, Decoded, decode
from services.history.erasure import Erasures
from services.history.lineage import together
from services.history.log import QUARANTINE, PredictionLog
from services.history.manifest import LogFile, Manifest, month_of
from services.history.masking import Masking
from services.history.partition import parted
from services.predictions.segment import DONE, OPEN, NewerRecord, adopt, read_segment

OWNER = "owner"
_TERM_DIGITS = 12
# So much is decoded at a time: a backlog of any length takes no more memory than this asks for.
_BYTES_AT_ONCE = 64 * 2**20

Place = tuple[str, str]


@dataclass(frozen=True)
class Moved:
    """What one look moved.

    Parameters
    ----------
    segments
        How many.
    rows
        Predictions in them.
    damaged
        How many of them had bytes that are no record.
    """

    segments: int = 0
    rows: int = 0
    damaged: int = 0


class Mover:
    """Empties the spool of this machine; one at a time, whoever else was started.

    Parameters
    ----------
    spool
        Folder of the segments.
    log
        Where the rows go.
    erasures
        What is not to come in any more, and where it is written down what is to be erased.
    masking
        What of a prediction is not kept; nothing keeps all.
    """

    def __init__(
        self,
        spool: Path,
        log: PredictionLog,
        *,
        erasures: Erasures | None = None,
        masking: Masking | None = None,
    ) -> None:
        self._spool = spool
        self._log = log
        self._erasures = Erasures(log) if erasures is None else erasures
        self._masking = Masking() if masking is None else masking
        self._logger = get_logger(__name__)
        self._lock: int | None = None
        # What segments told of releases: a bit that flips in one must not cost all its rows.
        self._known: dict[tuple[str, str], Mapping[str, Any]] = {}
        # Segments of a later version, which are not looked at again.
        self._left: set[Path] = set()

    def step(self) -> Moved:
        """Move all that waits; nothing while another worker does.

        Raises
        ------
        OSError
            The disk failed, or is full.
        ManifestCorrupt
            The log cannot be added to.
        """
        if not self.is_alone():
            return Moved()
        total = Moved()
        for paths in _parts(self._waiting()):
            part = self._move(paths)
            total = Moved(
                total.segments + part.segments,
                total.rows + part.rows,
                total.damaged + part.damaged,
            )
        return total

    def close(self) -> None:
        """Let another worker have the spool."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def is_alone(self) -> bool:
        """Take the lock of the spool, and keep it; say whether no other worker has it."""
        if self._lock is not None:
            return True
        self._spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self._spool / ".mover", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._log.begin(_next_term(handle))
        except BaseException as error:
            # Left open it would keep its lock, and this worker out of the spool for ever.
            os.close(handle)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._lock = handle
        return True

    def renew(self) -> None:
        """Go on in the name of another term: a store may yet carry out what has failed."""
        if self._lock is not None:
            self._log.begin(_next_term(self._lock))

    def _waiting(self) -> list[Path]:
        """Give the segments that nobody writes any more, the oldest first."""
        for path in self._spool.glob(f"*{OPEN}"):
            adopt(path)
        here = set(self._spool.glob(f"*{DONE}"))
        # To read one again takes as long as the first time, and only another version can move it.
        self._left &= here
        found = [(path.stat().st_mtime, path) for path in here - self._left]
        return [path for _, path in sorted(found)]

    def _move(self, paths: Sequence[Path]) -> Moved:
        """Move some segments together."""
        tables: dict[Place, list[tuple[str, pa.Table]]] = defaultdict(list)
        moved: list[Path] = []
        damaged: set[Path] = set()
        asked: list[dict[str, Any]] = []
        for path, found in self._decoded(paths):
            self._known |= {key: one.description for key, one in found.releases.items()}
            moved.append(path)
            asked += found.erasures
            if found.faults:
                damaged.add(path)
                self._logger.error("segment_damaged", path=path.name, faults=found.faults[:5])
            for model, table in found.tables():
                kept = self._masking.apply(model, self._erasures.drop(table))
                for day, part in parted(kept):
                    tables[model, month_of(day)].append((path.stem, part))
        rows = sum(self._add(place, parts) for place, parts in tables.items())
        self._erasures.ask(asked)
        for path in moved:
            self._dispose(path, is_damaged=path in damaged)
        sync_folder(self._spool)
        return Moved(len(moved), rows, len(damaged))

    def _decoded(self, paths: Sequence[Path]) -> Iterator[tuple[Path, Decoded]]:
        """Read segments; one of a later version stays where it is, for that version to move."""
        for path in paths:
            try:
                yield path, decode(read_segment(path), self._known)
            except NewerRecord as error:
                self._logger.error("segment_left", path=path.name, reason=str(error))
                self._left.add(path)

    def _add(self, place: Place, parts: Sequence[tuple[str, pa.Table]]) -> int:
        """Add rows of one model and month, but of segments that were moved before."""
        model, month = place
        manifest = self._log.manifest(model, month)
        new = [(stem, table) for stem, table in parts if stem not in manifest.moved]
        if not new:
            return 0
        files: list[LogFile] = []
        for table in merged([table for _, table in new]):
            files += self._log.write(model, table)
        known = frozenset(stem for stem in manifest.moved if self._is_here(stem))
        self._log.commit(
            model,
            month,
            Manifest(
                files=(*manifest.files, *files),
                moved=known | {stem for stem, _ in new},
                retired=manifest.retired,
            ),
        )
        are_predictions = model != REFUSED and not model.endswith(OUTCOMES_OF)
        return sum(file.rows for file in files) if are_predictions else 0

    def _is_here(self, stem: str) -> bool:
        return (self._spool / f"{stem}{DONE}").exists()

    def _dispose(self, path: Path, *, is_damaged: bool) -> None:
        # A damaged one that may hold an erased entity is not kept: nobody could erase it there.
        if not is_damaged or self._erasures.may_concern(path):
            path.unlink(missing_ok=True)
            return
        folder = self._spool / QUARANTINE
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
        sync_folder(folder)


def merged(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Put tables together that go together.

    Parameters
    ----------
    tables
        Of one model; columns that only some have are null in the others. Where a column changed
        its kind (from numbers to text), rows before and after stay apart.
    """
    found: list[pa.Table] = []
    for table in tables:
        for place, other in enumerate(found):
            with suppress(pa.ArrowException):
                found[place] = together([other, table])
                break
        else:
            found.append(table)
    return found


def _next_term(handle: int) -> int:
    """Count, in the file that is locked, who has had the spool."""
    before = os.pread(handle, _TERM_DIGITS, 0)
    term = int(before or b"0") + 1
    os.pwrite(handle, f"{term:0{_TERM_DIGITS}}".encode(), 0)
    os.fsync(handle)
    return term


def owner_of(spool: Path) -> str:
    """Give the name by which the worker of this spool is told apart in the log.

    Parameters
    ----------
    spool
        Folder of the segments; the name is made when there is none yet.
    """
    path = spool / OWNER
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        replace_file(path, uuid4().hex[:12].encode())
        return path.read_text(encoding="ascii")


def _parts(paths: Iterable[Path]) -> Iterable[list[Path]]:
    """Part segments so that each part is of a bounded size."""
    part: list[Path] = []
    size = 0
    for path in paths:
        own = path.stat().st_size
        if part and size + own > _BYTES_AT_ONCE:
            yield part
            part, size = [], 0
        part.append(path)
        size += own
    if part:
        yield part
