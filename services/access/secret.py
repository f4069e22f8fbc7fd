"""The text of an API key: made, recognised, hashed.

A key reads ``sep_live_<id>_<secret><check>``: a prefix by which scanners find a leaked key, a
public id by which it is looked up, 32 random bytes in base 62, and a CRC-32 by which a mistyped
key is told from a wrong one. Only the SHA-256 of a key is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib

PREFIX = "sep_live_"
ID_LENGTH = 12
ID_START, ID_END = len(PREFIX), len(PREFIX) + ID_LENGTH

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_BYTES = 32
_SECRET_LENGTH = 43  # base-62 digits that hold 32 bytes
_CHECK_LENGTH = 6  # base-62 digits that hold 32 bits
KEY_LENGTH = ID_END + 1 + _SECRET_LENGTH + _CHECK_LENGTH
_ID = re.compile(rf"[0-9A-Za-z]{{{ID_LENGTH}}}")
_KEY = re.compile(
    rf"{PREFIX}([0-9A-Za-z]{{{ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH + _CHECK_LENGTH}}}"
)


def new_id() -> str:
    """Make a public id."""
    return "".join(secrets.choice(_DIGITS) for _ in range(ID_LENGTH))


def is_id(text: str) -> bool:
    """Say whether a text has the form of a public id."""
    return _ID.fullmatch(text) is not None


def new_key(key_id: str) -> str:
    """Make a key with a new secret.

    Parameters
    ----------
    key_id
        Its public id.
    """
    secret = _base62(int.from_bytes(secrets.token_bytes(_SECRET_BYTES)), _SECRET_LENGTH)
    body = f"{PREFIX}{key_id}_{secret}"
    return body + _check_digits(body)


def digest_of(key: str) -> bytes:
    """SHA-256 of a key; plain, because 256 random bits need no stretching."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def fault_of(key: str) -> str | None:
    """Say what is wrong with the form of a text that should be a key; nothing when it is sound.

    Parameters
    ----------
    key
        As it was sent; it may be anything.
    """
    if _KEY.fullmatch(key) is None:
        return "What was sent is not an API key of Septet (sep_live_...)."
    if not hmac.compare_digest(_check_digits(key[:-_CHECK_LENGTH]), key[-_CHECK_LENGTH:]):
        return "The API key is mistyped or cut off: its last six signs do not fit."
    return None


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
