"""An isolation forest, walked by LightGBM's library."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bentos.booster import Booster
from core.encoding import FloatArray


class Forest:
    """Trees that isolate rows by random cuts (Liu, Ting & Zhou 2008).

    The score is ``2 ** (-mean path / norm)``, 0 to 1: high for a row that few cuts isolate. The
    paths stand in the leaves of a LightGBM model whose raw score is the exponent: its library walks
    two hundred trees in 20 to 26 microseconds, where numpy took 88.

    Parameters
    ----------
    text
        The model as LightGBM's text format.
    origin
        Where the text comes from, for the error.
    """

    def __init__(self, text: str, *, origin: str = "memory") -> None:
        self._trees = Booster(text, origin=origin)

    @classmethod
    def load(cls, path: Path) -> Forest:
        """Load a model file."""
        return cls(path.read_text(encoding="utf-8"), origin=str(path))

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
        score: FloatArray = np.exp2(self._trees.raw(matrix))
        return score
