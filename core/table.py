"""A batch as columns: checked a column at a time, when nothing in it needs a closer look.

What is found wrong here is not told here: the batch is then read row by row through the contract,
which names every fault. So both ways accept the same, and only one of them explains.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import itemgetter, methodcaller
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from core.config import Feature, ModelConfig
from core.contract import TEXT_LENGTH, Contract
from core.encoding import Columns
from core.task import Time

_NONE = type(None)
_TIMES: TypeAdapter[list[datetime | None]] = TypeAdapter(list[Time | None])
_COLONS = methodcaller("count", ":")
_LARGEST_INTEGER = 2**53
_LEAST_NAMES = 2


Cells = Sequence[Any] | npt.NDArray[np.float64]


class CloserLook(Exception):
    """Something in the batch must be read row by row."""


@dataclass(frozen=True)
class Table:
    """``n`` rows that keep to the contract, as columns.

    Parameters
    ----------
    size
        ``n``.
    columns
        One array of shape ``(n,)`` a feature, as ``rows_to_columns`` gives them.
    entities
        Whom each row is about; nothing when none was sent.
    times
        As of when each row holds, as text; nothing when none was sent.
    """

    size: int
    columns: Columns
    entities: Sequence[str | None] | None = None
    times: Sequence[str | None] | None = None


@dataclass(frozen=True)
class Bounds:
    """Between what the numbers of a batch must lie, looked at all together.

    Parameters
    ----------
    names
        Of ``k`` features that are numbers.
    lows, highs
        Shape ``(k,)``.
    nullable
        Shape ``(k,)``; whether NaN stands for null.
    """

    names: Sequence[str]
    lows: npt.NDArray[np.float64]
    highs: npt.NDArray[np.float64]
    nullable: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, features: Mapping[str, Feature]) -> Bounds:
        """Read the bounds of a model's features."""
        numbers = {name: f for name, f in features.items() if f.type != "category"}
        pairs = [_bounds(feature) for feature in numbers.values()]
        return cls(
            tuple(numbers),
            np.array([low for low, _ in pairs]),
            np.array([high for _, high in pairs]),
            np.array([feature.nullable for feature in numbers.values()], dtype=bool),
        )

    def check(self, columns: Columns) -> None:
        """Check the numbers of a batch.

        Raises
        ------
        CloserLook
            One is outside.
        """
        if not self.names:
            return
        values = np.array([columns[name] for name in self.names])
        # NaN passes no comparison: where nulls are, only the rest is looked at.
        within = (self.lows <= values.min(axis=1)) & (values.max(axis=1) <= self.highs)
        if within.all():
            return
        if not self.nullable[~within].all():
            raise CloserLook
        some = values[~within]
        low, high = self.lows[~within, None], self.highs[~within, None]
        if not (np.isnan(some) | ((low <= some) & (some <= high))).all():
            raise CloserLook


def _bounds(feature: Feature) -> tuple[float, float]:
    low = -sys.float_info.max if feature.minimum is None else feature.minimum
    high = sys.float_info.max if feature.maximum is None else feature.maximum
    if feature.type == "integer":
        # From here on a float no longer tells one integer from the next.
        low, high = max(low, 1 - _LARGEST_INTEGER), min(high, _LARGEST_INTEGER - 1)
    return low, high


@dataclass(frozen=True)
class Form:
    """What the columns of a batch must be, made from a contract once.

    Parameters
    ----------
    config
        The model's config.
    features
        The features that a request has.
    needed
        Names of those that may not be null.
    bounds
        Of their numbers.
    """

    config: ModelConfig
    features: Mapping[str, Feature]
    needed: frozenset[str]
    bounds: Bounds

    @classmethod
    def of(cls, contract: Contract) -> Form | None:
        """Build the form of a model's usual question; nothing when rows hold more than features.

        Parameters
        ----------
        contract
            Of the model.
        """
        config = contract.config
        keys = {config.entity, *([config.as_of] if config.as_of else [])}
        if set(contract.row_type.model_fields) != keys | set(config.asked_features):
            return None
        needed = frozenset(n for n, f in config.asked_features.items() if not f.nullable)
        return cls(config, config.asked_features, needed, Bounds.of(config.asked_features))

    @property
    def texts(self) -> list[str]:
        """Names of the texts that a table usually has."""
        levels = [name for name in self.needed if self.features[name].type == "category"]
        return [self.config.entity, *levels]

    def read(self, rows: Sequence[object]) -> tuple[Table, int]:
        """Turn rows, as JSON gave them, into a table.

        Returns
        -------
        tuple of Table and int
            The table, and how many ``:`` its texts hold.

        Raises
        ------
        CloserLook
            Not all rows are plain, of the same fields, and valid.
        """
        plain = [row for row in rows if type(row) is dict]
        if len(plain) != len(rows):
            raise CloserLook
        names = tuple(plain[0])
        # As many members, and all of the first row's names among them: the same names. For no
        # name, or one alone, itemgetter gives no tuple.
        if set(map(len, plain)) != {len(names)} or len(names) < _LEAST_NAMES:
            raise CloserLook
        try:
            cells = list(zip(*map(itemgetter(*names), plain), strict=True))
        except KeyError:
            raise CloserLook from None
        given = dict(zip(names, cells, strict=True))
        texts = sum(
            sum(map(_COLONS, filter(None, column)))
            for column in cells
            if str in (kinds := set(map(type, column))) and kinds <= {str, _NONE}
        )
        return self.check(given, len(rows)), texts

    def check(self, given: Mapping[str, Cells], size: int) -> Table:
        """Check columns of plain values.

        Parameters
        ----------
        given
            Values by name, each of length ``size``.
        size
            Rows.

        Raises
        ------
        CloserLook
            A name is unknown, one is missing, or a value is not valid.
        """
        config = self.config
        keys = {config.entity, config.as_of}
        if not self.needed <= given.keys() or not given.keys() <= self.features.keys() | keys:
            raise CloserLook
        columns = {name: _column(f, given.get(name), size) for name, f in self.features.items()}
        self.bounds.check(columns)
        entities = given.get(config.entity)
        if entities is not None:
            entities = _texts(entities, nullable=True)
        times = given.get(config.as_of) if config.as_of else None
        return Table(size, columns, entities, None if times is None else _times(times))


def _column(feature: Feature, values: Cells | None, size: int) -> npt.NDArray[Any]:
    """Check the values of one feature, and give them as an array."""
    if values is None:
        missing = np.full(size, None, dtype=object)
        return missing if feature.type == "category" else np.full(size, np.nan)
    if isinstance(values, np.ndarray):
        return values
    if feature.type == "category":
        _texts(values, nullable=feature.nullable)
        if feature.categories is not None and not set(values) <= {*feature.categories, None}:
            raise CloserLook
        column = np.empty(size, dtype=object)
        column[:] = values
        return column
    allowed: set[type] = _KINDS[feature.type] | ({_NONE} if feature.nullable else set())
    kinds = set(map(type, values))
    if not kinds <= allowed:
        raise CloserLook
    try:
        # An array of doubles is filled several times sooner than numpy looks at the objects.
        plain = _NONE not in kinds
        return np.frombuffer(array("d", values)) if plain else np.array(values, dtype=np.float64)
    except OverflowError:
        raise CloserLook from None


def _texts(values: Cells, *, nullable: bool) -> Sequence[str | None]:
    if isinstance(values, np.ndarray):
        raise CloserLook
    kinds = set(map(type, values))
    if not kinds <= ({str, _NONE} if nullable else {str}):
        raise CloserLook
    lengths = set(map(len, filter(partial(_is_not, None), values)))
    if lengths and not (min(lengths) >= 1 and max(lengths) <= TEXT_LENGTH):
        raise CloserLook
    return values


def _times(values: Cells) -> list[str | None]:
    try:
        read = _TIMES.validate_python(values)
    except ValidationError:
        raise CloserLook from None
    return [None if time is None else time.isoformat() for time in read]


def _is_not(what: object, value: object) -> bool:
    return value is not what


_KINDS: dict[str, set[type]] = {"number": {int, float}, "integer": {int}, "boolean": {bool}}
