"""An isolation forest from its exported trees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray

IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Forest:
    """Trees that isolate rows by random cuts (Liu, Ting & Zhou 2008).

    The score is ``2 ** (-mean path / norm)``, 0 to 1: high for a row that few cuts isolate.

    Parameters
    ----------
    feature, left, right
        Shape ``(trees * nodes,)``: column that a node cuts, and places of its children; a leaf is
        its own child.
    threshold
        float32, same shape: a value up to it goes left.
    path
        Same shape: length of the path that ends in a leaf.
    roots
        Shape ``(trees,)``: places of the roots.
    depth
        Cuts on the longest path.
    norm
        Path by which lengths are measured.
    """

    feature: IntArray
    left: IntArray
    right: IntArray
    threshold: npt.NDArray[np.float32]
    path: FloatArray
    roots: IntArray
    depth: int
    norm: float

    def score(self, matrix: FloatArray) -> FloatArray:
        """Score rows.

        Parameters
        ----------
        matrix
            Shape ``(n, p)``, finite.

        Returns
        -------
        ndarray of shape (n,)
            From 0 to 1, high for an unusual row.
        """
        # Cut as they were grown: on 32-bit floats.
        values = np.ascontiguousarray(matrix, dtype=np.float32)
        rows = np.arange(len(values))[:, None]
        places = np.broadcast_to(self.roots, (len(values), len(self.roots)))
        for _ in range(self.depth):
            goes_left = values[rows, self.feature[places]] <= self.threshold[places]
            places = np.where(goes_left, self.left[places], self.right[places])
        mean = self.path[places].sum(axis=1) / len(self.roots)
        score: FloatArray = np.exp2(-mean / self.norm)
        return score

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give the arrays from which ``from_arrays`` builds the same forest."""
        return {
            "feature": self.feature, "left": self.left, "right": self.right,
            "threshold": self.threshold, "path": self.path, "roots": self.roots,
            "size": np.array([float(self.depth), self.norm]),
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Forest:
        """Build the forest that ``to_arrays`` described."""
        depth, norm = arrays["size"].tolist()
        return cls(
            feature=arrays["feature"], left=arrays["left"], right=arrays["right"],
            threshold=arrays["threshold"], path=arrays["path"], roots=arrays["roots"],
            depth=int(depth), norm=norm,
        )  # fmt: skip
