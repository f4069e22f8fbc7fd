from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from bentos.booster import Booster
from core.errors import ArtifactCorrupt

RANDOM = np.random.default_rng(5)
MATRIX = RANDOM.normal(size=(600, 6))
MATRIX[::7, 2] = np.nan
MATRIX[:, 5] = RANDOM.integers(4, size=600)


@pytest.fixture(scope="module")
def trained() -> lightgbm.Booster:
    target = (np.nan_to_num(MATRIX[:, 0]) + MATRIX[:, 5] > 1).astype(float)
    data = lightgbm.Dataset(MATRIX, target, categorical_feature=[5])
    options = {"objective": "binary", "verbose": -1, "num_threads": 1}
    return lightgbm.train(options, data, num_boost_round=30)


@pytest.fixture
def booster(trained: lightgbm.Booster) -> Booster:
    return Booster(trained.model_to_string())


def test_raw_scores_are_those_of_lightgbm_itself(
    trained: lightgbm.Booster, booster: Booster
) -> None:
    expected = trained.predict(MATRIX, raw_score=True)
    np.testing.assert_array_equal(booster.raw(MATRIX), expected)


def test_a_batch_gives_the_bits_that_single_rows_give(booster: Booster) -> None:
    singles = [booster.raw(MATRIX[i : i + 1])[0] for i in range(len(MATRIX))]
    np.testing.assert_array_equal(booster.raw(MATRIX), singles)


def test_contributions_sum_to_the_raw_score(booster: Booster) -> None:
    parts = booster.contributions(MATRIX)
    assert parts.shape == (600, 7)
    np.testing.assert_allclose(parts.sum(axis=1), booster.raw(MATRIX), atol=1e-9)


def test_threads_do_not_disturb_each_other(booster: Booster) -> None:
    expected = booster.raw(MATRIX)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: booster.raw(MATRIX[i : i + 1])[0], range(600)))
    np.testing.assert_array_equal(found, expected)


def test_no_rows_give_no_scores(booster: Booster) -> None:
    assert booster.raw(np.empty((0, 6))).shape == (0,)


def test_a_wrong_width_and_a_wrong_text_are_refused(booster: Booster, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has 5 columns, the model 6"):
        booster.raw(np.zeros((2, 5)))
    file = tmp_path / "model.txt"
    file.write_text("this is no model")
    with pytest.raises(ArtifactCorrupt, match="cannot read a model"):
        Booster.load(file)


def test_several_models_are_answered_as_one_that_is_their_sum(
    trained: lightgbm.Booster, booster: Booster, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in paths:
        path.write_text(trained.model_to_string())
    both = Booster.load_sum(paths)
    np.testing.assert_allclose(both.raw(MATRIX), 2 * booster.raw(MATRIX), rtol=1e-12)
    twice = 2 * booster.contributions(MATRIX)
    np.testing.assert_allclose(both.contributions(MATRIX), twice, atol=1e-9)
