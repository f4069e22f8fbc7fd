"""No model knows what it could not know: shuffled outcomes are not predicted, truth stays away."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from core.config import Gate, ModelConfig, SampleSource, load_model_config
from tests.quality.conftest import ROOT, Figure, Watch
from tests.quality.record import keep
from tests.shop import train
from training.fitting import Fitted, Stages, read_frame
from training.progress import Silent
from training.source import sample_table
from training.split import split_frame

SEEDS = (101, 102, 103, 104, 105)
CLIENTS = 2000
# What is drawn anew: the model, and the answer that must know nothing of the outcome.
ANSWERS = {
    "churn": "probability", "revenue_leak": "probability", "profitability": "profit_amount",
}  # fmt: skip
pytestmark = [pytest.mark.quality, pytest.mark.timeout(3000)]


def config_of(model: str, seed: int) -> ModelConfig:
    """Give a model's own config on the sample firm of a seed, without the floors of its gate."""
    config = load_model_config(ROOT / "configs" / "models" / f"{model}.yaml")
    assert isinstance(config.source, SampleSource)
    source = config.source.model_copy(update={"clients": CLIENTS, "months": 36, "seed": seed})
    gate = Gate(metric=config.gate.metric)
    return config.model_copy(update={"source": source, "gate": gate})


def shuffled(model: str, seed: int, *, home: Path, folder: Path) -> Fitted:
    """Train on a table whose outcomes were dealt out at random among the rows that have one."""
    config = config_of(model, seed)
    frame, _ = read_frame(config, home=home, stages=Stages(Silent()))
    known = np.flatnonzero(~np.isnan(frame.target))
    dealt = np.random.default_rng(seed).permutation(known)
    target = frame.target.copy()
    target[known] = frame.target[dealt]
    amount = None
    if frame.amount is not None:
        amount = frame.amount.copy()
        amount[known] = frame.amount[dealt]
    return train(config, replace(frame, target=target, amount=amount), folder)


def score_of(target: npt.NDArray[Any], answer: npt.NDArray[Any]) -> float:
    """Give the AUC, or for amounts the same from the rank correlation: .5 is knowing nothing."""
    known = ~np.isnan(target)
    if set(np.unique(target[known])) <= {0.0, 1.0}:
        return float(roc_auc_score(target[known], answer[known]))
    if np.ptp(answer[known]) == 0:
        return 0.5
    return 0.5 + float(spearmanr(target[known], answer[known]).statistic) / 2


@pytest.mark.parametrize("model", ANSWERS)
def test_shuffled_outcomes_are_not_predicted(
    model: str, sample_home: Path, tmp_path: Path, watch: Watch
) -> None:
    values = []
    for seed in SEEDS:
        fitted = shuffled(model, seed, home=sample_home, folder=tmp_path / f"a{seed}")
        values.append(score_of(fitted.split.test.target, fitted.outputs[ANSWERS[model]]))
    # One seed strays by luck alone, some .02 on so few rows: the mean is held.
    figure = Figure(
        "AUC of shuffled outcomes", float(np.mean(values)), least=0.48, most=0.52,
        low=min(values), high=max(values),
    )  # fmt: skip
    keep(
        model,
        "shuffled",
        about=(
            f"Sample firm, {CLIENTS:,} clients, the outcomes dealt out at random: 0.5 is knowing "
            f"nothing; {len(SEEDS)} seeds."
        ),
        figures=[figure],
        seconds=watch.seconds,
    )
    assert figure.passes, f"{model} knows shuffled outcomes: {values}"


@pytest.mark.parametrize("model", ANSWERS)
def test_the_truth_is_no_feature(model: str, sample_home: Path) -> None:
    config = config_of(model, SEEDS[0])
    source = config.source
    assert isinstance(source, SampleSource)
    table = sample_table(source, home=sample_home)
    truth = set(pq.read_schema(table.with_name(f"truth_{source.table}.parquet")).names)
    keys = {config.entity, config.as_of, config.target.column}
    assert not truth & set(config.features) - keys
    assert not truth & set(pq.read_schema(table).names) - keys - {config.target.amount}


@pytest.mark.parametrize("model", ["churn", "profitability"])
def test_no_row_that_teaches_is_later_than_the_test(model: str, sample_home: Path) -> None:
    config = config_of(model, SEEDS[0])
    frame, _ = read_frame(config, home=sample_home, stages=Stages(Silent()))
    split = split_frame(frame, config)
    assert split.test.as_of is not None
    horizon = np.timedelta64(config.target.horizon_days or 0, "D")
    for part in (split.train, split.calibration):
        assert part.as_of is not None
        # The outcome of what teaches is known when the test begins.
        assert part.as_of.max() + horizon <= split.test.as_of.min()
