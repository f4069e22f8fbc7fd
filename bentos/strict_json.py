"""Strict JSON (RFC 8259): nothing is guessed, nothing is lost in silence.

Refused with a position: NaN and Infinity, a key twice, bytes that are not UTF-8, lone surrogates,
numbers beyond a 64-bit float, nesting that is too deep, anything after the end.
"""

from __future__ import annotations

import re
import sys
from math import isfinite

import jiter

from core.refusals import JsonInvalid

_LARGEST = sys.float_info.max
_PLACE = re.compile(r" at line (\d+) column (\d+)$")
_SPECIAL = re.compile(rb"-?(NaN|Infinity)")
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_WORDS = {
    "unicode": "Bytes that are not UTF-8",
    "hex escape": "A \\u escape that is broken, or half of a surrogate pair,",
    "out of range": "A number of too many digits",
}
_SHOWN_LENGTH = 160


def read_json(body: bytes, *, max_depth: int) -> object:
    """Parse a body.

    Parameters
    ----------
    body
        The bytes as they were sent.
    max_depth
        Most lists and objects inside each other.

    Returns
    -------
    object
        Plain Python data; every number is finite.

    Raises
    ------
    JsonInvalid
        It is not strict JSON; the message says what stands where.
    """
    try:
        value: object = jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise JsonInvalid(_explain(str(error), body, max_depth)) from None
    _check(value, "", depth_left=max_depth, max_depth=max_depth)
    return value


def _check(value: object, path: str, *, depth_left: int, max_depth: int) -> None:
    """Walk the data for what the parser lets pass: overflowing numbers, too deep nesting."""
    if isinstance(value, float | int):
        if not -_LARGEST <= value <= _LARGEST:
            raise JsonInvalid(f"The number at {path or 'the top'} is beyond a 64-bit float")
        return
    if not isinstance(value, dict | list):
        return
    if depth_left == 0:
        raise JsonInvalid(_too_deep(max_depth))
    named = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in named:
        kind = type(item)
        # Most values end here: no path is built for them, which halves the time.
        if item is None or kind is str or (kind is float and isfinite(item)):
            continue
        inside = f"[{name}]" if isinstance(name, int) else f".{name[:_SHOWN_LENGTH]}"
        _check(item, f"{path}{inside}".lstrip("."), depth_left=depth_left - 1, max_depth=max_depth)


def _too_deep(max_depth: int) -> str:
    return f"Lists and objects are nested deeper than {max_depth} levels"


def _explain(message: str, body: bytes, max_depth: int) -> str:
    """Turn the parser's message into one that names the fault in a user's words."""
    if not body.strip():
        return "The body is empty"
    if body.startswith(_BYTE_ORDER_MARKS):
        return "The body starts with a byte-order mark"
    found = _PLACE.search(message)
    fault = _PLACE.sub("", message)
    if "recursion" in fault:
        return _too_deep(max_depth)
    place = f" at line {found[1]} column {found[2]}" if found else ""
    special = _SPECIAL.match(_rest(body, int(found[1]), int(found[2]))) if found else None
    if special is not None:
        return f"{special[1].decode()} is not JSON{place}"
    return _reworded(fault) + place


def _reworded(fault: str) -> str:
    """Say a fault of the parser in plainer words, where there are any."""
    for sign, words in _WORDS.items():
        if sign in fault:
            return words
    shown = fault if len(fault) <= _SHOWN_LENGTH else fault[:_SHOWN_LENGTH] + "..."
    return f"{shown[:1].upper()}{shown[1:]}"


def _rest(body: bytes, line: int, column: int) -> bytes:
    """Give the few bytes that stand at a position."""
    start = 0
    for _ in range(line - 1):
        start = body.find(b"\n", start) + 1
    at = start + max(column - 1, 0)
    return body[at : at + 12]
