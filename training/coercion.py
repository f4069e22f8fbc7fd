"""Turns the cells of a column into values of its type, and names those that cannot be turned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.config import Feature, Target
from core.contract import describe

_TRUE = frozenset({"true", "yes", "y", "t", "1", "1.0"})
_FALSE = frozenset({"false", "no", "n", "f", "0", "0.0"})
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fault:
    """What is wrong with some cells of a column.

    Parameters
    ----------
    mask
        Shape ``(n,)``: true for each bad cell.
    reason
        What is wrong with them.
    allowed
        What would be accepted.
    """

    mask: Mask
    reason: str
    allowed: str


@dataclass(frozen=True)
class Coerced:
    """A column in its type, with its faults.

    Parameters
    ----------
    values
        Shape ``(n,)``; what stands in a bad cell means nothing.
    faults
        One for each kind of fault met.
    """

    values: npt.NDArray[Any]
    faults: tuple[Fault, ...]


def coerce_feature(column: pa.ChunkedArray, feature: Feature) -> Coerced:
    """Turn a column into a feature's type.

    Parameters
    ----------
    column
        ``n`` cells, texts or typed.
    feature
        What the config says of it.

    Returns
    -------
    Coerced
        float64 with NaN for null, or objects for a category.
    """
    allowed = describe(feature)
    null = _mask(pc.is_null(column))
    values: npt.NDArray[Any]
    if feature.type == "category":
        values, unreadable = _categories(column), np.zeros(len(column), dtype=np.bool_)
    elif feature.type == "boolean":
        values, unreadable = _booleans(column)
    else:
        values, unreadable = _numbers(column)
    faults = [Fault(unreadable & ~null, f"is no {feature.type}", allowed)]
    if not feature.nullable:
        faults.append(Fault(null, "is null", allowed))
    known = ~null & ~unreadable
    faults += _limits(values, feature, known, allowed)
    return Coerced(values, tuple(fault for fault in faults if fault.mask.any()))


def coerce_target(column: pa.ChunkedArray, target: Target) -> Coerced:
    """Turn the target into float64: 1 and 0 where it has a positive value, else a number.

    A cell that is null, or holds the value that means unknown, becomes NaN.
    """
    null = _mask(pc.is_null(column))
    if target.unknown is not None:
        null |= _equals(column, target.unknown)
    if target.positive is not None:
        values = _equals(column, target.positive).astype(np.float64)
        unreadable = np.zeros(len(column), dtype=np.bool_)
    else:
        values, unreadable = _numbers(column)
    values[null] = np.nan
    allowed = "a number is allowed" + (", or null" if target.nullable else "")
    faults = [Fault(unreadable & ~null, "is no number", allowed)]
    faults.append(Fault(np.isinf(values), "is infinite", allowed))
    if not target.nullable:
        faults.append(Fault(null, "is null", "every row needs its outcome"))
    return Coerced(values, tuple(fault for fault in faults if fault.mask.any()))


def coerce_texts(column: pa.ChunkedArray) -> Coerced:
    """Turn a key column into texts; null is a fault."""
    null = _mask(pc.is_null(column))
    fault = Fault(null, "is null", "every row needs this key")
    return Coerced(_categories(column), (fault,) if null.any() else ())


def coerce_times(column: pa.ChunkedArray, *, form: str | None, latest: datetime) -> Coerced:
    """Turn the as-of column into ``datetime64[us]``, UTC; a time without zone counts as UTC.

    Parameters
    ----------
    column
        ``n`` cells.
    form
        strptime format; ISO 8601 without it.
    latest
        No time may be after this one.
    """
    null = _mask(pc.is_null(column))
    allowed = f"a time like {form}" if form else "a time like 2026-01-31 or 2026-01-31T10:00:00Z"
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        values = pc.cast(column, pa.timestamp("us")).to_numpy().astype("datetime64[us]")
    else:
        values = _looked_up(
            column, lambda text: _parse_time(text, form), np.datetime64("NaT", "us")
        )
    unreadable = np.isnat(values) & ~null
    future = values > np.datetime64(latest.replace(tzinfo=None), "us")
    faults = (
        Fault(null, "is null", allowed),
        Fault(unreadable, "is no time", allowed),
        Fault(future, "lies in the future", "a time up to now is allowed"),
    )
    return Coerced(values, tuple(fault for fault in faults if fault.mask.any()))


def shown(column: pa.ChunkedArray, row: int) -> str:
    """Give a cell as a person reads it, cut to a line."""
    text = str(column[row].as_py())
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004 - width of a line


def _numbers(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.float64], Mask]:
    if pa.types.is_boolean(column.type) or _is_temporal(column.type):
        return np.full(len(column), np.nan), np.ones(len(column), dtype=np.bool_)
    if not _is_text(column.type):
        values = pc.cast(column, pa.float64()).to_numpy().astype(np.float64)
        return values, np.isinf(values)
    text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
    readable = pc.match_substring_regex(text, _NUMBER)
    values = pc.cast(pc.if_else(readable, text, None), pa.float64()).to_numpy()
    unreadable = _mask(pc.fill_null(pc.invert(readable), fill_value=False))
    return values.astype(np.float64), unreadable | np.isinf(values)


def _booleans(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.float64], Mask]:
    values = _looked_up(column, _parse_boolean, np.float64(np.nan))
    return values, np.isnan(values)


def _categories(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """Give texts; each different one stands in memory once."""
    return _looked_up(column, lambda text: text.strip(), None)


def _looked_up(
    column: pa.ChunkedArray, parse: Callable[[str], Any], missing: Any
) -> npt.NDArray[Any]:
    """Parse each different cell once, and put the results in the places of the cells."""
    encoded = pc.cast(column, pa.string()).combine_chunks().dictionary_encode()
    parsed = [parse(text) for text in encoded.dictionary.to_pylist()]
    kind: Any = object if missing is None else np.asarray(missing).dtype
    lookup = np.empty(len(parsed) + 1, dtype=kind)
    for place, value in enumerate(parsed):
        lookup[place] = missing if value is None else value
    lookup[-1] = missing
    places = pc.fill_null(encoded.indices, len(parsed)).to_numpy(zero_copy_only=False)
    result: npt.NDArray[Any] = lookup[places]
    return result


def _parse_boolean(text: str) -> float | None:
    plain = text.strip().lower()
    return 1.0 if plain in _TRUE else 0.0 if plain in _FALSE else None


def _parse_time(text: str, form: str | None) -> np.datetime64 | None:
    try:
        plain = text.strip()
        time = datetime.strptime(plain, form) if form else datetime.fromisoformat(plain)  # noqa: DTZ007
    except ValueError:
        return None
    if time.tzinfo is not None:
        time = time.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(time, "us")


def _limits(values: npt.NDArray[Any], feature: Feature, known: Mask, allowed: str) -> list[Fault]:
    """Name the values that the contract would refuse."""
    if feature.type == "category":
        if feature.categories is None:
            return []
        levels = set(feature.categories)
        foreign = np.array([value not in levels for value in values], dtype=np.bool_)
        return [Fault(foreign & known, "is an unknown category", allowed)]
    faults = []
    if feature.type == "integer":
        faults.append(Fault(known & (values % 1 != 0), "is no whole number", allowed))
    if feature.minimum is not None:
        faults.append(Fault(known & (values < feature.minimum), "is below the minimum", allowed))
    if feature.maximum is not None:
        faults.append(Fault(known & (values > feature.maximum), "is above the maximum", allowed))
    return faults


def _equals(column: pa.ChunkedArray, value: object) -> Mask:
    """Compare as texts, so that 1, "1" and 1.0 are one, and true is True."""
    wanted = _plain(str(value))
    return np.array([_plain(text) == wanted for text in _categories(column)], dtype=np.bool_)


def _plain(text: str | None) -> str | None:
    return None if text is None else text.strip().lower().removesuffix(".0")


def _mask(array: pa.ChunkedArray) -> Mask:
    return np.asarray(array.to_numpy(), dtype=np.bool_)


def _is_text(kind: pa.DataType) -> bool:
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)
    return any(check(kind) for check in texts)


def _is_temporal(kind: pa.DataType) -> bool:
    return bool(pa.types.is_temporal(kind))
