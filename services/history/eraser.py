"""Carries erasures out: rewrites the files that hold an entity, and proves that none is left.

First what happened after the entity's predictions, then the predictions, which alone tell what that
was. Of each month the new files are written, then in the erasure's own file what is about to come
in whose place, then the manifest. Whatever the moment of a crash, the manifest says what was done.

What was replaced is deleted a minute later, as always, so that no reader fails; only then is an
erasure done, after all was read again.

Failure policy: a file that cannot be read leaves the log, and is deleted: nobody can say that the
entity is not in it. So are files in quarantine of a time that the erasure is about.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from core import clock
from core.logs import get_logger
from services.history.decoding import OUTCOMES_OF, REFUSED
from services.history.erasure import (
    Erasure,
    Erasures,
    Proved,
    Rewritten,
    may_hold,
    microseconds,
    proofs,
)
from services.history.housekeeping import LEFT_BEHIND_SECONDS
from services.history.log import QUARANTINE, PredictionLog
from services.history.manifest import LogFile, Manifest, Retired
from services.history.partition import utc_day
from services.history.quarantine import day_of
from services.history.wanted import Wanted
from services.predictions.segment import DONE

_AHEAD = timedelta(hours=1)
_TOLD = ("entity", "at", "outcome_of")
# By erasure: predictions of the entity.
Ids = Mapping[str, Collection[bytes]]


@dataclass(frozen=True)
class _Renewal:
    """A file of the log, what comes in its place, and how many rows each erasure takes."""

    old: LogFile
    new: LogFile | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    old_sha256: str = ""
    new_sha256: str | None = None


class Eraser:
    """Erases in the files of one owner; nothing else may change them meanwhile.

    Parameters
    ----------
    log
        The log.
    erasures
        What was asked.
    spool
        Folder of the segments, whose quarantine is looked through as well.
    """

    def __init__(self, log: PredictionLog, erasures: Erasures, *, spool: Path) -> None:
        self._log = log
        self._erasures = erasures
        self._spool = spool
        self._told = (*_TOLD, *erasures.links)
        self._logger = get_logger(__name__)

    def step(self) -> int:
        """Rewrite the files of all that was asked; say how many erasures these were.

        Raises
        ------
        OSError
            The disk failed, or is full: it goes on where it was.
        """
        asked = self._erasures.of_state("asked")
        for erasure in asked:
            if erasure.files:
                self._erasures.keep(erasure.model_copy(update={"files": self._done(erasure)}))
        if not asked:
            return 0
        places = set(self._log.models()) - {REFUSED}
        for model in sorted({place.removesuffix(OUTCOMES_OF) for place in places}):
            ids = self._ids(model)
            self._tell(ids)
            if model + OUTCOMES_OF in places:
                self._rewrite(model + OUTCOMES_OF, ids)
            self._rewrite(model, {})
        # The clock may have been set back since: what is replaced is told to be gone by its time.
        at = max((clock.now(), *(one.at for one in self._retired())))
        for erasure in self._erasures.of_state("asked"):
            changes = {"state": "rewritten", "rewritten_at": at}
            self._erasures.keep(erasure.model_copy(update=changes))
        return len(asked)

    def finish(self) -> int:
        """Prove what was rewritten, once the files before are deleted; say how many are done.

        What stays in the spool, for a later version to move, may hold the entity: until it is
        moved nothing of that time is proved.
        """
        self._erasures.look()
        due = [one for one in self._erasures.of_state("rewritten") if self._is_clear(one)]
        if not due:
            return 0
        # What a crash left behind may hold the entity too, and no manifest names it.
        self._log.sweep(older_s=LEFT_BEHIND_SECONDS)
        due = [self._without_unreadable(erasure) for erasure in due]
        remaining = self._remaining(due)
        for erasure in due:
            self._erasures.keep(_proved(erasure, remaining[erasure.id]))
        left = [one for one in due if any(remaining[one.id].values())]
        for erasure in left:
            self._logger.error("erasure_begun_again", id=erasure.id)
        return len(due) - len(left)

    def _done(self, erasure: Erasure) -> tuple[Rewritten, ...]:
        """Give what was planned and came to be: the manifest names the file before no more."""
        return tuple(
            one
            for one in erasure.files
            if one.before
            not in {file.name for file in self._log.manifest(one.place, one.month).files}
        )

    def _ids(self, model: str) -> dict[str, set[bytes]]:
        """Give the predictions of the entities, whoever wrote them into the log."""
        asked = self._erasures.of_state("asked")
        found: dict[str, set[bytes]] = {one.id: set() for one in asked}
        wanted = self._erasures.wanted(asked)
        for _, file in self._log.files(model):
            table = self._read(model, file, wanted)
            if table is None or wanted.rows(table) is None:
                continue
            table = self._log.read(model, file, columns=("prediction_id", *self._told))
            if table is None:
                continue
            # What several want together is little: each looks through that alone.
            table = table.filter(wanted.rows(table))
            for one in asked:
                rows = self._erasures.wanted([one]).rows(table)
                if rows is not None:
                    found[one.id] |= set(table.filter(rows).column("prediction_id").to_pylist())
        # Read after the files: what another has rewritten meanwhile it has told before.
        for one in asked:
            for proof in proofs(self._log, one.id):
                found[one.id] |= set(map(bytes.fromhex, proof.predictions))
        return found

    def _tell(self, ids: Ids) -> None:
        """Name the predictions, by whose ids is found what comes later, or is another worker's.

        They are written down with the plan, before the files are rewritten that alone tell them.
        """
        for erasure in self._erasures.of_state("asked"):
            told = {*erasure.predictions, *(one.hex() for one in ids[erasure.id])}
            if len(told) > len(erasure.predictions):
                changes = {"predictions": tuple(sorted(told))}
                self._erasures.note(erasure.model_copy(update=changes))

    def _rewrite(self, place: str, ids: Ids) -> None:
        for month in self._log.months(place):
            manifest = self._log.manifest(place, month)
            found = [self._renewal(place, file, ids) for file in manifest.files]
            renewals = [one for one in found if one is not None]
            if not renewals:
                continue
            for erasure in self._erasures.of_state("asked"):
                planned = [
                    _planned(place, month, one, one.rows[erasure.id])
                    for one in renewals
                    if one.rows.get(erasure.id)
                ]
                if planned:
                    files = (*erasure.files, *planned)
                    self._erasures.keep(erasure.model_copy(update={"files": files}))
            self._log.commit(place, month, _renewed(manifest, renewals))

    def _renewal(self, place: str, file: LogFile, ids: Ids) -> _Renewal | None:
        """Write what of a file is not to be erased; nothing when all of it may stay."""
        asked = self._erasures.of_state("asked")
        wanted = self._erasures.wanted(asked)
        every_id = {one for some in ids.values() for one in some}
        if not every_id and microseconds(file.first_at) > wanted.latest_us:
            return None
        table = self._log.read(place, file, columns=self._told)
        rows = None if table is None else wanted.rows(table, every_id)
        if table is not None and rows is None:
            return None
        whole = None if table is None else self._log.read(place, file)
        if table is None or whole is None:
            # It cannot be read: it leaves the log, and is deleted in the end.
            return _Renewal(file)
        left = whole.filter(pc.invert(rows))
        new = self._log.write_part(place, file.day, left) if left.num_rows else None
        return _Renewal(
            file,
            new,
            self._counted(table.filter(rows), ids),
            self._sha256(place, file),
            None if new is None else self._sha256(place, new),
        )

    def _counted(self, table: pa.Table, ids: Ids) -> dict[str, int]:
        """Count the rows of each erasure among those that go; what two want is the first one's."""
        found: dict[str, int] = {}
        for one in self._erasures.of_state("asked"):
            rows = self._erasures.wanted([one]).rows(table, ids.get(one.id, ()))
            if rows is not None:
                found[one.id] = pc.sum(rows).as_py()
                table = table.filter(pc.invert(rows))
        return found

    def _sha256(self, place: str, file: LogFile) -> str:
        return sha256(self._log.store.read(self._log.key(place, file))).hexdigest()

    def _is_clear(self, erasure: Erasure) -> bool:
        """Say whether nothing is left that was replaced up to when its files were rewritten."""
        if any(
            erasure.rewritten_at is None or one.at <= erasure.rewritten_at
            for one in self._retired()
        ):
            return False
        waiting = [
            path.name
            for path in sorted(self._spool.glob(f"*{DONE}"))
            if may_hold(path, erasure.asked_us)
        ]
        if waiting:
            self._logger.warning("erasure_waits", id=erasure.id, segments=waiting[:5])
        return not waiting

    def _retired(self) -> Iterator[Retired]:
        """Give the files of this owner that were replaced and are not deleted yet."""
        for place in self._log.models():
            for month in self._log.months(place):
                yield from self._log.manifest(place, month).retired

    def _without_unreadable(self, erasure: Erasure) -> Erasure:
        """Delete the files in quarantine that may hold the entity."""
        # An outcome lies by the time that it is about, which may be a little ahead.
        day = utc_day(erasure.asked_at + _AHEAD)
        keys = [
            key for key in self._log.store.keys(f"{QUARANTINE}/*") if _may_be_of(key, until=day)
        ]
        segments = [
            path
            for path in sorted((self._spool / QUARANTINE).glob("*"))
            if may_hold(path, erasure.asked_us)
        ]
        if not keys and not segments:
            return erasure
        names = {*erasure.deleted, *keys, *(f"spool/{QUARANTINE}/{one.name}" for one in segments)}
        erasure = erasure.model_copy(update={"deleted": tuple(sorted(names))})
        # Told before it is done: a crash between the two must not leave it untold.
        self._erasures.keep(erasure)
        for key in keys:
            self._log.store.delete(key)
        for path in segments:
            path.unlink(missing_ok=True)
        return erasure

    def _remaining(self, due: Sequence[Erasure]) -> dict[str, dict[str, int]]:
        """Read all files of this owner again: by erasure and place, the rows that are left."""
        places = sorted(set(self._log.models()) - {REFUSED})
        found = {one.id: dict.fromkeys(places, 0) for one in due}
        wanted = self._erasures.wanted(due)
        for place in places:
            for month in self._log.months(place):
                for file in self._log.manifest(place, month).files:
                    table = self._read(place, file, wanted)
                    hits = None if table is None else wanted.rows(table)
                    if table is None or hits is None:
                        continue
                    table = table.filter(hits)
                    for one in due:
                        rows = self._erasures.wanted([one]).rows(table)
                        found[one.id][place] += 0 if rows is None else pc.sum(rows).as_py()
        return found

    def _read(self, place: str, file: LogFile, wanted: Wanted) -> pa.Table | None:
        """Read of whom a file is, where it may hold what is wanted."""
        if microseconds(file.first_at) > wanted.latest_us:
            return None
        return self._log.read(place, file, columns=self._told)


def _planned(place: str, month: str, renewal: _Renewal, rows: int) -> Rewritten:
    old, new = renewal.old, renewal.new
    return Rewritten(
        place=place,
        month=month,
        day=old.day,
        before=old.name,
        before_sha256=renewal.old_sha256,
        erased_rows=rows,
        after=None if new is None else new.name,
        after_sha256=renewal.new_sha256,
    )


def _renewed(manifest: Manifest, renewals: Sequence[_Renewal]) -> Manifest:
    old = {one.old for one in renewals}
    now = clock.now()
    return Manifest(
        files=(
            *(file for file in manifest.files if file not in old),
            *(one.new for one in renewals if one.new is not None),
        ),
        moved=manifest.moved,
        retired=(
            *manifest.retired,
            *(Retired(path=f"{file.day}/{file.name}", at=now) for file in old),
        ),
    )


def _proved(erasure: Erasure, remaining: Mapping[str, int]) -> Erasure:
    """Write the proof; where rows were found again, it begins anew."""
    if any(remaining.values()):
        return erasure.model_copy(update={"state": "asked"})
    places = {
        place: Proved(
            rewritten_files=sum(one.place == place for one in erasure.files),
            erased_rows=sum(one.erased_rows for one in erasure.files if one.place == place),
            remaining_rows=rows,
        )
        for place, rows in remaining.items()
    }
    changes = {"state": "done", "done_at": clock.now(), "places": places}
    return erasure.model_copy(update=changes)


def _may_be_of(key: str, *, until: date) -> bool:
    """Say whether a file in quarantine may hold rows of a day or of one before it."""
    if key.startswith(f"{QUARANTINE}/{REFUSED}-"):
        return False
    day = day_of(key)
    return day is None or day <= until
