"""Rows to columns, and columns to the matrix that a model reads.

Training and serving go through the same two steps, so that what was measured is what is served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from core.config import Feature

FloatArray = npt.NDArray[np.float64]
ObjectArray = npt.NDArray[np.object_]
Columns = Mapping[str, npt.NDArray[Any]]


def rows_to_columns(
    rows: Sequence[Mapping[str, object]], features: Mapping[str, Feature]
) -> dict[str, npt.NDArray[Any]]:
    """Turn validated rows into one array a feature.

    Parameters
    ----------
    rows
        ``n`` mappings that keep to the contract; an absent nullable feature counts as null.
    features
        The config's features.

    Returns
    -------
    dict
        Arrays of shape ``(n,)``: float64 with NaN for null, or objects (``str`` or ``None``) for
        a category.
    """
    columns: dict[str, npt.NDArray[Any]] = {}
    numbers = [name for name, feature in features.items() if feature.type != "category"]
    # One conversion for all numbers costs a tenth of one a column. A None becomes NaN by numpy's
    # own conversion of an object to float64.
    table = np.array([[row.get(name) for name in numbers] for row in rows], dtype=np.float64)
    table = np.ascontiguousarray(table.reshape(len(rows), len(numbers)).T)
    by_name = dict(zip(numbers, table, strict=True))
    for name in features:
        column = by_name.get(name)
        if column is None:
            column = np.empty(len(rows), dtype=object)
            column[:] = [row.get(name) for row in rows]
        columns[name] = column
    return columns


class Encoder:
    """Turns columns into a float64 matrix, one column a feature, in the config's order.

    A category becomes the code of its level; null and a level never seen in training become NaN,
    which LightGBM reads as missing.

    Parameters
    ----------
    names
        The features, in order.
    levels
        The levels of each category, by feature; a code is a position in it.
    """

    def __init__(self, names: Sequence[str], levels: Mapping[str, Sequence[str]]) -> None:
        self.names = tuple(names)
        self.levels = {name: tuple(levels[name]) for name in self.names if name in levels}
        self.categorical = tuple(i for i, n in enumerate(self.names) if n in self.levels)
        self._codes: dict[str, dict[str | None, float]] = {
            name: {level: float(code) for code, level in enumerate(known)}
            for name, known in self.levels.items()
        }

    @classmethod
    def fit(cls, features: Mapping[str, Feature], columns: Columns) -> Encoder:
        """Learn the levels of the open categories, sorted; closed ones keep the config's order.

        Parameters
        ----------
        features
            The config's features.
        columns
            Training columns, each of shape ``(n,)``.
        """
        levels: dict[str, Sequence[str]] = {}
        for name, feature in features.items():
            if feature.type == "category":
                seen = {value for value in columns[name] if value is not None}
                levels[name] = feature.categories or sorted(seen)
        return cls(tuple(features), levels)

    def encode(self, columns: Columns) -> FloatArray:
        """Build the matrix.

        Parameters
        ----------
        columns
            One array of shape ``(n,)`` a feature.

        Returns
        -------
        ndarray of shape (n, p)
            In C order; NaN for null and for unseen levels.
        """
        count = len(columns[self.names[0]])
        matrix = np.empty((count, len(self.names)), dtype=np.float64)
        for position, name in enumerate(self.names):
            codes = self._codes.get(name)
            if codes is None:
                matrix[:, position] = columns[name]
            else:
                find = codes.get
                matrix[:, position] = [find(value, np.nan) for value in columns[name]]
        return matrix

    def to_json(self) -> dict[str, Any]:
        """Give the plain data from which ``from_json`` builds the same encoder."""
        return {
            "names": list(self.names),
            "levels": {name: list(known) for name, known in self.levels.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Encoder:
        """Build the encoder that ``to_json`` described."""
        return cls(data["names"], data["levels"])
