"""LightGBM's own library, called without its Python package.

``import lightgbm`` drags in pandas, scikit-learn and scipy where they are installed; the shared
library alone gives the same numbers, and one row sooner.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import numpy as np

from core.encoding import FloatArray
from core.errors import ArtifactCorrupt, LibraryMissing

_FLOAT64 = 1
_RAW_SCORE = 1
_CONTRIBUTIONS = 3
_PARAMETERS = b"num_threads=1"  # a server has one core a process; threads would only wait


class Booster:
    """A LightGBM model that only predicts.

    A row's answer does not depend on the rows beside it, and calls may come from several threads.

    Parameters
    ----------
    text
        The model as LightGBM's text format.
    origin
        Where the text comes from, for the error.

    Raises
    ------
    ArtifactCorrupt
        The text is no LightGBM model.
    LibraryMissing
        LightGBM's shared library cannot be loaded.
    """

    def __init__(self, text: str, *, origin: str = "memory") -> None:
        self._library = _library()
        self._handle = ctypes.c_void_p()
        self._fast: ctypes.c_void_p | None = None
        self._lock = Lock()
        rounds = ctypes.c_int()
        status = self._library.LGBM_BoosterLoadModelFromString(
            text.encode(), ctypes.byref(rounds), ctypes.byref(self._handle)
        )
        if status != 0:
            raise ArtifactCorrupt(origin, f"LightGBM cannot read a model ({self._last_error()})")
        count = ctypes.c_int()
        self._check(self._library.LGBM_BoosterGetNumFeature(self._handle, ctypes.byref(count)))
        self.feature_count = count.value
        self._row = np.empty(self.feature_count, dtype=np.float64)
        self._out = np.empty(1, dtype=np.float64)
        self._written = ctypes.c_int64()
        # Looked up once: to ask numpy and ctypes for them takes longer than a small model.
        self._row_at, self._out_at = self._row.ctypes.data, self._out.ctypes.data
        self._written_at = ctypes.addressof(self._written)

    @classmethod
    def load(cls, path: Path) -> Booster:
        """Load a model file."""
        return cls(path.read_text(encoding="utf-8"), origin=str(path))

    @classmethod
    def load_sum(cls, paths: Sequence[Path]) -> Booster:
        """Load several models as one whose raw score is the sum of theirs: one call, not many."""
        merged = cls.load(paths[0])
        for path in paths[1:]:
            other = cls.load(path)
            # LightGBM copies the other's trees, so that it may go.
            merged._check(merged._library.LGBM_BoosterMerge(merged._handle, other._handle))  # noqa: SLF001
        return merged

    def raw(self, matrix: FloatArray) -> FloatArray:
        """Give raw scores, before any link function.

        Parameters
        ----------
        matrix
            Shape ``(n, p)``, NaN where a value is missing.

        Returns
        -------
        ndarray of shape (n,)
        """
        if len(matrix) == 1:
            return self._raw_of_one(matrix[0])
        return self._predict(matrix, _RAW_SCORE, 1)[:, 0]

    def contributions(self, matrix: FloatArray) -> FloatArray:
        """Give TreeSHAP contributions (Lundberg et al. 2020), as LightGBM computes them.

        Parameters
        ----------
        matrix
            Shape ``(n, p)``.

        Returns
        -------
        ndarray of shape (n, p + 1)
            The last column is the base; each row sums to its raw score.
        """
        return self._predict(matrix, _CONTRIBUTIONS, self.feature_count + 1)

    def close(self) -> None:
        """Give the memory back; the booster cannot be used afterwards."""
        if self._fast is not None:
            self._library.LGBM_FastConfigFree(self._fast)
            self._fast = None
        if self._handle.value is not None:
            self._library.LGBM_BoosterFree(self._handle)
            self._handle = ctypes.c_void_p()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()

    def _raw_of_one(self, row: FloatArray) -> FloatArray:
        # The fast path keeps one buffer a booster: the lock lets one call at a time use it.
        with self._lock:
            if self._fast is None:
                self._fast = self._fast_config()
            self._row[:] = row
            status = self._library.LGBM_BoosterPredictForMatSingleRowFast(
                self._fast, self._row_at, self._written_at, self._out_at
            )
            self._check(status)
            return self._out.copy()

    def _fast_config(self) -> ctypes.c_void_p:
        config = ctypes.c_void_p()
        status = self._library.LGBM_BoosterPredictForMatSingleRowFastInit(
            self._handle,
            _RAW_SCORE,
            0,
            -1,
            _FLOAT64,
            self.feature_count,
            _PARAMETERS,
            ctypes.byref(config),
        )
        self._check(status)
        return config

    def _predict(self, matrix: FloatArray, kind: int, width: int) -> FloatArray:
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        rows, columns = matrix.shape
        if columns != self.feature_count:
            raise ValueError(f"the matrix has {columns} columns, the model {self.feature_count}")
        out = np.empty((rows, width), dtype=np.float64)
        if rows == 0:
            return out
        written = ctypes.c_int64()
        status = self._library.LGBM_BoosterPredictForMat(
            self._handle,
            ctypes.c_void_p(matrix.ctypes.data),
            _FLOAT64,
            ctypes.c_int32(rows),
            ctypes.c_int32(columns),
            1,
            kind,
            0,
            -1,
            _PARAMETERS,
            ctypes.byref(written),
            out.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
        )
        self._check(status)
        return out

    def _check(self, status: int) -> None:
        if status != 0:
            raise RuntimeError(f"LightGBM failed: {self._last_error()}")

    def _last_error(self) -> str:
        message: bytes = self._library.LGBM_GetLastError()
        return message.decode(errors="replace")


@cache
def _library() -> ctypes.CDLL:
    """Find and load LightGBM's shared library, once a process."""
    spec = find_spec("lightgbm")
    if spec is None or spec.origin is None:
        raise LibraryMissing("LightGBM", "install the project's locked requirements")
    folder = Path(spec.origin).parent
    found = [
        p for p in sorted(folder.rglob("lib_lightgbm.*")) if p.suffix in {".so", ".dylib", ".dll"}
    ]
    if not found:
        raise LibraryMissing("LightGBM", f"its shared library is not in {folder}; install it again")
    try:
        library = ctypes.CDLL(str(found[0]))
    except OSError as error:
        fix = "install OpenMP: `apt-get install libgomp1` on Debian, `brew install libomp` on macOS"
        raise LibraryMissing("LightGBM", f"{error}; {fix}") from error
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    library.LGBM_BoosterFree.argtypes = [ctypes.c_void_p]
    library.LGBM_FastConfigFree.argtypes = [ctypes.c_void_p]
    library.LGBM_BoosterPredictForMatSingleRowFast.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    return library
