"""Who did what, when, from where, with what result: a table that only grows.

The database itself refuses to change or to delete an entry. A change of a key and its entry are
written in one transaction. What has no change to stand beside (a role that was not enough, a
network locked out) goes through ``services.access.recorder``. Details hold no secret.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa

from core import clock
from services.records import AUDIT

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from services.access.caller import Caller

DONE = "done"
REFUSED = "refused"
UNCHANGED = "unchanged"

_ACTOR_LENGTH = 100
_TARGET_LENGTH = 200


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
            "actor": actor.name[:_ACTOR_LENGTH],
            "key_id": actor.key_id,
            "role": actor.role,
            "address": actor.address,
            "action": self.action,
            "target": self.target[:_TARGET_LENGTH],
            "outcome": self.outcome,
            "request_id": actor.request_id,
            "detail": dict(self.detail),
        }


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
