"""The book of the keys: created, rotated, revoked; each change and its audit entry are one.

Every change raises the counter ``keys`` and stamps the row with it, so that serving processes
read only what changed. A key is shown where it is made, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from core import clock
from core.denials import KeyClosed, KeyUnknown, LastAdminKey
from core.errors import FieldProblem
from core.refusals import FieldsInvalid
from services.access.audit import UNCHANGED, Actor, Entry, write_entries
from services.access.caller import Role
from services.access.grant import Grant, KeyRecord, is_open
from services.access.secret import digest_of, is_id, new_id, new_key
from services.records import KEYS, KEYS_COUNTER, Records, next_revision

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

MOST_OVERLAP = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Issued:
    """A key that was just made.

    Parameters
    ----------
    record
        What is kept of it.
    key
        Its text: the only time it is seen.
    """

    record: KeyRecord
    key: str = field(repr=False)


class KeyLedger:
    """Writes keys; reads them for people. Serving reads through ``KeyStore``.

    Parameters
    ----------
    records
        The database, migrated.
    now
        Gives the time.
    """

    def __init__(self, records: Records, *, now: Callable[[], datetime] = clock.now) -> None:
        self._records = records
        self._now = now

    def create(self, grant: Grant, *, by: Actor) -> Issued:
        """Make a key.

        Parameters
        ----------
        grant
            What it is to open.
        by
            Who makes it.

        Raises
        ------
        FieldsInvalid
            It would have expired already.
        RecordsDown, RecordsBehind
            The records cannot be written.
        """
        at = self._now()
        if grant.expires_at is not None and grant.expires_at <= at:
            raise FieldsInvalid(
                [FieldProblem("expires_at", "is in the past", f"a time after {at:%Y-%m-%dT%H:%MZ}")]
            )
        key_id = new_id()
        key = new_key(key_id)
        content = _content(grant)
        with self._records.writing() as connection:
            row = {
                "id": key_id,
                **content,
                "sha256": digest_of(key).hex(),
                "retiring": [],
                "created_at": at,
                "created_by": by.name,
                "revision": next_revision(connection, KEYS_COUNTER),
            }
            connection.execute(sa.insert(KEYS), [row])
            detail = {**content, "expires_at": _iso(grant.expires_at)}
            write_entries(connection, [Entry(by, "key.created", key_id, detail=detail, at=at)])
            record = KeyRecord.of(_row(connection, key_id))
        return Issued(record=record, key=key)

    def rotate(self, key_id: str, *, overlap: timedelta, by: Actor) -> Issued:
        """Give a key another secret; the one before goes on for a while, then stops.

        Parameters
        ----------
        key_id
            Public id; it stays, like all that was granted.
        overlap
            How long the secret before goes on, 0 to 30 days. Secrets that were rotated out
            earlier keep the time they were given.
        by
            Who does it.

        Raises
        ------
        KeyUnknown
            There is no such key.
        KeyClosed
            It was revoked or has expired.
        FieldsInvalid
            The overlap is below zero or too long.
        RecordsDown, RecordsBehind
            The records cannot be written.
        """
        if not timedelta(0) <= overlap <= MOST_OVERLAP:
            allowed = f"0 seconds to {MOST_OVERLAP.days} days are allowed"
            raise FieldsInvalid([FieldProblem("overlap", f"is {overlap}", allowed)])
        with self._records.writing() as connection:
            # Before the row is read: what it says then holds until the end.
            revision = next_revision(connection, KEYS_COUNTER)
            row = _row(connection, key_id)
            at = self._now()
            state = KeyRecord.of(row).state(at)
            if state != "active":
                raise KeyClosed(key_id, state)
            key = new_key(key_id)
            old = {"sha256": row.sha256, "until": (at + overlap).isoformat()}
            going_on = [kept for kept in row.retiring if datetime.fromisoformat(kept["until"]) > at]
            change = {
                "sha256": digest_of(key).hex(),
                # Also one that stops at once: its holder is told that it was replaced.
                "retiring": [*going_on, old],
                "rotated_at": at,
                "revision": revision,
            }
            connection.execute(sa.update(KEYS).where(KEYS.c.id == key_id).values(change))
            detail = {"name": row.name, "overlap_seconds": overlap.total_seconds()}
            write_entries(connection, [Entry(by, "key.rotated", key_id, detail=detail, at=at)])
            record = KeyRecord.of(_row(connection, key_id))
        return Issued(record=record, key=key)

    def revoke(self, key_id: str, *, by: Actor) -> KeyRecord:
        """Close a key at once and for ever; a key that is revoked already stays as it is.

        Parameters
        ----------
        key_id
            Public id.
        by
            Who does it.

        Raises
        ------
        KeyUnknown
            There is no such key.
        LastAdminKey
            Nobody could manage keys any more.
        RecordsDown, RecordsBehind
            The records cannot be written.
        """
        with self._records.writing() as connection:
            revision = next_revision(connection, KEYS_COUNTER)
            row = _row(connection, key_id)
            at = self._now()
            detail = {"name": row.name}
            if row.revoked_at is not None:
                entry = Entry(by, "key.revoked", key_id, outcome=UNCHANGED, detail=detail, at=at)
                write_entries(connection, [entry])
                return KeyRecord.of(row)
            _require_other_admin(connection, row, at)
            change = {"revoked_at": at, "revision": revision}
            connection.execute(sa.update(KEYS).where(KEYS.c.id == key_id).values(change))
            write_entries(connection, [Entry(by, "key.revoked", key_id, detail=detail, at=at)])
            return KeyRecord.of(_row(connection, key_id))

    def find(self, key_id: str) -> KeyRecord:
        """Give one key.

        Raises
        ------
        KeyUnknown
            There is no such key.
        RecordsDown, RecordsBehind
            The records cannot be read.
        """
        with self._records.reading() as connection:
            return KeyRecord.of(_row(connection, key_id))

    def page(self, *, limit: int, after: str | None = None) -> list[KeyRecord]:
        """Give keys, the oldest first.

        Parameters
        ----------
        limit
            Most keys to give.
        after
            Id of the key after which to go on.

        Raises
        ------
        KeyUnknown
            There is no key to go on after.
        RecordsDown, RecordsBehind
            The records cannot be read.
        """
        query = sa.select(KEYS).order_by(KEYS.c.created_at, KEYS.c.id).limit(limit)
        with self._records.reading() as connection:
            if after is not None:
                last = _row(connection, after)
                later = sa.tuple_(KEYS.c.created_at, KEYS.c.id) > sa.tuple_(
                    sa.literal(last.created_at, KEYS.c.created_at.type), last.id
                )
                query = query.where(later)
            return [KeyRecord.of(row) for row in connection.execute(query)]

    def has_admin(self) -> bool:
        """Say whether any key may manage keys now.

        Raises
        ------
        RecordsDown, RecordsBehind
            The records cannot be read.
        """
        with self._records.reading() as connection:
            return _admins(connection, self._now()) > 0


def _content(grant: Grant) -> dict[str, Any]:
    """Give the columns that are as granted."""
    models = None if grant.models is None else sorted(set(grant.models))
    return {
        "name": grant.name,
        "role": grant.role,
        "tier": grant.tier,
        "models": models,
        "networks": list(dict.fromkeys(grant.networks)),
        "expires_at": grant.expires_at,
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _row(connection: Connection, key_id: str) -> Row[Any]:
    """Read the row of a key."""
    # What is no id is not asked for: PostgreSQL refuses some texts as a whole.
    found = sa.select(KEYS).where(KEYS.c.id == key_id)
    row = connection.execute(found).one_or_none() if is_id(key_id) else None
    if row is None:
        raise KeyUnknown(key_id)
    return row


def _require_other_admin(connection: Connection, row: Row[Any], at: datetime) -> None:
    """Refuse to close the last key that may manage keys."""
    is_admin = row.role == Role.ADMIN.label
    opens = row.expires_at is None or row.expires_at > at
    if is_admin and opens and _admins(connection, at) == 1:
        raise LastAdminKey(row.id)


def _admins(connection: Connection, at: datetime) -> int:
    """Count the keys that may manage keys at a time."""
    admins = sa.and_(KEYS.c.role == Role.ADMIN.label, is_open(at))
    counted = sa.select(sa.func.count()).select_from(KEYS).where(admins)
    return int(connection.execute(counted).scalar_one())
