"""Turns the target's cells into numbers: what the model is to learn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.cells import NULL_WORDS_OF_NUMBERS, parse_boolean
from core.config import Target
from training.coercion import Coerced, Fault, Mask, looked_up, nulls, numbers_of, only_met, texts_of

_MOST_NAMED = 4


def coerce_target(column: pa.ChunkedArray, target: Target) -> Coerced:
    """Turn the target into float64: 1 and 0 where it has a positive value, else a number.

    A cell that is null, or holds the value that means unknown, becomes NaN. Where the positive
    value is a plain yes or no (``true``, ``no``, ``1`` …), every other word than these is a fault;
    where it is a name of its own, all other names count as 0, and a note tells which they are.

    Parameters
    ----------
    column
        ``n`` cells, texts or typed.
    target
        What the config says of it.
    """
    kept = {_plain(str(v)) for v in (target.positive, target.unknown) if v is not None}
    words = frozenset(word for word in NULL_WORDS_OF_NUMBERS if _plain(word) not in kept)
    null = nulls(column, words)
    if target.unknown is not None:
        null |= same_value(texts_of(column, null), target.unknown)
    note = None
    if target.positive is None:
        values, faults = _amounts(column, null)
    elif parse_boolean(str(target.positive)) is None:
        values, note = _named(column, null, target)
        faults = []
    else:
        values, faults = _yes_or_no(column, null, target)
    values[null] = np.nan
    if not target.nullable:
        faults.append(Fault(null, "is null", "every row needs its outcome"))
    return Coerced(values, only_met(faults), note)


def _amounts(column: pa.ChunkedArray, null: Mask) -> tuple[npt.NDArray[np.float64], list[Fault]]:
    if pa.types.is_boolean(column.type):
        values, unreadable = looked_up(column, parse_boolean, np.float64(np.nan)), null
    else:
        values, unreadable = numbers_of(column, null)
    allowed = "a number is allowed; for names such as yes and no set target.positive"
    return values, [
        Fault(unreadable & ~null, "is no number", allowed),
        Fault(np.isinf(values) & ~null, "is infinite", allowed),
    ]


def _yes_or_no(
    column: pa.ChunkedArray, null: Mask, target: Target
) -> tuple[npt.NDArray[np.float64], list[Fault]]:
    found = looked_up(column, parse_boolean, np.float64(np.nan))
    fault = Fault(
        np.isnan(found) & ~null, "is neither yes nor no", f"{target.positive} or its opposite"
    )
    wanted = float(parse_boolean(str(target.positive)) or False)
    return (found == wanted).astype(np.float64), [fault]


def _named(
    column: pa.ChunkedArray, null: Mask, target: Target
) -> tuple[npt.NDArray[np.float64], str | None]:
    texts = texts_of(column, null)
    positive = same_value(texts, target.positive)
    others = Counter(texts[~positive & ~null].tolist()).most_common()
    note = None
    if len(others) > 1:
        named = ", ".join(f"{name} ({count:,})" for name, count in others[:_MOST_NAMED])
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        note = f"in {target.column}, all of these mean not {target.positive}: {named}{more}"
    return positive.astype(np.float64), note


def same_value(values: npt.NDArray[np.object_], wanted: object) -> Mask:
    """Compare as texts, so that 1, "1" and 1.0 are one, and true is True."""
    plain = _plain(str(wanted))
    known = {value: _plain(value) == plain for value in set(values) if value is not None}
    return np.array([known.get(value, False) for value in values], dtype=np.bool_)


def _plain(text: str) -> str:
    return text.strip().lower().removesuffix(".0")
