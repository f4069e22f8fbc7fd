"""Who did what, when, from where, with what result: a table that only grows.

The database itself refuses to change or to delete an entry. A change of a key and its entry are
written in one transaction. What has no change to stand beside (a role that was not enough, a
network locked out) goes through ``services.access.recorder``. Details hold no secret.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa

from core import clock
from services.records import AUDIT, Records

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from services.access.caller import Caller

DONE = "done"
REFUSED = "refused"
UNCHANGED = "unchanged"

_ACTOR_LENGTH = 100
_TARGET_LENGTH = 200
_ADDRESS_LENGTH = 64
_BLOCK_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it.

    Parameters
    ----------
    name
        Name of the key, ``cli:<user>``, or ``septet`` for the platform itself.
    key_id
        Id of the key, when there is one.
    role
        The key's role.
    address
        Where the request came from.
    request_id
        Id of the request.
    """

    name: str
    key_id: str | None = None
    role: str | None = None
    address: str | None = None
    request_id: str | None = None

    @classmethod
    def of(cls, caller: Caller, *, address: str | None, request_id: str | None) -> Self:
        """Name the caller of a request."""
        return cls(
            name=caller.name,
            key_id=caller.key_id,
            role=caller.role.label,
            address=address,
            request_id=request_id,
        )

    @classmethod
    def shell(cls) -> Self:
        """Name the person at the command line."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            # A container may run under a number that has no name.
            user = "unknown"
        return cls(name=f"cli:{user}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit.

    Parameters
    ----------
    actor
        Who.
    action
        What, as ``noun.verb``: ``key.created``.
    target
        To what: a key's id, a route.
    outcome
        ``done``, ``refused`` or ``unchanged``.
    detail
        What else is worth knowing; plain data, no secrets.
    at
        When.
    """

    actor: Actor
    action: str
    target: str
    outcome: str = DONE
    detail: Mapping[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=clock.now)

    def to_row(self) -> dict[str, Any]:
        """Give the row of the table."""
        actor = self.actor
        return {
            "at": self.at,
            "actor": _storable(actor.name, _ACTOR_LENGTH),
            "key_id": actor.key_id,
            "role": actor.role,
            "address": None if actor.address is None else _storable(actor.address, _ADDRESS_LENGTH),
            "action": self.action,
            "target": _storable(self.target, _TARGET_LENGTH),
            "outcome": self.outcome,
            "request_id": actor.request_id,
            "detail": {
                name: _storable(value, _TARGET_LENGTH) if isinstance(value, str) else value
                for name, value in self.detail.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Kept:
    """One line of the audit, as it stands in the table.

    Parameters
    ----------
    id
        Its number; a later one is higher.
    at
        When.
    actor, key_id, role, address, request_id
        Who, as in ``Actor``.
    action, target, outcome, detail
        What, as in ``Entry``.
    """

    id: int
    at: datetime
    actor: str
    key_id: str | None
    role: str | None
    address: str | None
    action: str
    target: str
    outcome: str
    request_id: str | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines of the audit are asked for; what is not given selects all.

    Parameters
    ----------
    since, until
        From when, and before when.
    actor
        Name or key id of who did it.
    action
        What was done, such as ``key.revoked``.
    """

    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    action: str | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Give what the lines must fulfil."""
        columns = AUDIT.c
        found: list[sa.ColumnElement[bool]] = []
        if self.since is not None:
            found.append(columns.at >= self.since)
        if self.until is not None:
            found.append(columns.at < self.until)
        if self.actor is not None:
            found.append(sa.or_(columns.actor == self.actor, columns.key_id == self.actor))
        if self.action is not None:
            found.append(columns.action == self.action)
        return found


def read_entries(
    records: Records, wanted: Wanted, *, limit: int, before: int | None = None
) -> list[Kept]:
    """Read the audit, the newest first.

    Parameters
    ----------
    records
        The database.
    wanted
        Which lines.
    limit
        Most lines to give.
    before
        Number of the line before which to go on.

    Raises
    ------
    RecordsDown, RecordsBehind
        The records cannot be read.
    """
    query = sa.select(AUDIT).where(*wanted.conditions()).order_by(AUDIT.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AUDIT.c.id < before)
    with records.reading() as connection:
        return [Kept(**row) for row in connection.execute(query).mappings()]


def all_entries(records: Records, wanted: Wanted) -> Iterator[Kept]:
    """Read all of the audit, the newest first, in blocks: no transaction is held open meanwhile.

    Parameters
    ----------
    records
        The database.
    wanted
        Which lines.

    Raises
    ------
    RecordsDown, RecordsBehind
        The records cannot be read.
    """
    before: int | None = None
    while block := read_entries(records, wanted, limit=_BLOCK_ROWS, before=before):
        yield from block
        before = block[-1].id


def _storable(text: str, length: int) -> str:
    """Cut a text that others wrote, without what PostgreSQL cannot hold."""
    return text[:length].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def write_entries(connection: Connection, entries: Iterable[Entry]) -> None:
    """Append to the audit, in the transaction of what the entries tell of.

    Parameters
    ----------
    connection
        Of a writing block.
    entries
        In the order in which they are to stand.
    """
    rows = [entry.to_row() for entry in entries]
    if rows:
        connection.execute(sa.insert(AUDIT), rows)
