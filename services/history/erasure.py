"""Entities that are to be erased: what was asked, what became of it, and the proof.

``_erasures/<id>.json`` of the log, written before the segment that asked is deleted. An entity
stands there by its SHA-256 alone, from the beginning: that is enough to find its rows. Of several
workers that share a log each erases what it wrote itself, and tells so in ``<id>.<owner>.json``.

Rows that come into the log later, though they were made before (a segment out of a backup, one
that another process had not handed on) are dropped on their way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from core.history_faults import LogOfLaterVersion
from services.history.log import PredictionLog
from services.history.manifest import (
    FORMAT,
    ManifestCorrupt,
    NewerFormat,
    format_of,
    stamped,
)
from services.history.partition import ID
from services.history.wanted import Conceal, Wanted, digest_of
from services.predictions.segment import NewerRecord, Record, read_segment

FOLDER = "_erasures"
_SUFFIX = ".json"
# What of an erasure is the same for every worker.
_TOLD = {"id", "asked_at", "asked_by", "entity_sha256", "predictions"}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Rewritten(_Frozen):
    """A file of the log that held rows of the entity, and what came in its place."""

    place: str = Field(description="Model, or model and .outcomes.")
    month: str
    day: date
    before: str = Field(description="Name of the file that is gone.")
    before_sha256: str
    erased_rows: int = Field(ge=1)
    after: str | None = Field(description="Name of the file in its place; null when none is left.")
    after_sha256: str | None


class Proved(_Frozen):
    """What was erased of one place of the log."""

    rewritten_files: int = Field(ge=0)
    erased_rows: int = Field(ge=0)
    remaining_rows: int = Field(ge=0, description="Found when all files were read again.")


class Erasure(_Frozen):
    """One erasure: asked for, its files rewritten, then done and proved."""

    id: str = Field(pattern=r"^[0-9a-f-]{32,36}$")
    state: Literal["asked", "rewritten", "done"]
    owner: str = Field(description="The worker whose files this is about.")
    asked_at: AwareDatetime
    asked_by: str = Field(description="Public id of the key.")
    entity_sha256: str
    rewritten_at: AwareDatetime | None = None
    done_at: AwareDatetime | None = None
    files: tuple[Rewritten, ...] = ()
    deleted: tuple[str, ...] = Field(
        default=(), description="Files that could not be read, or that a crash left behind."
    )
    places: dict[str, Proved] = Field(default_factory=dict)
    predictions: tuple[str, ...] = Field(
        default=(), description="Their ids, by which what happened after them is found."
    )

    @property
    def key(self) -> str:
        """Where the file stands that was written when it was asked."""
        return f"{FOLDER}/{self.id}{_SUFFIX}"

    @property
    def asked_us(self) -> int:
        """When it was asked, in microseconds since 1970."""
        return microseconds(self.asked_at)


class Erasures:
    """Knows what was asked, and remembers what became of it.

    Parameters
    ----------
    log
        Where the files stand, and whose rows are erased.
    conceal
        How the log writes an entity whose column is masked.
    links
        Columns that may name an entity beside the one that a row is about.
    """

    def __init__(
        self,
        log: PredictionLog,
        *,
        conceal: Conceal | None = None,
        links: Collection[str] = (),
    ) -> None:
        self._log = log
        self._conceal = conceal
        self.links = tuple(links)
        self._seen: set[str] | None = None
        self._own: dict[str, Erasure] = {}
        # Those that another worker met.
        self._foreign: set[str] = set()
        # Built when it is asked for: an erasure is written down again and again.
        self._known_wanted: Wanted | None = None

    @property
    def _wanted(self) -> Wanted:
        if self._known_wanted is None:
            self._known_wanted = self.wanted(self._own.values())
        return self._known_wanted

    def wanted(self, erasures: Iterable[Erasure]) -> Wanted:
        """Build what finds the rows of some of them."""
        return Wanted(erasures, self._conceal, self.links)

    def look(self) -> None:
        """Read what was asked since the last look, here or of another worker.

        Raises
        ------
        ManifestCorrupt
            The file of an erasure was not written by us.
        LogOfLaterVersion
            A later version wrote it.
        """
        seen = self._seen or set()
        new = set(self._log.store.keys(f"{FOLDER}/*{_SUFFIX}")) - seen
        contents = self._log.store.read_all(sorted(new))
        found = {key: _parsed(self._log, key, one) for key, one in contents.items()}
        for key, one in found.items():
            if one.owner == self._log.owner:
                self._own[one.id] = one
            elif key == one.key:
                self._foreign.add(one.id)
        for one in found.values():
            told = one.model_dump(include=_TOLD)
            own = Erasure(state="asked", owner=self._log.owner, **told)
            self._own.setdefault(one.id, own)
        self._seen = seen | set(found)
        if found:
            self._known_wanted = None

    def ask(self, asked: Sequence[Mapping[str, Any]]) -> None:
        """Write down what is to be erased, so that it will be whatever happens.

        Parameters
        ----------
        asked
            As ``Decoded.erasures`` has them; one that is known already stays as it is.
        """
        if not asked:
            return
        self.look()
        for one in asked:
            if one["id"] not in self._own:
                erasure = Erasure(
                    id=one["id"],
                    state="asked",
                    owner=self._log.owner,
                    asked_at=datetime.fromtimestamp(one["at_us"] / 1e6, UTC),
                    asked_by=one["caller"],
                    entity_sha256=digest_of(one["entity"]),
                )
                self._write(erasure.key, erasure)
        self.look()

    def of_state(self, state: str) -> list[Erasure]:
        """Give the erasures of this owner that are so far, the earliest first."""
        if self._seen is None:
            self.look()
        found = [one for one in self._own.values() if one.state == state]
        return sorted(found, key=lambda one: (one.asked_at, one.id))

    def keep(self, erasure: Erasure) -> None:
        """Remember how far an erasure is."""
        key = erasure.key
        if erasure.id in self._foreign:
            key = f"{FOLDER}/{erasure.id}.{self._log.owner}{_SUFFIX}"
        self._write(key, erasure)
        self.note(erasure)

    def note(self, erasure: Erasure) -> None:
        """Know how far an erasure is; it is written down with what is kept of it next."""
        self._own[erasure.id] = erasure
        self._known_wanted = None

    def drop(self, table: pa.Table) -> pa.Table:
        """Leave out rows that were made before their entity was erased, and what is about such."""
        if self._seen is None:
            self.look()
        rows = self._wanted.rows(table) if self._wanted else None
        if rows is None:
            return table
        if ID in table.column_names:
            self._learn(table.filter(rows))
        return table.filter(pc.invert(rows))

    def _learn(self, dropped: pa.Table) -> None:
        """Remember predictions that came late: what happened after them may be in the log."""
        for erasure in list(self._own.values()):
            rows = self.wanted([erasure]).rows(dropped)
            found = [] if rows is None else dropped.filter(rows).column(ID).to_pylist()
            known = {*erasure.predictions, *(one.hex() for one in found)}
            if len(known) == len(erasure.predictions):
                continue
            changes: dict[str, Any] = {"predictions": tuple(sorted(known))}
            if erasure.state == "done":
                changes |= {"state": "rewritten", "done_at": None, "places": {}}
            self.keep(erasure.model_copy(update=changes))

    def asked_us(self, entity: str) -> int | None:
        """Tell when it was last asked to erase an entity, as far as was looked; see ``Wanted``."""
        return self._wanted.until_us(entity)

    def may_concern(self, segment: Path) -> bool:
        """Say whether rows of an erased entity may stand in a segment that is damaged."""
        return bool(self._wanted) and may_hold(segment, self._wanted.latest_us)

    def _write(self, key: str, erasure: Erasure) -> None:
        content = stamped(erasure.model_dump_json(indent=1).encode())
        self._log.store.write(key, lambda file: file.write(content))


def proofs(log: PredictionLog, identity: str) -> list[Erasure]:
    """Give what became of an erasure, of each worker that has met it; nothing when none has.

    Parameters
    ----------
    log
        Where it stands; whoever reads may ask.
    identity
        Id of the erasure, as a UUID is written.

    Raises
    ------
    ManifestCorrupt
        A file was not written by us.
    LogOfLaterVersion
        A later version wrote one.
    """
    try:
        name = UUID(identity).hex
    except ValueError:
        return []
    keys = [f"{FOLDER}/{name}{_SUFFIX}", *log.store.keys(f"{FOLDER}/{name}.*{_SUFFIX}")]
    found = log.store.read_all(keys)
    return [_parsed(log, key, found[key]) for key in keys if key in found]


def _parsed(log: PredictionLog, key: str, content: bytes) -> Erasure:
    try:
        format_of(content)
        return Erasure.model_validate_json(content)
    except NewerFormat as newer:
        raise LogOfLaterVersion(str(log.store.place(key)), newer.format, FORMAT) from newer
    except ValueError as error:
        raise ManifestCorrupt(log.store.place(key)) from error


def may_hold(segment: Path, until_us: int) -> bool:
    """Say whether a damaged segment may hold rows that are not later than a time.

    Parameters
    ----------
    segment
        Its path; records stand in the order in which they were made, each with its time.
    until_us
        The time, in microseconds since 1970.
    """
    later = False
    # What cannot be read, or was written by a later version, may be of any time.
    with suppress(NewerRecord):
        for one in read_segment(segment):
            if isinstance(one, Record):
                # Not the first alone: a batch may be for a time that is past.
                if one.at_ns // 1000 <= until_us:
                    return True
                later = True
            elif not later:
                return True
        return not later
    return True


def microseconds(at: datetime) -> int:
    """Give a time in microseconds since 1970, exactly."""
    return int(pa.scalar(at, pa.timestamp("us", tz="UTC")).value)
