"""What a key opens, as it is asked for, and as it is kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING, Annotated, Any, Self

import sqlalchemy as sa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bentos.catalog import CATALOG
from core.errors import FieldProblem, nearest
from core.refusals import FieldsInvalid
from core.task import Time
from services.access.caller import Role
from services.fields import ModelName
from services.records import KEYS

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

STANDARD_TIER = "standard"
_MOST_NETWORKS = 64


def _plain(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("only printable signs are allowed, and no space at its ends")
    return text


def _role(text: str) -> str:
    labels = [role.label for role in Role]
    if text not in labels:
        raise ValueError(f"one of {', '.join(labels)} is allowed.{nearest(text, labels)}")
    return text


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("a network such as 192.0.2.0/24 or 2001:db8::/32 is allowed") from None
    raise ValueError(f"it has bits beyond its prefix; {meant} is allowed")


class Grant(BaseModel):
    """What a key is to open."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, AfterValidator(_plain)] = Field(
        min_length=1, max_length=80, description="What the key is for.", examples=["nightly report"]
    )
    role: Annotated[str, AfterValidator(_role)] = Field(
        description="viewer reads, analyst predicts, operator runs jobs, admin manages keys.",
        examples=["analyst"],
        json_schema_extra={"enum": [role.label for role in Role]},
    )
    tier: str = Field(
        default=STANDARD_TIER,
        pattern=r"^[a-z][a-z0-9_]{0,62}$",
        description="Name of its limits in platform.yaml.",
    )
    models: list[ModelName] | None = Field(
        default=None,
        min_length=1,
        max_length=len(CATALOG),
        description="The models it may ask; null means all of them.",
        examples=[["churn"]],
    )
    networks: list[Annotated[str, AfterValidator(_network)]] = Field(
        default=[],
        max_length=_MOST_NETWORKS,
        description="The networks it may come from, in CIDR form; none means all.",
        examples=[["192.0.2.0/24"]],
    )
    expires_at: Time | None = Field(
        default=None,
        description="When it stops to open, with its zone; null means never.",
        examples=["2030-01-01T00:00:00Z"],
    )


def require_tier(grant: Grant, tiers: Collection[str]) -> None:
    """Refuse a tier that the platform does not know.

    Parameters
    ----------
    grant
        What is asked for.
    tiers
        Names of the tiers in ``platform.yaml``.

    Raises
    ------
    FieldsInvalid
        It is none of them.
    """
    if grant.tier not in tiers:
        known = sorted(tiers)
        allowed = f"one of {', '.join(known)} is allowed.{nearest(grant.tier, known)}"
        raise FieldsInvalid([FieldProblem("tier", f"is the text {grant.tier!r}", allowed)])


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is known of a key, without its secret.

    Parameters
    ----------
    id
        Public id.
    name, role, tier, models, networks, expires_at
        As granted.
    created_at, created_by
        When, and by whom.
    rotated_at
        When it got its present secret, when that is not its first.
    retiring_until
        When the last of its earlier secrets stops to open.
    revoked_at
        When it was revoked.
    """

    id: str
    name: str
    role: str
    tier: str
    models: Sequence[str] | None
    networks: Sequence[str]
    expires_at: datetime | None
    created_at: datetime
    created_by: str
    rotated_at: datetime | None
    retiring_until: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """Read a row of the table."""
        names = (name for name in cls.__dataclass_fields__ if name != "retiring_until")
        until = [datetime.fromisoformat(old["until"]) for old in row.retiring]
        return cls(
            **{name: getattr(row, name) for name in names},
            retiring_until=max(until, default=None),
        )

    def state(self, at: datetime) -> str:
        """Say how it is at a time: ``active``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= at else "active"


def is_open(at: datetime) -> sa.ColumnElement[bool]:
    """Select the keys that open at a time."""
    lasting = sa.or_(KEYS.c.expires_at.is_(None), KEYS.c.expires_at > at)
    return sa.and_(KEYS.c.revoked_at.is_(None), lasting)
