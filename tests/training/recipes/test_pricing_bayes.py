import numpy as np
import pytest

from training.recipes.pricing_bayes import Prior, fit_posterior
from training.recipes.pricing_priors import flat_prior, slope_prior


def linear(rows: int, effects: list[float], noise: float) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(8)
    columns = np.column_stack([np.ones(rows), draw.standard_normal((rows, len(effects)))])
    return columns, 2.0 + columns[:, 1:] @ effects + noise * draw.standard_normal(rows)


def test_a_block_that_says_nothing_shrinks_and_one_that_speaks_stays() -> None:
    columns, outcome = linear(2000, [0.5, 0.0, 0.0, 0.0], noise=1.0)
    prior = flat_prior(np.array([0, 1, 2, 2, 2]), 0.0)
    found = fit_posterior(lambda at: (columns @ at, columns), outcome, prior, binary=False)
    assert found.mode[0] == pytest.approx(2.0, abs=0.08)
    assert found.mode[1] == pytest.approx(0.5, abs=0.08)
    assert np.abs(found.mode[2:]).max() < 0.04
    assert found.noise == pytest.approx(1.0, rel=0.1)


def test_weights_widen_the_posterior() -> None:
    columns, outcome = linear(2000, [0.5], noise=1.0)
    prior = flat_prior(np.array([0, 1]), 0.0)
    forward = lambda at: (columns @ at, columns)  # noqa: E731 - two uses of one line
    full = fit_posterior(forward, outcome, prior, binary=False)
    part = fit_posterior(forward, outcome, prior, binary=False, weight=np.full(2000, 0.25))
    ratio = part.covariance[0, 0] / full.covariance[0, 0]
    assert ratio == pytest.approx(4.0, rel=0.05)


def test_wins_find_their_log_odds() -> None:
    draw = np.random.default_rng(2)
    columns = np.column_stack([np.ones(4000), draw.standard_normal(4000)])
    chance = 1 / (1 + np.exp(-(0.3 + 1.2 * columns[:, 1])))
    won = (draw.random(4000) < chance).astype(np.float64)
    prior = flat_prior(np.array([0, 1]), 0.0)
    found = fit_posterior(lambda at: (columns @ at, columns), won, prior, binary=True)
    assert found.mode == pytest.approx([0.3, 1.2], abs=0.15)


def test_without_a_word_from_the_rows_the_prior_stands() -> None:
    prior = slope_prior(np.array([0, 1]), "volume")
    found = fit_posterior(
        lambda _: (np.zeros(50), np.zeros((50, 2))), np.zeros(50), prior, binary=True
    )
    assert found.mode == pytest.approx(prior.mean)


def test_joined_priors_keep_their_blocks_apart() -> None:
    blocks = np.array([0, 1, 1])
    joined: Prior = flat_prior(blocks, 1.0).beside(2).before(slope_prior(blocks, "win"))
    assert joined.blocks.tolist() == [-1, 1, 1, 2, 3, -1, 5, 5]
