"""Which rows of a batch are called unusual."""

from __future__ import annotations

import numpy as np
import pytest

from bentos.anomaly.discovery import discover


def test_the_example_of_benjamini_and_hochberg_flags_four() -> None:
    p_values = np.array([
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
        0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0,
    ])  # fmt: skip
    found = discover(p_values, 0.05)
    assert found.is_flagged.tolist() == [True] * 4 + [False] * 11
    assert found.p_value_threshold == pytest.approx(0.0095)


def test_the_order_of_rows_changes_nothing() -> None:
    p_values = np.array([0.9, 0.001, 0.5, 0.002])
    assert discover(p_values, 0.1).is_flagged.tolist() == [False, True, False, True]


def test_a_batch_without_unusual_rows_flags_none() -> None:
    found = discover(np.array([0.4, 0.8]), 0.1)
    assert not found.is_flagged.any()
    assert found.p_value_threshold == 0.0


def test_an_empty_batch_flags_none() -> None:
    assert discover(np.zeros(0), 0.1).is_flagged.shape == (0,)


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_what_is_no_p_value_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="not a number from 0 to 1"):
        discover(np.array([0.5, wrong]), 0.1)


@pytest.mark.parametrize("ratio", [0.0, 1.0, np.nan])
def test_a_limit_outside_of_its_range_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="false_discovery_ratio"):
        discover(np.array([0.5]), ratio)


def test_false_discoveries_keep_to_the_limit_over_many_batches() -> None:
    random = np.random.default_rng(7)
    shares = []
    for _ in range(400):
        p_values = random.random(200)
        p_values[:20] = random.random(20) * 1e-4
        flagged = discover(p_values, 0.1).is_flagged
        shares.append(flagged[20:].sum() / max(flagged.sum(), 1))
    assert np.mean(shares) <= 0.11
