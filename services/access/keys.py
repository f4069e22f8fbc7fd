"""The keys that open, held in memory by every serving process.

A request costs one SHA-256 and one look-up: no key is ever asked of the database. A thread asks
the database once a second for the counter of changes, and reads the rows that changed, so that a
revoked key is shut in every process within two seconds.

Failure policy: while the records do not answer, the keys that were read before go on, an alarm is
logged once, and ``age_seconds`` grows; the thread looks on, whatever was raised and whether or not
the alarm could be written. A process that never read any opens to nobody.
"""

from __future__ import annotations

import hmac
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Any, NoReturn

import sqlalchemy as sa

from core import clock
from core.access_config import LockoutConfig
from core.errors import SeptetError
from core.logs import get_logger
from core.refusals import AccessDenied
from services.access.caller import Caller, Role
from services.access.lockout import Lockout
from services.access.network import is_inside, read_networks
from services.access.secret import ID_END, ID_START, digest_of, fault_of
from services.records import KEYS, KEYS_COUNTER, REVISIONS, Records

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

STOP_SECONDS = 2.0
# After this long without an answer the keys are called stale, also when nothing was raised.
STALE_SECONDS = 10.0

_COLUMNS = (
    KEYS.c.id, KEYS.c.name, KEYS.c.role, KEYS.c.tier, KEYS.c.models, KEYS.c.networks,
    KEYS.c.sha256, KEYS.c.retiring, KEYS.c.expires_at, KEYS.c.revoked_at,
)  # fmt: skip
_BLOCK_ROWS = 5000


@dataclass(frozen=True, slots=True)
class _Held:
    """What is held of a key; one that is shut is held as well, to tell its holder why.

    Parameters
    ----------
    digest
        SHA-256 of its text.
    until_s
        When it stops to open, in seconds since 1970; 0 when it was revoked.
    is_anywhere
        Whether it may come from every network.
    caller
        Who holds it.
    retiring
        SHA-256 of earlier secrets, and when each stops to open.
    """

    digest: bytes
    until_s: float
    is_anywhere: bool
    caller: Caller
    retiring: tuple[tuple[bytes, float], ...] = ()


# Compared with when no key has the id, so that an unknown id takes as long as a wrong secret.
_NOBODY = _Held(
    digest=digest_of("nobody"),
    until_s=0.0,
    is_anywhere=False,
    caller=Caller(key_id="", name="", role=Role.VIEWER),
)


class KeyStore:
    """The keys that open, kept in step with the records.

    Parameters
    ----------
    records
        The database.
    poll_seconds
        How often to look for changes.
    lockout
        When to lock a network out.
    on_lock
        Told the network and the seconds when one is locked out.
    now_s
        Gives the seconds since 1970.
    """

    def __init__(
        self,
        records: Records,
        *,
        poll_seconds: float = 1.0,
        lockout: LockoutConfig | None = None,
        on_lock: Callable[[str, float], None] | None = None,
        now_s: Callable[[], float] = clock.now_s,
    ) -> None:
        self._records = records
        self._poll_seconds = poll_seconds
        self._lockout = Lockout(lockout or LockoutConfig(), on_lock=on_lock)
        self._now_s = now_s
        self._held: dict[str, _Held] = {}
        self._revision: int | None = None
        self._read_at_s: float | None = None
        self._is_down = False
        # One look at a time: the older of two would put back what the newer one changed.
        self._looking = threading.Lock()
        self._look_now = threading.Event()
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self._log = get_logger(__name__)

    def __len__(self) -> int:
        """Count the keys that are held, those that are shut included."""
        return len(self._held)

    @property
    def age_seconds(self) -> float:
        """Seconds since the records last answered; infinite when they never did."""
        read_at_s = self._read_at_s
        return math.inf if read_at_s is None else time.monotonic() - read_at_s

    @property
    def is_stale(self) -> bool:
        """Whether the keys may be behind the records, because these do not answer."""
        return self._is_down or self.age_seconds > STALE_SECONDS

    def start(self) -> None:
        """Read the keys, and follow them from then on."""
        self.refresh()
        self._thread = threading.Thread(target=self._follow, name="keys", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following; the keys that are held go on opening."""
        self._is_stopping = True
        self._look_now.set()
        if self._thread is not None:
            self._thread.join(timeout=STOP_SECONDS)

    def identify(self, key: str, address: str | None = None) -> Caller:
        """Tell who holds a key.

        Parameters
        ----------
        key
            As it was sent; it may be anything.
        address
            Where the request came from.

        Raises
        ------
        AccessDenied
            The key is empty, is no key of ours, or does not open, or not from there.
        LockedOut
            It does not open, and the network has sent too many such keys.
        """
        digest = digest_of(key)
        held = self._held.get(key[ID_START:ID_END], _NOBODY)
        # Only the holder of the secret comes by here: the digest says that the form is right too.
        if (
            hmac.compare_digest(held.digest, digest)
            and self._now_s() < held.until_s
            and held.is_anywhere
        ):
            return held.caller
        return self._look_closer(key, held, digest, address)

    def look_soon(self) -> None:
        """Look for changes now rather than at the next turn; returns at once."""
        self._look_now.set()

    def refresh(self) -> bool:
        """Ask the records for what changed.

        Returns
        -------
        bool
            Whether they answered.
        """
        try:
            with self._looking:
                changed = self._read()
        except SeptetError as error:
            self._alarm(error.detail)
            return False
        except Exception as error:  # noqa: BLE001 - logged; a thread that ends would follow nothing
            self._alarm(f"{type(error).__name__}: {error}")
            return False
        self._read_at_s = time.monotonic()
        if self._is_down:
            self._is_down = False
            self._log.info("keys_followed_again")
        if changed:
            self._log.info("keys_read", changed=changed, held=len(self._held))
        return True

    def _follow(self) -> None:
        while not self._is_stopping:
            self._look_now.wait(self._poll_seconds)
            self._look_now.clear()
            if not self._is_stopping:
                self.refresh()

    def _alarm(self, reason: str) -> None:
        """Say once that the keys are not followed any more."""
        was_down, self._is_down = self._is_down, True
        if not was_down:
            self._log.error("keys_not_followed", reason=reason, held=len(self._held))

    def _read(self) -> int:
        """Read the rows that changed since the last time; give their number."""
        with self._records.reading() as connection:
            newest = connection.execute(
                sa.select(REVISIONS.c.value).where(REVISIONS.c.name == KEYS_COUNTER)
            ).scalar_one()
            if newest == self._revision:
                return 0
            # A counter that went back means that the records were put back from a copy.
            anew = self._revision is None or newest < self._revision
            changed = _changed(connection, since=-1 if anew else self._revision or 0)
        if anew:
            self._held = changed
        else:
            self._held.update(changed)
        self._revision = newest
        return len(changed)

    def _look_closer(self, key: str, held: _Held, digest: bytes, address: str | None) -> Caller:
        """Let in what may still pass, and say of anything else what is wrong with it."""
        if not key:
            # Nobody guesses by sending nothing: it is not counted.
            raise AccessDenied("No API key was sent.")
        fault = fault_of(key)
        if fault is not None:
            self._refuse(fault, address)
        if hmac.compare_digest(held.digest, digest):
            secret_until_s = math.inf
        else:
            secret_until_s = _retiring_until_s(held, digest)
        if secret_until_s < 0:
            self._refuse("The API key is not known here.", address)
        shut = _why_shut(held, secret_until_s, now_s=self._now_s())
        if shut is not None:
            self._refuse(shut, address)
        if not held.is_anywhere and not is_inside(address, held.caller.networks):
            where = f"from {address}" if address else "from an unknown address"
            self._refuse(f"The API key does not open {where}.", address)
        return held.caller

    def _refuse(self, sentence: str, address: str | None) -> NoReturn:
        self._lockout.failed(address)
        raise AccessDenied(sentence)


def _retiring_until_s(held: _Held, digest: bytes) -> float:
    """Give when an earlier secret stops to open; below 0 when it is none."""
    found = -1.0
    for old, until_s in held.retiring:
        if hmac.compare_digest(old, digest):
            found = until_s
    return found


def _why_shut(held: _Held, secret_until_s: float, *, now_s: float) -> str | None:
    """Say why a key that is known does not open; nothing when it does."""
    if held.until_s == 0:
        return "The API key was revoked. Ask an admin for another one."
    if now_s >= held.until_s:
        return f"The API key expired on {_day(held.until_s)}. Ask an admin for another one."
    if now_s >= secret_until_s:
        return (
            f"The API key was replaced, and stopped on {_day(secret_until_s)}. Use the new one, or "
            "ask an admin for it."
        )
    return None


def _day(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d at %H:%M} UTC"


def _changed(connection: Connection, *, since: int) -> dict[str, _Held]:
    """Read the rows that changed after a revision."""
    query = sa.select(*_COLUMNS).where(KEYS.c.revision > since)
    result = connection.execution_options(yield_per=_BLOCK_ROWS).execute(query)
    return {row.id: _hold(row) for row in result}


@lru_cache(maxsize=1024)
def _scope(models: tuple[str, ...]) -> frozenset[str]:
    """Give one set for all keys with the same models."""
    return frozenset(models)


def _hold(row: Row[*tuple[Any, ...]]) -> _Held:
    """Make what is held of a row; what many keys have in common they share."""
    networks = read_networks(tuple(row.networks))
    caller = Caller(
        key_id=row.id,
        name=row.name,
        role=Role[row.role.upper()],
        tier=intern(row.tier),
        models=None if row.models is None else _scope(tuple(row.models)),
        networks=networks,
        expires_at=row.expires_at,
    )
    until_s = math.inf if row.expires_at is None else row.expires_at.timestamp()
    return _Held(
        digest=bytes.fromhex(row.sha256),
        until_s=0.0 if row.revoked_at is not None else until_s,
        is_anywhere=not networks,
        caller=caller,
        retiring=tuple(
            (bytes.fromhex(old["sha256"]), datetime.fromisoformat(old["until"]).timestamp())
            for old in row.retiring
        ),
    )
