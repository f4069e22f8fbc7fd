"""What anyone would try on a table of records: forests and detectors of other libraries."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest

Floats = npt.NDArray[np.float64]


def others(rows: Floats, *, seed: int) -> dict[str, Floats]:
    """Score all rows by each method, high for unusual.

    Parameters
    ----------
    rows
        Shape ``(n, p)``, numbers.
    seed
        Of the forest.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries' own parts
        from pyod.models.ecod import ECOD
        from pyod.models.knn import KNN
        from pyod.models.lof import LOF

        found = {
            "IsolationForest": -IsolationForest(random_state=seed).fit(rows).score_samples(rows)
        }
        for name, kind in (("ECOD", ECOD), ("kNN", KNN), ("LOF", LOF)):
            found[name] = np.asarray(kind().fit(rows).decision_scores_, dtype=np.float64)
    return found
