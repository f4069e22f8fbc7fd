"""Writes scikit-learn's isolation forest as a text that LightGBM's library reads."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest
from sklearn.tree._tree import Tree

from core.encoding import FloatArray

_EULER = 0.5772156649015329


def export_forest(model: IsolationForest) -> str:
    """Write a fitted forest as a LightGBM model.

    Parameters
    ----------
    model
        Fitted on all columns.

    Returns
    -------
    str
        A model whose raw score is the logarithm to base 2 of minus ``score_samples``.
    """
    width = model.n_features_in_
    norm = float(average_path(np.array([float(model.max_samples_)]))[0])
    scale = -1.0 / (norm * len(model.estimators_))
    head = [
        "tree", "version=v4", "num_class=1", "num_tree_per_iteration=1", "label_index=0",
        f"max_feature_idx={width - 1}",
        "feature_names=" + " ".join(f"Column_{i}" for i in range(width)),
        "feature_infos=" + " ".join(["none"] * width),
    ]  # fmt: skip
    trees = [
        f"Tree={i}\n{_tree(estimator.tree_, scale)}"
        for i, estimator in enumerate(model.estimators_)
    ]
    return "\n\n".join(["\n".join(head), *trees, "end of trees\n"])


def average_path(samples: FloatArray) -> FloatArray:
    """Average path of an unsuccessful search in a binary tree of so many samples (Liu 2008)."""
    safe = np.maximum(samples, 3.0)
    long = 2.0 * (np.log(safe - 1.0) + _EULER) - 2.0 * (safe - 1.0) / safe
    return np.where(samples <= 1, 0.0, np.where(samples == 2, 1.0, long))  # noqa: PLR2004


def last_left(thresholds: FloatArray) -> FloatArray:
    """Give the largest 64-bit value that goes left.

    scikit-learn rounds a value to 32 bits before it compares. A value goes left just when it is at
    most this one, so that a served row needs no rounding, and may be larger than 32 bits hold.
    """
    single = thresholds.astype(np.float32)
    over = single.astype(np.float64) > thresholds
    single = np.where(over, np.nextafter(single, np.float32(-np.inf)), single)
    # Halfway to the next 32-bit float; whether that itself is rounded down, the even digit says.
    middle = (single.astype(np.float64) + np.nextafter(single, np.float32(np.inf))) / 2.0
    is_left = middle.astype(np.float32) <= single
    return np.where(is_left, middle, np.nextafter(middle, -np.inf))


def _tree(tree: Tree, scale: float) -> str:
    """Write one tree: inner nodes and leaves are numbered apart, and a leaf is ``-1 - number``."""
    is_leaf = tree.children_left < 0
    number = np.where(is_leaf, -np.cumsum(is_leaf), np.cumsum(~is_leaf) - 1)
    level = _levels(tree.children_left, tree.children_right)
    path = level + average_path(tree.n_node_samples.astype(np.float64))
    inner = ~is_leaf
    return "\n".join(
        [
            f"num_leaves={is_leaf.sum()}",
            "num_cat=0",
            f"split_feature={_listed(tree.feature[inner])}",
            f"threshold={_listed(last_left(tree.threshold[inner]))}",
            f"decision_type={_listed(np.zeros(inner.sum(), dtype=np.int64))}",
            f"left_child={_listed(number[tree.children_left[inner]])}",
            f"right_child={_listed(number[tree.children_right[inner]])}",
            f"leaf_value={_listed(path[is_leaf] * scale)}",
        ]
    )


def _listed(values: npt.NDArray[np.float64] | npt.NDArray[np.int64]) -> str:
    """Write numbers so that each reads back as itself."""
    numbers: Iterable[float] = values.tolist()
    return " ".join(map(repr, numbers))


def _levels(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Depth of each node; children come after their parent."""
    level = np.zeros(len(left), dtype=np.int64)
    for node in range(len(left)):
        if left[node] >= 0:
            level[left[node]] = level[right[node]] = level[node] + 1
    return level
