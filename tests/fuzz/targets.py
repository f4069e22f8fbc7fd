"""What must hold for any bytes: one function each, that raises when it does not.

Each compares what is served with a plain second way to the same answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from ipaddress import ip_address, ip_network
from types import SimpleNamespace
from typing import Any

from bentos import tabular
from bentos.answering import read_rows
from bentos.strict_json import read_json
from core.config import ModelConfig
from core.contract import Contract
from core.refusals import JsonInvalid
from core.table import CloserLook, Form
from services.access.origin import Origin

DEPTH = 16
PROXIES = ("10.0.0.0/8", "fd00::/8")
PEER = "10.0.0.1"
CONFIG: dict[str, Any] = {
    "model": "churn",
    "title": "Fuzzed",
    "description": "Short rows, of every type of feature.",
    "source": {"kind": "csv", "path": "fuzzed.csv"},
    "entity": "e",
    "as_of": "t",
    "target": {"column": "y", "description": "Anything."},
    "features": {
        "i": {"type": "integer", "description": "An integer", "minimum": -5, "example": 1},
        "n": {"type": "number", "description": "A number", "nullable": True},
        "b": {"type": "boolean", "description": "A boolean"},
        "c": {"type": "category", "description": "A level", "categories": ["x", "y:"]},
        "o": {"type": "category", "description": "Any level", "nullable": True},
    },
    "split": {"rule": "time", "test_share": 0.2},
    "gate": {"metric": "auc_score"},
}


class Refused(Exception):
    """The plain reader refuses a body."""


def check_json(data: bytes) -> None:
    """Strict JSON is what Python's own reader takes, less what the RFC or a float forbids."""
    try:
        expected = read_plainly(data)
    except (Refused, ValueError, RecursionError):
        try:
            found = read_json(data, max_depth=DEPTH)
        except JsonInvalid:
            return
        raise AssertionError(f"{data!r} is taken for {found!r}") from None
    found = read_json(data, max_depth=DEPTH)
    assert same(found, expected), (found, expected)


def check_batch(data: bytes) -> None:
    """What the quick way takes for a table, the row way takes, with equal values."""
    for body in (data, b'{"rows": [' + data + b"]}"):
        _check_body(body)


def _check_body(data: bytes) -> None:
    form, contract = form_and_contract()
    try:
        table = tabular.read_body(form, data)
    except CloserLook:
        return
    rows = read_rows(read_json(data, max_depth=DEPTH))
    release: Any = SimpleNamespace(contract=contract)
    again = tabular.rows_of(table, release)
    assert table.size == len(rows) == len(again)
    for sent, kept in zip(rows, again, strict=True):
        expected, found = contract.parse_row(sent), contract.parse_row(kept)
        assert same(found, expected), (found, expected)


def check_address(data: bytes) -> None:
    """The address is the last one that no proxy of ours bears, whatever stands before it."""
    found = address_of(data)
    assert found == address_plainly(data), data
    ip_address(found)
    if not is_proxy(found):
        for forged in (b"", b"1.2.3.4", b"10.9.9.9", b",", b"\xff", b"::1"):
            assert address_of(forged + b"," + data) == found


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "json": check_json,
    "batch": check_batch,
    "address": check_address,
}


def read_plainly(data: bytes) -> object:
    """Read JSON by Python's reader, and refuse what strict JSON forbids."""
    text = data.decode("utf-8")
    value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object_of)
    _walk(value, DEPTH)
    return value


def _no_constant(name: str) -> object:
    raise Refused(name)


def _object_of(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("a name came twice")
    return found


def _walk(value: object, depth: int) -> None:
    if isinstance(value, str):
        value.encode("utf-8")  # half of a surrogate pair cannot be
    elif isinstance(value, int | float):
        try:
            finite = math.isfinite(value)
        except OverflowError:
            finite = False
        if not finite:
            raise Refused("a number beyond a 64-bit float")
    elif isinstance(value, dict | list):
        if depth == 0:
            raise Refused("too deep")
        for name in value if isinstance(value, dict) else ():
            _walk(name, depth)
        for inner in value.values() if isinstance(value, dict) else value:
            _walk(inner, depth - 1)


def same(one: object, other: object) -> bool:
    """Compare plain data by value and by type: 1, 1.0 and true are three values."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one == other and one.utcoffset() == other.utcoffset()
    return type(one) is type(other) and one == other


@cache
def form_and_contract() -> tuple[Form, Contract]:
    """Build them once; a table of one row is looked at as well."""
    contract = Contract(ModelConfig.model_validate(CONFIG))
    form = Form.of(contract)
    assert form is not None
    setattr(tabular, "_SMALL", 1)  # noqa: B010 - a private constant, lowered for this process
    return form, contract


@cache
def _origin() -> Origin:
    return Origin(trusted_proxies=PROXIES)


def address_of(header: bytes) -> str:
    """Ask for the address of a caller behind a proxy of ours."""
    return _origin().address({"client": (PEER, 1)}, {b"x-forwarded-for": header})


def is_proxy(text: str) -> bool:
    """Tell whether an address is a proxy of ours."""
    found = ip_address(text)
    return any(found in ip_network(network) for network in PROXIES)


def address_plainly(header: bytes) -> str:
    """Walk the header from its end, a hop at a time."""
    last = PEER
    hops = header.decode("latin-1").split(",")
    while hops:
        text = hops.pop().strip().strip("[]").partition("%")[0]
        try:
            hop = ip_address(text)
        except ValueError:
            return last
        mapped = getattr(hop, "ipv4_mapped", None)
        last = str(mapped or hop)
        if not is_proxy(last):
            return last
    return last
