"""API keys: made, kept as hashes, compared.

A key reads ``sep_live_<id>_<secret><check>``: a prefix by which scanners find a leaked key, a
public id by which it is looked up, 32 random bytes in base 62, and a CRC-32 by which a mistyped
key is told from a wrong one. Only the SHA-256 of a key is stored, in ``access.json``.

Failure policy: when ``access.json`` cannot be read or understood, the keys that were read before
go on, and the reason is logged; a process that never read it opens to nobody.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
import zlib
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from core import clock
from core.errors import ConfigError
from core.logs import get_logger
from core.refusals import AccessDenied
from services.access.caller import Caller
from services.durable import replace_file

FILE = "access.json"
RECHECK_SECONDS = 1.0

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 12
_SECRET_BYTES = 32
_SECRET_LENGTH = 43  # base-62 digits that hold 32 bytes
_CHECK_LENGTH = 6  # base-62 digits that hold 32 bits
_KEY = re.compile(rf"sep_live_([0-9A-Za-z]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH + 6}}}")
# Compared with when no key has the id, so that an unknown id takes as long as a wrong secret.
_NOBODY = hashlib.sha256(b"nobody").hexdigest()

KeyId = Annotated[str, Field(pattern=rf"^[0-9A-Za-z]{{{_ID_LENGTH}}}$")]


class KeyRecord(BaseModel):
    """What is kept of a key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: KeyId
    name: str = Field(min_length=1, max_length=80)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created_at: AwareDatetime


class AccessFile(BaseModel):
    """What stands in ``access.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[KeyRecord, ...]


def create_admin_key(home: Path, *, name: str = "admin") -> str:
    """Make a key, store its hash, and give it back: the only time it is seen.

    Parameters
    ----------
    home
        The folder of everything the platform writes.
    name
        What the key is for.

    Raises
    ------
    ConfigError
        ``access.json`` stands there and cannot be understood.
    """
    path = home / FILE
    held = _read(path).keys if path.exists() else ()
    key_id = "".join(secrets.choice(_DIGITS) for _ in range(_ID_LENGTH))
    secret = _base62(int.from_bytes(secrets.token_bytes(_SECRET_BYTES)), _SECRET_LENGTH)
    body = f"sep_live_{key_id}_{secret}"
    key = body + _check_digits(body)
    record = KeyRecord(id=key_id, name=name, sha256=_hash(key), created_at=clock.now())
    content = AccessFile(keys=(*held, record)).model_dump_json(indent=1) + "\n"
    replace_file(path, content.encode(), mode=0o600)
    return key


def has_keys(home: Path) -> bool:
    """Say whether any key was made yet.

    Raises
    ------
    ConfigError
        ``access.json`` stands there and cannot be understood.
    """
    path = home / FILE
    return path.exists() and bool(_read(path).keys)


class KeyStore:
    """The keys that open, kept in step with ``access.json``.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: dict[str, KeyRecord] = {}
        self._state: tuple[int, int, int] | None = None
        self._next_look_s = 0.0

    def identify(self, key: str) -> Caller:
        """Tell who holds a key.

        Raises
        ------
        AccessDenied
            The key is empty, is no key of ours, or opens nothing.
        """
        self._refresh()
        if not key:
            raise AccessDenied("No API key was sent.")
        form = _KEY.fullmatch(key)
        if form is None:
            raise AccessDenied("What was sent is not an API key of Septet (sep_live_...).")
        if not hmac.compare_digest(_check_digits(key[:-_CHECK_LENGTH]), key[-_CHECK_LENGTH:]):
            raise AccessDenied("The API key is mistyped or cut off: its last six signs do not fit.")
        record = self._records.get(form[1])
        expected = record.sha256 if record is not None else _NOBODY
        same = hmac.compare_digest(expected, _hash(key))
        if record is None or not same:
            raise AccessDenied("The API key is not known here.")
        return Caller(key_id=record.id, name=record.name)

    def _refresh(self) -> None:
        """Read the file again when it changed; looked at once a second at most."""
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + RECHECK_SECONDS
        try:
            status = self._path.stat()
        except OSError:
            return
        state = (status.st_mtime_ns, status.st_size, status.st_ino)
        if state == self._state:
            return
        self._state = state
        try:
            self._records = {record.id: record for record in _read(self._path).keys}
        except ConfigError as error:
            get_logger(__name__).error("keys_unreadable", reason=error.detail)


def _read(path: Path) -> AccessFile:
    """Read ``access.json``."""
    try:
        return AccessFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"it cannot be read ({error.strerror})", file=str(path)) from error
    except ValidationError as error:
        raise ConfigError(
            "it does not hold keys; move it away and run `septet up`, which makes a new one",
            file=str(path),
        ) from error


def _hash(key: str) -> str:
    """SHA-256 of a key; plain, because 256 random bits need no stretching."""
    return hashlib.sha256(key.encode()).hexdigest()


def _check_digits(body: str) -> str:
    """CRC-32 of what stands before it, in base 62."""
    return _base62(zlib.crc32(body.encode()), _CHECK_LENGTH)


def _base62(number: int, length: int) -> str:
    """Write a number in base 62, padded."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
