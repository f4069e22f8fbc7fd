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

from core.cells import NULL_WORDS_OF_NUMBERS, null_words, parse_boolean
from core.config import Feature
from core.contract import describe

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
# A 64-bit float holds every integer up to here; the contract of a row refuses more as well.
_LARGEST_INTEGER = 2.0**53
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
    note
        Something worth knowing that is no fault.
    """

    values: npt.NDArray[Any]
    faults: tuple[Fault, ...]
    note: str | None = None


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
    null = nulls(column, null_words(feature))
    values: npt.NDArray[Any]
    if feature.type == "category":
        values, unreadable = texts_of(column, null), np.zeros(len(column), dtype=np.bool_)
    elif feature.type == "boolean":
        values, unreadable = _booleans(column)
    else:
        values, unreadable = numbers_of(column, null)
    if feature.type != "category":
        values[null] = np.nan
    faults = [Fault(unreadable & ~null, f"is no {feature.type}", allowed)]
    if not feature.nullable:
        faults.append(Fault(null, "is null", allowed))
    known = ~null & ~unreadable
    if feature.type in {"number", "integer"}:
        faults += _limits(values, feature, known, allowed)
    elif feature.categories is not None:
        levels = frozenset(feature.categories)
        named = looked_up(column, lambda text: text.strip() in levels, np.False_)
        faults.append(Fault(known & ~named, "is an unknown category", allowed))
    return Coerced(values, only_met(faults))


def coerce_texts(column: pa.ChunkedArray) -> Coerced:
    """Turn a key column into texts; null is a fault."""
    null = nulls(column, null_words(None))
    fault = Fault(null, "is null", "every row needs this key")
    return Coerced(texts_of(column, null), only_met([fault]))


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
    null = nulls(column, NULL_WORDS_OF_NUMBERS)
    allowed = f"a time like {form}" if form else "a time like 2026-01-31 or 2026-01-31T10:00:00Z"
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        # Nanoseconds may be cut; Arrow keeps a zoned time as UTC.
        plain = pc.cast(column, pa.timestamp("us"), safe=False)
        values = plain.to_numpy().astype("datetime64[us]")
    else:
        values = looked_up(column, lambda text: _parse_time(text, form), np.datetime64("NaT", "us"))
    values[null] = np.datetime64("NaT", "us")
    unreadable = np.isnat(values) & ~null
    future = values > np.datetime64(latest.replace(tzinfo=None), "us")
    return Coerced(
        values,
        only_met(
            [
                Fault(null, "is null", allowed),
                Fault(unreadable, "is no time", allowed),
                Fault(future, "lies in the future", "a time up to now is allowed"),
            ]
        ),
    )


def shown(column: pa.ChunkedArray, row: int) -> str:
    """Give a cell as a person reads it, cut to a line."""
    text = str(column[row].as_py())
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004 - width of a line


def only_met(faults: list[Fault]) -> tuple[Fault, ...]:
    """Give the faults that some cell has."""
    return tuple(fault for fault in faults if fault.mask.any())


def nulls(column: pa.ChunkedArray, words: frozenset[str]) -> Mask:
    """Tell which cells hold nothing: null, NaN, or one of the words, spaces around it aside."""
    if not is_text(column.type):
        return _mask(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type)))
    text = pc.utf8_trim_whitespace(pc.cast(column, pa.large_string()))
    empty = pc.is_in(text, value_set=pa.array(sorted(words), pa.large_string()))
    return _mask(pc.is_null(column)) | _mask(empty)


def numbers_of(column: pa.ChunkedArray, null: Mask) -> tuple[npt.NDArray[np.float64], Mask]:
    """Give float64 values, and which cells are no number; NaN stands in those and for null."""
    nothing = np.zeros(len(column), dtype=np.bool_)
    if pa.types.is_boolean(column.type) or pa.types.is_temporal(column.type):
        return np.full(len(column), np.nan), ~nothing
    if not is_text(column.type):
        # A large integer loses digits here; integers beyond 2^53 are named as faults later.
        values = pc.cast(column, pa.float64(), safe=False).to_numpy()
        return values.astype(np.float64), nothing
    text = pc.if_else(pa.array(null), None, pc.cast(column, pa.large_string()))
    try:
        values = pc.cast(text, pa.float64()).to_numpy().astype(np.float64)
        if np.isfinite(values[~null]).all():
            return values, nothing
    except pa.ArrowInvalid:
        pass  # some cell is no number, or has spaces around it: each one is looked at below
    text = pc.utf8_trim_whitespace(text)
    readable = pc.fill_null(pc.match_substring_regex(text, _NUMBER), fill_value=False)
    values = pc.cast(pc.if_else(readable, text, None), pa.float64()).to_numpy()
    return values.astype(np.float64), ~_mask(readable)


def texts_of(column: pa.ChunkedArray, null: Mask) -> npt.NDArray[np.object_]:
    """Give texts, and None where null; each different text stands in memory once."""
    values = looked_up(column, lambda text: text.strip(), None)
    values[null] = None
    return values


def looked_up(
    column: pa.ChunkedArray, parse: Callable[[str], Any], missing: Any
) -> npt.NDArray[Any]:
    """Parse each different cell once, and put the results in the places of the cells."""
    encoded = pc.cast(column, pa.large_string()).combine_chunks().dictionary_encode()
    parsed = [parse(text) for text in encoded.dictionary.to_pylist()]
    kind: Any = object if missing is None else np.asarray(missing).dtype
    lookup = np.empty(len(parsed) + 1, dtype=kind)
    for place, value in enumerate(parsed):
        lookup[place] = missing if value is None else value
    lookup[-1] = missing
    places = pc.fill_null(encoded.indices, len(parsed)).to_numpy(zero_copy_only=False)
    result: npt.NDArray[Any] = lookup[places]
    return result


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column holds texts."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(kind) for check in texts)


def _booleans(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.float64], Mask]:
    values = looked_up(column, parse_boolean, np.float64(np.nan))
    return values, np.isnan(values)


def _parse_time(text: str, form: str | None) -> np.datetime64 | None:
    try:
        plain = text.strip()
        time = datetime.strptime(plain, form) if form else datetime.fromisoformat(plain)  # noqa: DTZ007
        if time.tzinfo is not None:
            time = time.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return np.datetime64(time, "us")


def _limits(values: npt.NDArray[Any], feature: Feature, known: Mask, allowed: str) -> list[Fault]:
    """Name the values that the contract would refuse."""
    infinite = np.isinf(values)
    known = known & ~infinite
    faults = [Fault(infinite, "is infinite", allowed)]
    if feature.type == "integer":
        whole = np.trunc(values) == values
        faults.append(Fault(known & ~whole, "is no whole number", allowed))
        large = np.abs(values) > _LARGEST_INTEGER
        faults.append(Fault(known & large, "has more digits than can be kept", allowed))
    if feature.minimum is not None:
        faults.append(Fault(known & (values < feature.minimum), "is below the minimum", allowed))
    if feature.maximum is not None:
        faults.append(Fault(known & (values > feature.maximum), "is above the maximum", allowed))
    return faults


def _mask(array: pa.ChunkedArray) -> Mask:
    return np.array(array.to_numpy(), dtype=np.bool_)
