"""Where a page ended: sealed, so that it leads nowhere else, and to no other question."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.refusals import QueryInvalid
from services.history.questions import RowsQuestion

# Microseconds since 1970, then the id.
_PLACE = struct.Struct(">q16s")
_SEAL_BYTES = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# They may change from page to page.
_FREE = {"cursor", "limit", "format", "since", "until"}


@dataclass(frozen=True)
class Sealer:
    """Makes and opens cursors.

    Parameters
    ----------
    secret
        Known to every process that answers.
    """

    secret: bytes

    def seal(self, question: RowsQuestion, at: datetime, last_id: bytes) -> str:
        """Write where a page ended.

        Parameters
        ----------
        question
            What was asked.
        at, last_id
            Of the last row that was shown.
        """
        place = _PLACE.pack((at - _EPOCH) // timedelta(microseconds=1), last_id)
        return base64.urlsafe_b64encode(place + self._seal(question, place)).decode().rstrip("=")

    def open(self, question: RowsQuestion) -> tuple[datetime, bytes] | None:
        """Read where the page before ended; nothing on the first page.

        Parameters
        ----------
        question
            What is asked.

        Raises
        ------
        QueryInvalid
            The cursor is not one of ours, or of another question.
        """
        if question.cursor is None:
            return None
        try:
            padded = question.cursor + "=" * (-len(question.cursor) % 4)
            raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        place, seal = raw[: _PLACE.size], raw[_PLACE.size :]
        if not hmac.compare_digest(seal, self._seal(question, place)):
            raise QueryInvalid(
                "cursor",
                "is none that this question gave",
                "send `next` of the page before it, with the filters of that page",
            )
        microseconds, last_id = _PLACE.unpack(place)
        return _EPOCH + timedelta(microseconds=microseconds), last_id

    def _seal(self, question: RowsQuestion, place: bytes) -> bytes:
        asked = question.model_dump_json(exclude=_FREE).encode()
        times = f"{question.since}{question.until}".encode()
        return hmac.digest(self.secret, place + times + asked, hashlib.sha256)[:_SEAL_BYTES]
