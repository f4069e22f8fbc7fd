"""The forest scores as the library that grew it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from bentos.anomaly.forest import Forest


def _export(model: IsolationForest) -> Forest:
    """Lay the trees of a fitted forest one after another, by sklearn's own path lengths."""
    parts: dict[str, list[np.ndarray]] = {
        k: [] for k in ("feature", "left", "right", "cut", "path")
    }
    roots, depth, base = [], 0, 0
    for tree in (estimator.tree_ for estimator in model.estimators_):
        here = np.arange(tree.node_count)
        is_leaf = tree.children_left < 0
        level = np.zeros(tree.node_count)
        for node in here[~is_leaf]:
            level[[tree.children_left[node], tree.children_right[node]]] = level[node] + 1
        parts["feature"].append(np.where(is_leaf, 0, tree.feature))
        parts["left"].append(np.where(is_leaf, here, tree.children_left) + base)
        parts["right"].append(np.where(is_leaf, here, tree.children_right) + base)
        parts["cut"].append(tree.threshold)
        parts["path"].append(level + _usual_path(tree.n_node_samples.astype(float)))
        roots.append(base)
        depth, base = max(depth, int(level.max())), base + tree.node_count
    joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    return Forest(
        feature=joined["feature"].astype(np.int32),
        left=joined["left"].astype(np.int32),
        right=joined["right"].astype(np.int32),
        threshold=_float32_down(joined["cut"]),
        path=joined["path"],
        roots=np.array(roots, dtype=np.int32),
        depth=depth,
        norm=float(_usual_path(np.array([float(model.max_samples_)]))[0]),
    )


def _float32_down(cuts: np.ndarray) -> np.ndarray:
    """Round to 32 bits downwards: a 32-bit value passes it just when it passes the 64-bit cut."""
    rounded = cuts.astype(np.float32)
    return np.where(rounded > cuts, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def _usual_path(rows: np.ndarray) -> np.ndarray:
    """Mean path of an unsuccessful search in a binary tree of so many rows."""
    several = np.maximum(rows, 3.0)
    usual = 2.0 * (np.log(several - 1.0) + np.euler_gamma) - 2.0 * (several - 1.0) / several
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, usual))


@pytest.fixture(scope="module")
def grown() -> tuple[IsolationForest, np.ndarray]:
    values = np.random.default_rng(3).normal(size=(800, 6))
    return IsolationForest(n_estimators=100, random_state=3).fit(values), values


def test_scores_equal_those_of_sklearn(grown: tuple[IsolationForest, np.ndarray]) -> None:
    model, values = grown
    assert np.abs(_export(model).score(values) + model.score_samples(values)).max() <= 1e-6


def test_a_batch_gives_the_bits_of_single_rows(grown: tuple[IsolationForest, np.ndarray]) -> None:
    model, values = grown
    forest = _export(model)
    single = np.concatenate([forest.score(values[i : i + 1]) for i in range(50)])
    assert single.tobytes() == forest.score(values[:50]).tobytes()


def test_its_arrays_give_the_same_forest(grown: tuple[IsolationForest, np.ndarray]) -> None:
    model, values = grown
    forest = _export(model)
    again = Forest.from_arrays(forest.to_arrays())
    assert again.score(values).tobytes() == forest.score(values).tobytes()
