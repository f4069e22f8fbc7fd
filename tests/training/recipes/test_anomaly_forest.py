"""The written forest scores as the library that grew it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from bentos.anomaly.forest import Forest
from training.recipes.anomaly_forest import export_forest, last_left


def tables() -> dict[str, np.ndarray]:
    """Give tables on which a cut may easily fall on the wrong side."""
    random = np.random.default_rng(5)
    plain = random.normal(0, 1, (600, 6)) ** 3
    single = random.normal(0, 1, (600, 3)).astype(np.float32).astype(np.float64)
    return {
        "plain": plain,
        "ties": random.integers(0, 3, (600, 4)).astype(np.float64),
        "a constant column": np.column_stack([plain[:, :2], np.full(600, 0.1)]),
        "nothing but constants": np.full((600, 2), 0.1),
        "large and close": 2.0**24 + random.uniform(0, 40, (600, 3)),
        "beside 32-bit floats": single * (1 + random.choice((-1, 0, 1), single.shape) * 2.0**-25),
        "tenths": random.integers(0, 50, (600, 3)) / 10,
    }  # fmt: skip


@pytest.mark.parametrize("name", tables())
def test_scores_equal_those_of_the_library(name: str) -> None:
    rows = tables()[name]
    model = IsolationForest(n_estimators=80, random_state=3).fit(rows)
    cuts = np.concatenate([tree.tree_.threshold for tree in model.estimators_])[:600, None]
    on_cuts = np.broadcast_to(cuts, (len(cuts), rows.shape[1]))
    asked = np.vstack([rows, rows[::-1] * 1.5, on_cuts, np.nextafter(on_cuts, np.inf)])
    ours = Forest(export_forest(model)).score(asked)
    assert np.abs(ours + model.score_samples(asked)).max() <= 1e-6


def test_a_value_goes_left_just_when_its_32_bit_rounding_is_up_to_the_cut() -> None:
    random = np.random.default_rng(8)
    cuts = np.concatenate([random.normal(0, 1e3, 3000), random.normal(0, 1, 3000) ** 9, [0.1, 1.0]])
    cuts = np.concatenate([cuts, cuts.astype(np.float32).astype(np.float64)])
    last = last_left(cuts)
    assert (last.astype(np.float32) <= cuts).all()
    assert (np.nextafter(last, np.inf).astype(np.float32) > cuts).all()


def test_the_same_seed_writes_the_same_text() -> None:
    rows = tables()["plain"]
    texts = {
        export_forest(IsolationForest(n_estimators=20, random_state=3).fit(rows)) for _ in range(2)
    }
    assert len(texts) == 1


def test_a_value_beyond_32_bits_is_scored() -> None:
    rows = tables()["plain"]
    forest = Forest(export_forest(IsolationForest(n_estimators=20, random_state=3).fit(rows)))
    far = np.array([[1e300] * 6, [1e9] * 6])
    huge, large = forest.score(far)
    assert huge == large
