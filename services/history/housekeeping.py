"""Keeps the log in shape: few and full files, none that is older than it may be, none damaged.

What is replaced is deleted a minute later, when nobody can still be reading it.

Failure policy: a file that cannot be read is taken out of the log into ``quarantine`` beside it and
told of, so that no question fails for it; it stays there as long as its rows would have stayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from core import clock
from services.history.decoding import OUTCOMES_OF
from services.history.log import PredictionLog
from services.history.manifest import LogFile, Manifest, Retired
from services.history.mover import merged
from services.history.partition import OUTCOME_OF, in_order, utc_day
from services.history.quarantine import expire

# Files are put together up to this, which is some 100 MiB in memory.
FULL_ROWS = 250_000
# Of a day that is not over, only so many small files are worth the work.
MANY_FILES = 8
GRACE = timedelta(seconds=60)
LEFT_BEHIND_SECONDS = 3600.0


@dataclass(frozen=True)
class Kept:
    """What a look changed.

    Parameters
    ----------
    compacted
        Files that were put together into fewer ones.
    expired
        Files that became too old.
    damaged
        Files that cannot be read.
    """

    compacted: int = 0
    expired: int = 0
    damaged: int = 0


class Housekeeper:
    """Looks after the files of one owner.

    Parameters
    ----------
    log
        The log.
    keep_days
        How old a day may become; nothing keeps all.
    spool
        Folder of the segments, whose quarantine may become no older; nothing where there is none.
    """

    def __init__(
        self, log: PredictionLog, *, keep_days: int | None, spool: Path | None = None
    ) -> None:
        self._log = log
        self._spool = spool
        self._keep_days = keep_days
        # Files that stay as they are: a column changed its kind between each of them.
        self._apart: set[frozenset[str]] = set()

    def step(self) -> Kept:
        """Look at every month of every model.

        Raises
        ------
        OSError
            The disk failed, or is full.
        ManifestCorrupt
            A manifest cannot be understood.
        """
        total = Kept()
        for model in self._log.models():
            for month in self._log.months(model):
                one = self._look_after(model, month)
                total = Kept(
                    total.compacted + one.compacted,
                    total.expired + one.expired,
                    total.damaged + one.damaged,
                )
        if self._keep_days is not None and self._spool is not None:
            expire(self._log, self._spool, first_day=self._first_day(self._keep_days))
        return total

    def sweep(self, *, older_s: float = LEFT_BEHIND_SECONDS) -> int:
        """Delete what a crash left behind; say how many files.

        Parameters
        ----------
        older_s
            Younger files of others stay: another worker may be about to name them.
        """
        return self._log.sweep(older_s=older_s)

    def _look_after(self, model: str, month: str) -> Kept:
        manifest = self._log.manifest(model, month)
        manifest = self._delete_retired(model, month, manifest)
        expired = [file for file in manifest.files if self._is_expired(utc_day(file.last_at))]
        if expired:
            manifest = self._replace(model, month, manifest, expired, [])
        compacted = damaged = 0
        # Of outcomes no month is over: what happened may be told at any time.
        today = date.min if model.endswith(OUTCOMES_OF) else utc_day(clock.now())
        for group in groups([one for one in manifest.files if one not in expired], today=today):
            names = frozenset(file.name for file in group)
            if names in self._apart:
                continue
            tables, broken = self._read(model, group)
            whole = [file for file in group if file not in broken]
            parts = merged(tables)
            if len(parts) == len(group):
                self._apart.add(names)
                continue
            new: list[LogFile] = []
            for table in parts:
                young = self._young(without_doubles(table))
                if young.num_rows:
                    new.append(self._log.write_part(model, group[0].day, young))
            manifest = self._replace(model, month, manifest, group, new)
            compacted += len(whole)
            damaged += len(broken)
        return Kept(compacted, len(expired), damaged)

    def _is_expired(self, day: date) -> bool:
        return self._keep_days is not None and day < self._first_day(self._keep_days)

    def _young(self, table: pa.Table) -> pa.Table:
        """Leave out what is too old: outcomes about one month may be told years apart."""
        if self._keep_days is None:
            return table
        first = datetime.combine(self._first_day(self._keep_days), time(), UTC)
        at = table.column("at")
        return table.filter(pc.greater_equal(at, pa.scalar(first, at.type)))

    def _first_day(self, keep_days: int) -> date:
        return utc_day(clock.now()) - timedelta(days=keep_days)

    def _read(self, model: str, group: Sequence[LogFile]) -> tuple[list[pa.Table], list[LogFile]]:
        tables, broken = [], []
        for file in group:
            table = self._log.read(model, file)
            if table is None:
                broken.append(file)
            else:
                tables.append(table)
        return tables, broken

    def _replace(
        self,
        model: str,
        month: str,
        manifest: Manifest,
        old: Iterable[LogFile],
        new: Iterable[LogFile],
    ) -> Manifest:
        gone = set(old)
        now = clock.now()
        changed = Manifest(
            files=(*(file for file in manifest.files if file not in gone), *new),
            moved=manifest.moved,
            retired=(
                *manifest.retired,
                *(Retired(path=f"{file.day}/{file.name}", at=now) for file in gone),
            ),
        )
        self._log.commit(model, month, changed)
        return changed

    def _delete_retired(self, model: str, month: str, manifest: Manifest) -> Manifest:
        due = [one for one in manifest.retired if clock.now() - one.at >= GRACE]
        if not due:
            return manifest
        for one in due:
            self._log.store.delete(f"{model}/{one.path}")
        left = tuple(one for one in manifest.retired if one not in due)
        changed = Manifest(files=manifest.files, moved=manifest.moved, retired=left)
        self._log.commit(model, month, changed)
        return changed


def groups(files: Sequence[LogFile], *, today: date) -> list[list[LogFile]]:
    """Choose files that are worth being put together.

    Parameters
    ----------
    files
        Of one model and month.
    today
        The day that is not over, UTC.

    Returns
    -------
    list of list of LogFile
        Each of one day, in order of time, with two files at least and a bounded number of rows.
    """
    found: list[list[LogFile]] = []
    for day in sorted({file.day for file in files}):
        small = [file for file in files if file.day == day and file.rows < FULL_ROWS // 2]
        if len(small) < (MANY_FILES if day >= today else 2):
            continue
        group: list[LogFile] = []
        for file in sorted(small, key=lambda one: (one.first_at, one.name)):
            if group and sum(one.rows for one in group) + file.rows > FULL_ROWS:
                found.append(group)
                group = []
            group.append(file)
        found.append(group)
    return [group for group in found if len(group) > 1]


def without_doubles(table: pa.Table) -> pa.Table:
    """Keep one row of each prediction id: a segment that came back from a backup is moved again.

    Of outcomes, which have no id, rows that are the same in everything are one: each of a request
    has a microsecond of its own.
    """
    if OUTCOME_OF in table.column_names:
        return table.group_by(table.column_names).aggregate([]).select(table.column_names)
    if "prediction_id" not in table.column_names or table.num_rows < 2:  # noqa: PLR2004 - a pair
        return table
    table = in_order(table).combine_chunks()
    ids = table.column("prediction_id")
    differs = pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1))
    first = pa.array([True])
    return table.filter(pa.chunked_array([first, *differs.chunks]))
