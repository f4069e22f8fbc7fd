"""Entities that are to be erased: what was asked, what became of it, and the proof.

``_erasures/<id>.json`` of the log, written before the segment that asked is deleted. An entity
stands there by its SHA-256 alone, from the beginning: that is enough to find its rows. Of several
workers that share a log each erases what it wrote itself, and tells so in ``<id>.<owner>.json``.

Rows that come into the log later, though they were made before (a segment out of a backup, one
that another process had not handed on) are dropped on their way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from services.history.log import PredictionLog
from services.history.manifest import ManifestCorrupt
from services.predictions.segment import NewerRecord, Record, read_segment

FOLDER = "_erasures"
_SUFFIX = ".json"
# From the SHA-256 of an entity to what the log has in its place, where its column is masked.
Conceal = Callable[[str], str]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
        default=(), description="Their ids, by which other workers find what happened after them."
    )

    @property
    def key(self) -> str:
        """Where the file stands that was written when it was asked."""
        return f"{FOLDER}/{self.id}{_SUFFIX}"

    @property
    def asked_us(self) -> int:
        """When it was asked, in microseconds since 1970."""
        return microseconds(self.asked_at)


class Wanted:
    """Finds the rows of some erasures in a table.

    Parameters
    ----------
    erasures
        Whose rows are wanted: those that are not later than the erasure.
    conceal
        How the log writes an entity whose column is masked; nothing where none ever was.
    """

    def __init__(self, erasures: Iterable[Erasure], conceal: Conceal | None) -> None:
        self._until: dict[str, int] = {}
        for erasure in erasures:
            names = [erasure.entity_sha256]
            names += [conceal(erasure.entity_sha256)] if conceal else []
            for name in names:
                self._until[name] = max(self._until.get(name, 0), erasure.asked_us)
        self._is_masked = conceal is not None
        self.latest_us = max(self._until.values(), default=0)

    def __bool__(self) -> bool:
        """Say whether anything is wanted."""
        return bool(self._until)

    def rows(self, table: pa.Table, ids: Collection[bytes] = ()) -> pa.ChunkedArray | None:
        """Say of each row whether it is wanted; nothing when none is.

        Parameters
        ----------
        table
            With the columns ``entity`` and ``at``, or without both.
        ids
            Predictions; what happened after them is wanted too.
        """
        found = None
        if "entity" in table.column_names:
            found = self._by_entity(table)
        if ids and "outcome_of" in table.column_names:
            values = pa.array(list(ids), pa.binary(16))
            by_id = pc.is_in(table.column("outcome_of"), value_set=values)
            found = by_id if found is None else pc.or_(found, by_id)
        return found if found is not None and pc.any(found).as_py() else None

    def _by_entity(self, table: pa.Table) -> pa.ChunkedArray | None:
        column = table.column("entity")
        until = {
            entity: at_us
            for entity in pc.unique(column).drop_null().to_pylist()
            if (at_us := self.until_us(entity)) is not None
        }
        if not until:
            return None
        at = table.column("at")
        places = pc.index_in(column, value_set=pa.array(list(until), column.type))
        limits = pc.take(pa.array(until.values(), at.type), places)
        return pc.fill_null(pc.less_equal(at, limits), fill_value=False)

    def until_us(self, entity: str) -> int | None:
        """Give until when an entity is erased, in microseconds since 1970; nothing for others."""
        found = self._until.get(digest_of(entity))
        if found is None and self._is_masked:
            found = self._until.get(entity)
        return found


class Erasures:
    """Knows what was asked, and remembers what became of it.

    Parameters
    ----------
    log
        Where the files stand, and whose rows are erased.
    conceal
        How the log writes an entity whose column is masked.
    """

    def __init__(self, log: PredictionLog, *, conceal: Conceal | None = None) -> None:
        self._log = log
        self.conceal = conceal
        self._seen: set[str] | None = None
        self._own: dict[str, Erasure] = {}
        # Those that another worker met.
        self._foreign: set[str] = set()
        self._wanted = Wanted((), conceal)

    def look(self) -> None:
        """Read what was asked since the last look, here or of another worker.

        Raises
        ------
        ManifestCorrupt
            The file of an erasure was not written by us.
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
            told = one.model_dump(include={"id", "asked_at", "asked_by", "entity_sha256"})
            own = Erasure(state="asked", owner=self._log.owner, **told)
            self._own.setdefault(one.id, own)
        self._seen = seen | set(found)
        if found:
            self._wanted = Wanted(self._own.values(), self.conceal)

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
        self._own[erasure.id] = erasure

    def drop(self, table: pa.Table) -> pa.Table:
        """Leave out rows of entities that were erased after those rows were made."""
        if self._seen is None:
            self.look()
        rows = self._wanted.rows(table) if self._wanted else None
        return table if rows is None else table.filter(pc.invert(rows))

    def asked_us(self, entity: str) -> int | None:
        """Tell when it was last asked to erase an entity, as far as was looked; see ``Wanted``."""
        return self._wanted.until_us(entity)

    def may_concern(self, segment: Path) -> bool:
        """Say whether rows of an erased entity may stand in a segment that is damaged."""
        return bool(self._wanted) and may_hold(segment, self._wanted.latest_us)

    def _write(self, key: str, erasure: Erasure) -> None:
        # An earlier version does not know the ids: it need not, where there are none.
        left_out = None if erasure.predictions else {"predictions"}
        content = erasure.model_dump_json(indent=1, exclude=left_out).encode()
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
        return Erasure.model_validate_json(content)
    except ValidationError as error:
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


def digest_of(entity: str) -> str:
    """Give the name by which an entity is known when it is erased: its SHA-256, in hex."""
    return sha256(entity.encode()).hexdigest()


def microseconds(at: datetime) -> int:
    """Give a time in microseconds since 1970, exactly."""
    return int(pa.scalar(at, pa.timestamp("us", tz="UTC")).value)
