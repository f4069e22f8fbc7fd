"""A batch that is answered now, and written down as of a time that is past.

By the header ``Septet-Backfill-At``, so that what was predicted elsewhere, or is played, has a
history here. Its ids are of that time too: who looks for one finds its day by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError
from uuid_utils import uuid7

from core import clock
from core.denials import RoleTooLow
from core.header import HeaderInvalid
from core.task import Time
from services.access.caller import Role

if TYPE_CHECKING:
    from bentos.answering import Outcome
    from bentos.reply import Headers
    from services.access.caller import Caller

NAME = "Septet-Backfill-At"
HEADER = NAME.lower().encode()
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_ALLOWED = "a past time with its zone since 2000 is allowed, such as 2026-03-01T09:00:00Z"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: TypeAdapter[datetime] = TypeAdapter(Time)


@dataclass(frozen=True, slots=True)
class Past:
    """The time as of which a batch is written down.

    Parameters
    ----------
    at_ns
        Nanoseconds since 1970.
    """

    at_ns: int

    def ids(self, count: int) -> list[str]:
        """Give so many prediction ids of that time, in order."""
        return sorted(str(uuid7(nanoseconds=self.at_ns)) for _ in range(count))

    def rename(self, outcomes: Sequence[Outcome]) -> None:
        """Give the answers of a batch ids of that time.

        Parameters
        ----------
        outcomes
            One a row; changed in place.
        """
        answers = [outcome.answer for outcome in outcomes if outcome.answer is not None]
        for answer, identity in zip(answers, self.ids(len(answers)), strict=True):
            answer["prediction_id"] = identity


def read_past(headers: Headers, caller: Caller) -> Past | None:
    """Read the header; nothing when a batch is to be written down as of now.

    Parameters
    ----------
    headers
        Of the request.
    caller
        Who asks.

    Raises
    ------
    RoleTooLow
        Only an admin may write what is past.
    HeaderInvalid
        It is no time, has no zone, is to come, or lies before ``EARLIEST``.
    """
    given = headers.get(HEADER)
    if given is None:
        return None
    if caller.role < Role.ADMIN:
        raise RoleTooLow(caller.role.label, Role.ADMIN.label)
    text = given.decode("latin-1")
    try:
        at = _TIME.validate_python(text)
    except ValidationError:
        raise HeaderInvalid(NAME, f"is {text[:40]!r}, no time with its zone", _ALLOWED) from None
    if at > clock.now():
        raise HeaderInvalid(NAME, f"is {text[:40]!r}, which is still to come", _ALLOWED)
    if at < EARLIEST:
        raise HeaderInvalid(NAME, f"is {text[:40]!r}, which is too long ago", _ALLOWED)
    return Past((at - _EPOCH) // timedelta(microseconds=1) * 1000)
