"""Who asks, and what each role may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network

# Under which names the gate puts the caller, and where it called from, into a request's scope.
CALLER = "septet.caller"
ADDRESS = "septet.address"


class Role(IntEnum):
    """What a caller may do; each role may do what the ones before it may.

    ``viewer`` reads, ``analyst`` predicts, ``operator`` runs jobs, schedules and retraining,
    ``admin`` manages keys and reads the audit.
    """

    VIEWER = 1
    ANALYST = 2
    OPERATOR = 3
    ADMIN = 4

    @property
    def label(self) -> str:
        """The role as configs, answers and commands name it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who holds a key.

    Parameters
    ----------
    key_id
        Public id of the key.
    name
        Name that was given to it.
    role
        What it may do.
    tier
        Name of its limits in ``platform.yaml``.
    models
        The models it may ask; nothing means all of them.
    networks
        The networks it may come from; none listed means all of them.
    expires_at
        When it stops to open; nothing means never.
    """

    key_id: str
    name: str
    role: Role = Role.ADMIN
    tier: str = "standard"
    models: frozenset[str] | None = None
    networks: Sequence[IPv4Network | IPv6Network] = ()
    expires_at: datetime | None = None
