"""What well-known methods reach on the rows of churn: fitted in the same run, one thread each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from catboost import CatBoostClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from core.config import ModelConfig
from core.encoding import Encoder
from training.split import Split

Floats = npt.NDArray[np.float64]
TUNED, CATBOOST = "LightGBM, tuned, 5 seeds", "CatBoost"
DEFAULT, LOGIT = "LightGBM, default", "logistic regression"
# The grid of the design study: small leaves, a strong L2 penalty.
GRID = tuple({"num_leaves": leaves, "lambda_l2": l2} for leaves in (4, 8, 16) for l2 in (1.0, 10.0))
# One cell for the sample firm, where fifteen firms are fitted.
OFF_THE_SHELF = ({"num_leaves": 8, "lambda_l2": 10.0},)
_SEEDS = 5


@dataclass(frozen=True)
class Rows:
    """Encoded rows; the number of levels by place of the column that holds them."""

    learn: Floats
    target: Floats
    test: Floats
    levels: Mapping[int, int]


def rows_of(split: Split, config: ModelConfig) -> Rows:
    """Give the very rows that ours learned from and answers, as plain numbers."""
    parts = (split.train, split.calibration)
    learn = {n: np.concatenate([part.columns[n] for part in parts]) for n in config.features}
    encoder = Encoder.fit(config.features, learn)
    levels = {place: len(encoder.levels[encoder.names[place]]) for place in encoder.categorical}
    return Rows(
        encoder.encode(learn),
        np.concatenate([part.target for part in parts]),
        encoder.encode(split.test.columns),
        levels,
    )


def references(rows: Rows, *, named: str) -> dict[str, Floats]:
    """Fit every reference, the named one first.

    Returns
    -------
    dict
        Probabilities of the test's rows, shape ``(n,)``, by method.
    """
    answers = {
        TUNED: tuned_trees(rows),
        CATBOOST: catboost(rows),
        DEFAULT: default_trees(rows),
        LOGIT: logit(rows),
    }
    return {named: answers.pop(named)} | answers


def logit(rows: Rows) -> Floats:
    """Fit a plain logit on dummies."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(_dummies(rows.learn, rows.levels), rows.target)
    return _second(model.predict_proba(_dummies(rows.test, rows.levels)))


def default_trees(rows: Rows) -> Floats:
    """Fit LightGBM as it comes."""
    model = lightgbm.LGBMClassifier(n_jobs=1, random_state=1, verbose=-1)
    model.fit(rows.learn, rows.target, categorical_feature=list(rows.levels))
    return _second(model.predict_proba(rows.test))


def catboost(rows: Rows) -> Floats:
    """Fit CatBoost, stopped early (Prokhorenkova et al. 2018)."""
    places = list(rows.levels)

    def mixed(matrix: Floats) -> npt.NDArray[np.object_]:
        table = matrix.astype(object)
        for place in places:
            table[:, place] = np.nan_to_num(matrix[:, place], nan=-1.0).astype(int).astype(str)
        return table

    table, target = mixed(rows.learn), rows.target
    learn, held = train_test_split(
        np.arange(len(target)), test_size=0.2, stratify=target, random_state=1
    )

    def model(rounds: int) -> CatBoostClassifier:
        return CatBoostClassifier(
            iterations=rounds, learning_rate=0.05, thread_count=1, random_seed=1, verbose=False,
            allow_writing_files=False, cat_features=places,
        )  # fmt: skip

    # The held rows tell how many trees; then all rows teach that many.
    first = model(1500).fit(
        table[learn], target[learn], eval_set=(table[held], target[held]), early_stopping_rounds=50
    )
    whole = model(first.tree_count_).fit(table, target)
    return _second(whole.predict_proba(mixed(rows.test)))


def tuned_trees(rows: Rows, grid: Sequence[Mapping[str, float]] = GRID) -> Floats:
    """Fit LightGBM: each cell of the grid by five folds, then the best with five seeds, averaged.

    Parameters
    ----------
    rows
        What to learn from, and what to answer.
    grid
        Leaves and penalties to choose from; the folds also tell how many trees.
    """
    folds = list(StratifiedKFold(5, shuffle=True, random_state=1).split(rows.learn, rows.target))
    tried = [_cross_validated(rows, folds, cell) for cell in grid]
    _, rounds, cell = min(tried, key=lambda found: found[0])
    answers = []
    for seed in range(_SEEDS):
        booster = lightgbm.train(_small(seed, cell), _dataset(rows), num_boost_round=rounds)
        answers.append(np.asarray(booster.predict(rows.test), dtype=np.float64))
    return np.asarray(np.mean(answers, axis=0), dtype=np.float64)


def _cross_validated(
    rows: Rows, folds: list[tuple[Any, Any]], cell: Mapping[str, float]
) -> tuple[float, int, Mapping[str, float]]:
    """Give the log-loss out of fold, the number of rounds, and the cell."""
    losses, rounds = [], []
    for learn, held in folds:
        data = _dataset(rows, learn)
        watch = lightgbm.Dataset(rows.learn[held], rows.target[held], reference=data)
        booster = lightgbm.train(
            _small(1, cell), data, num_boost_round=2000, valid_sets=[watch],
            callbacks=[lightgbm.early_stopping(50, verbose=False)],
        )  # fmt: skip
        rounds.append(booster.best_iteration)
        losses.append(log_loss(rows.target[held], booster.predict(rows.learn[held])))
    return float(np.mean(losses)), int(np.mean(rounds)), cell


def _dataset(rows: Rows, chosen: Any = slice(None)) -> lightgbm.Dataset:
    return lightgbm.Dataset(
        rows.learn[chosen], rows.target[chosen], categorical_feature=list(rows.levels)
    )


def _small(seed: int, changes: Mapping[str, float]) -> dict[str, Any]:
    return {
        "objective": "binary", "learning_rate": 0.03, "num_leaves": 8, "lambda_l2": 10.0,
        "min_data_in_leaf": 20, "feature_fraction": 0.6, "bagging_fraction": 0.8,
        "bagging_freq": 1, "seed": seed, "num_threads": 1, "verbose": -1, **changes,
    }  # fmt: skip


def _dummies(matrix: Floats, levels: Mapping[int, int]) -> Floats:
    """Give one column a level; an unknown level has none, an unknown number is 0."""
    plain = [i for i in range(matrix.shape[1]) if i not in levels]
    wide = [np.nan_to_num(matrix[:, plain])]
    for place, count in levels.items():
        codes = np.nan_to_num(matrix[:, place], nan=count).astype(int)
        wide.append(np.eye(count + 1)[np.clip(codes, 0, count)][:, :count])
    return np.hstack(wide)


def _second(chances: Any) -> Floats:
    return np.asarray(chances, dtype=np.float64)[:, 1]
