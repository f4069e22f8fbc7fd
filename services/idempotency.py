"""A request that is sent again is answered again, not carried out again.

By the header ``Idempotency-Key`` (IETF draft, httpapi-idempotency-key-header): the first answer is
kept before it is sent, and given again to the same caller for a day. Only answers of success are
kept: what was refused had no effect, and may be corrected and sent under the same key.

Failure policy: while the records are down, a request with such a key is refused (503), for its
promise cannot be kept; one without goes on. A request that was cut off by a crash is carried out
again only where that has no effect (a prediction); elsewhere its key stays taken.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from core import clock
from core.conflicts import (
    IdempotencyKeyInvalid,
    IdempotencyReused,
    RequestInterrupted,
    StillRunning,
)
from services.records import IDEMPOTENCY, Records

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

HEADER = b"idempotency-key"
REPLAYED = (b"idempotent-replayed", b"true")
KEPT = timedelta(hours=24)
# Longer than any request may take: what runs longer was cut off.
CUT_OFF = timedelta(seconds=60)
_FORM = re.compile(rb"[\x21-\x7e]{1,255}")
# A secret is shown once: what is kept of an answer holds none.
_SECRET = re.compile(rb"sep_live_[0-9A-Za-z_]+")
_CLEAN_EVERY = 256
_JSON = "application/json"
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given before.

    Parameters
    ----------
    status, media_type, body
        As it was sent, without secrets.
    """

    status: int
    media_type: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that is carried out now.

    Parameters
    ----------
    caller, key
        Whose request.
    token
        Proves to be the one that began it.
    """

    caller: str
    key: str
    token: str


def read_key(given: bytes) -> str:
    """Check the header.

    Raises
    ------
    IdempotencyKeyInvalid
        It is empty, too long, or holds other signs than ASCII's visible ones.
    """
    if not _FORM.fullmatch(given):
        raise IdempotencyKeyInvalid
    return given.decode("ascii")


def fingerprint(
    method: str, target: bytes, media_type: bytes, body: bytes, *, past: bytes | None = None
) -> str:
    """Give the SHA-256 by which two requests are the same.

    Parameters
    ----------
    method
        HTTP method.
    target
        Path and query.
    media_type
        Content type of the body.
    body
        The body.
    past
        As of when the answer is written down, where the request says so.
    """
    found = hashlib.sha256()
    parts = [method.encode(), target, media_type, body, *([] if past is None else [past])]
    for part in parts:
        found.update(b"%d:" % len(part))
        found.update(part)
    return found.hexdigest()


class Idempotency:
    """Keeps answers in the records.

    Parameters
    ----------
    records
        The database.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._begun = 0

    def begin(self, caller: str, key: str, wanted: str, *, is_pure: bool) -> Begun | Kept:
        """Begin a request, or give the answer that it had.

        Parameters
        ----------
        caller
            Public id of the caller's key: another caller's requests are others.
        key
            The Idempotency-Key.
        wanted
            Fingerprint of the request.
        is_pure
            Whether it may be carried out again when it was cut off.

        Raises
        ------
        IdempotencyReused
            The key belongs to another request.
        StillRunning
            The same request is being carried out.
        RequestInterrupted
            It was cut off, and whether it took effect is not known.
        RecordsDown, RecordsBehind
            The records do not answer.
        """
        begun = Begun(caller, key, secrets.token_hex(16))
        with self._records.writing() as connection:
            self._clean(connection)
            row = _row(begun, wanted)
            try:
                with connection.begin_nested():
                    connection.execute(sa.insert(IDEMPOTENCY).values(**row))
            except IntegrityError:
                return self._find(connection, begun, wanted, is_pure=is_pure)
        return begun

    def finish(self, begun: Begun, kept: Kept) -> None:
        """Keep an answer, before it is sent.

        Parameters
        ----------
        begun
            What ``begin`` gave.
        kept
            The answer.
        """
        values = {
            "status": kept.status,
            "media_type": kept.media_type.decode("latin-1"),
            "body": _SECRET.sub(b"sep_live_***", kept.body),
        }
        with self._records.writing() as connection:
            connection.execute(sa.update(IDEMPOTENCY).where(_is(begun)).values(**values))

    def forget(self, begun: Begun) -> None:
        """Free a key whose request was refused.

        Parameters
        ----------
        begun
            What ``begin`` gave.
        """
        with self._records.writing() as connection:
            connection.execute(sa.delete(IDEMPOTENCY).where(_is(begun)))

    def forget_entity(self, entity: str) -> int:
        """Forget answers about an entity; say how many.

        Tables, which may be compressed, are forgotten whomever they are about: they answer
        predictions, which may be carried out again.

        Parameters
        ----------
        entity
            As it was asked.

        Raises
        ------
        RecordsDown, RecordsBehind
            The records do not answer.
        """
        said = b'"entity":' + orjson.dumps(entity)
        query = sa.select(IDEMPOTENCY).where(IDEMPOTENCY.c.body.is_not(None))
        gone = 0
        with self._records.writing() as connection:
            for rows in connection.execute(query).partitions(_AT_ONCE):
                found = [one for one in rows if one.media_type != _JSON or said in one.body]
                for one in found:
                    begun = Begun(one.caller, one.key, one.token)
                    connection.execute(sa.delete(IDEMPOTENCY).where(_is(begun)))
                gone += len(found)
        return gone

    def _find(
        self, connection: Connection, begun: Begun, wanted: str, *, is_pure: bool
    ) -> Begun | Kept:
        query = (
            sa.select(IDEMPOTENCY)
            .where(IDEMPOTENCY.c.caller == begun.caller, IDEMPOTENCY.c.key == begun.key)
            .with_for_update()
        )
        row = connection.execute(query).one_or_none()
        if row is None:
            raise StillRunning
        is_old = row.started_at < clock.now() - KEPT
        if row.fingerprint != wanted and not is_old:
            raise IdempotencyReused
        if row.status is not None and not is_old:
            return Kept(row.status, row.media_type.encode("latin-1"), row.body)
        if row.started_at > clock.now() - CUT_OFF:
            raise StillRunning
        if not is_pure and not is_old:
            raise RequestInterrupted
        mine = sa.update(IDEMPOTENCY).where(
            IDEMPOTENCY.c.caller == begun.caller,
            IDEMPOTENCY.c.key == begun.key,
            IDEMPOTENCY.c.token == row.token,
        )
        changed = connection.execute(mine.values(**_row(begun, wanted)))
        if changed.rowcount != 1:
            raise StillRunning
        return begun

    def _clean(self, connection: Connection) -> None:
        """Forget what is older than a day, now and then."""
        self._begun += 1
        if self._begun % _CLEAN_EVERY == 1:
            old = clock.now() - KEPT
            connection.execute(sa.delete(IDEMPOTENCY).where(IDEMPOTENCY.c.started_at < old))


def _row(begun: Begun, wanted: str) -> dict[str, object]:
    return {
        "caller": begun.caller,
        "key": begun.key,
        "token": begun.token,
        "fingerprint": wanted,
        "started_at": clock.now(),
        "status": None,
        "media_type": None,
        "body": None,
    }


def _is(begun: Begun) -> sa.ColumnElement[bool]:
    return sa.and_(
        IDEMPOTENCY.c.caller == begun.caller,
        IDEMPOTENCY.c.key == begun.key,
        IDEMPOTENCY.c.token == begun.token,
    )
