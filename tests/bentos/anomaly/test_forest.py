"""A forest scores by the mean of its paths, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from bentos.anomaly.forest import Forest
from core.errors import ArtifactCorrupt

# The first tree cuts twice, the second not at all; a leaf holds what its path adds to the exponent.
_TEXT = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
feature_names=Column_0 Column_1
feature_infos=none none

Tree=0
num_leaves=3
num_cat=0
split_feature=0 1
threshold=0.5 -2.0
decision_type=0 0
left_child=-1 -2
right_child=1 -3
leaf_value=-0.5 -1.0 -1.5

Tree=1
num_leaves=1
num_cat=0
leaf_value=-0.25

end of trees
"""


def _forest() -> Forest:
    return Forest(_TEXT)


def test_a_row_scores_by_the_leaves_it_falls_into() -> None:
    rows = np.array([[0.5, 9.0], [0.6, -2.0], [0.6, -1.9]])
    np.testing.assert_array_equal(_forest().score(rows), np.exp2([-0.75, -1.25, -1.75]))


def test_a_batch_gives_the_bits_of_single_rows() -> None:
    rows = np.random.default_rng(3).normal(size=(50, 2))
    forest = _forest()
    single = np.concatenate([forest.score(rows[i : i + 1]) for i in range(50)])
    assert single.tobytes() == forest.score(rows).tobytes()


def test_a_text_that_is_no_model_is_refused() -> None:
    with pytest.raises(ArtifactCorrupt):
        Forest("no model")
