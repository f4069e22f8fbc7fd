"""Takes the trees out of scikit-learn's isolation forest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest

from bentos.anomaly.forest import Forest
from core.encoding import FloatArray

_EULER = 0.5772156649015329


def export_forest(model: IsolationForest) -> Forest:
    """Export a fitted forest to flat arrays.

    Parameters
    ----------
    model
        Fitted on all columns.

    Returns
    -------
    Forest
        Its score is minus the model's ``score_samples``.
    """
    features, thresholds, lefts, rights, paths, roots = [], [], [], [], [], []
    start, depth = 0, 0
    for estimator in model.estimators_:
        tree = estimator.tree_
        count = tree.node_count
        is_leaf = tree.children_left < 0
        own = np.arange(count)
        level = _levels(tree.children_left, tree.children_right)
        features.append(np.where(is_leaf, 0, tree.feature))
        thresholds.append(np.where(is_leaf, 0.0, tree.threshold))
        lefts.append(np.where(is_leaf, own, tree.children_left) + start)
        rights.append(np.where(is_leaf, own, tree.children_right) + start)
        paths.append(level + average_path(tree.n_node_samples.astype(np.float64)))
        roots.append(start)
        depth = max(depth, int(level.max()))
        start += count
    return Forest(
        feature=np.concatenate(features).astype(np.int32),
        left=np.concatenate(lefts).astype(np.int32),
        right=np.concatenate(rights).astype(np.int32),
        threshold=_down(np.concatenate(thresholds)),
        path=np.concatenate(paths).astype(np.float64),
        roots=np.array(roots, dtype=np.int32),
        depth=depth,
        norm=float(average_path(np.array([float(model.max_samples_)]))[0]),
    )


def average_path(samples: FloatArray) -> FloatArray:
    """Average path of an unsuccessful search in a binary tree of so many samples (Liu 2008)."""
    safe = np.maximum(samples, 3.0)
    long = 2.0 * (np.log(safe - 1.0) + _EULER) - 2.0 * (safe - 1.0) / safe
    return np.where(samples <= 1, 0.0, np.where(samples == 2, 1.0, long))  # noqa: PLR2004


def _down(thresholds: FloatArray) -> npt.NDArray[np.float32]:
    """Round to the largest 32-bit float not above: a 32-bit value then falls on the same side."""
    single = thresholds.astype(np.float32)
    above = single.astype(np.float64) > thresholds
    return np.where(above, np.nextafter(single, np.float32(-np.inf)), single)


def _levels(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Depth of each node; children come after their parent."""
    level = np.zeros(len(left), dtype=np.int64)
    for node in range(len(left)):
        if left[node] >= 0:
            level[left[node]] = level[right[node]] = level[node] + 1
    return level
