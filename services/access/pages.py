"""What is told of keys and of the audit over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from core import clock
from core.task import Time
from services.access.audit import Kept, Wanted
from services.access.grant import KeyRecord
from services.access.ledger import MOST_OVERLAP, Issued
from services.query import AS_WHOLE, Whole

_DAY_SECONDS = 86_400


class _Page(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeyPage(_Page):
    """What is known of a key; never its text."""

    id: str = Field(description="Public id: the part of the key after `sep_live_`.")
    name: str = Field(description="What the key is for.", examples=["nightly report"])
    role: str = Field(description="viewer, analyst, operator or admin.")
    tier: str = Field(description="Name of its limits in platform.yaml.")
    models: list[str] | None = Field(
        description="The models it may ask; null means all.", examples=[["churn"]]
    )
    networks: list[str] = Field(
        description="The networks it may come from; none means all.", examples=[["192.0.2.0/24"]]
    )
    state: Literal["active", "expired", "revoked"] = Field(description="Whether it opens.")
    expires_at: datetime | None = Field(description="When it stops to open; null means never.")
    created_at: datetime = Field(description="When it was made, UTC.")
    created_by: str = Field(description="Name of the key, or `cli:<user>`, that made it.")
    rotated_at: datetime | None = Field(description="When it got its present secret.")
    retiring_until: datetime | None = Field(
        description="When the last of its earlier secrets stops to open."
    )
    revoked_at: datetime | None = Field(description="When it was revoked.")

    @classmethod
    def of(cls, record: KeyRecord) -> Self:
        """Tell of a key."""
        return cls.model_validate({**asdict(record), "state": record.state(clock.now())})


class KeysPage(_Page):
    """Keys, the oldest first."""

    keys: list[KeyPage] = Field(description="One page of them.")
    next: str | None = Field(description="Send as `after` for the next page; null at the end.")


class IssuedPage(_Page):
    """A key that was just made."""

    key: str = Field(
        description="The key: shown this once, for only its hash is kept.",
        examples=["sep_live_0123456789ab_…"],
    )
    record: KeyPage = Field(description="What is kept of it.")

    @classmethod
    def of(cls, issued: Issued) -> Self:
        """Hand out a key."""
        return cls(key=issued.key, record=KeyPage.of(issued.record))


class Rotation(BaseModel):
    """How a key is to be rotated."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    overlap_seconds: int = Field(
        default=_DAY_SECONDS,
        ge=0,
        le=int(MOST_OVERLAP.total_seconds()),
        description="How long the secret before goes on opening.",
        examples=[_DAY_SECONDS],
    )


class KeysQuery(BaseModel):
    """Which keys are asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Whole = Field(default=100, ge=1, le=1000, description="Most keys of a page.")
    after: str | None = Field(
        default=None, max_length=40, description="`next` of the page before this one."
    )


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("only printable signs are allowed")
    return text


class AuditQuery(BaseModel):
    """Which lines of the audit are asked for, and in which form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Time | None = Field(default=None, description="From when.")
    until: Time | None = Field(default=None, description="Before when.")
    actor: Annotated[str, AfterValidator(_printable)] | None = Field(
        default=None, max_length=100, description="Name or key id of who did it."
    )
    action: str | None = Field(
        default=None,
        max_length=64,
        pattern=r"^[a-z_.]+$",
        description="What was done, such as `key.revoked`.",
    )
    limit: Annotated[int, Field(ge=1, le=1000), AS_WHOLE] | None = Field(
        default=None, description="Most lines of a page of JSON; 100 by default."
    )
    cursor: Annotated[int, Field(ge=1, le=2**63 - 1), AS_WHOLE] | None = Field(
        default=None, description="`next` of the page before this one."
    )
    format: Literal["json", "ndjson", "csv"] = Field(
        default="json", description="A page of json, or all of it as ndjson or csv."
    )

    def wanted(self) -> Wanted:
        """Give the filter."""
        return Wanted(since=self.since, until=self.until, actor=self.actor, action=self.action)


class AuditLine(_Page):
    """Who did what, when, from where, with what result."""

    id: int = Field(description="Its number; a later one is higher.")
    at: datetime = Field(description="When, UTC.")
    actor: str = Field(description="Name of the key, `cli:<user>`, or `septet` itself.")
    key_id: str | None = Field(description="Public id of the key.")
    role: str | None = Field(description="Role of the key.")
    address: str | None = Field(description="Where the request came from.")
    action: str = Field(description="What, as noun.verb.", examples=["key.created"])
    target: str = Field(description="To what: a key's id, a route, a network.")
    outcome: str = Field(description="done, refused or unchanged.")
    request_id: str | None = Field(description="Id of the request, as in its X-Request-Id.")
    detail: dict[str, Any] = Field(description="What else is worth knowing; never a secret.")

    @classmethod
    def of(cls, kept: Kept) -> Self:
        """Tell of a line."""
        return cls.model_validate(asdict(kept))


class AuditPage(_Page):
    """Lines of the audit, the newest first."""

    entries: list[AuditLine] = Field(description="One page of them.")
    next: int | None = Field(description="Send as `cursor` for the next page; null at the end.")
