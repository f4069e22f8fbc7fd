"""The three models on the sample firm, against the truth that the simulator recorded.

Beside them LightGBM as anyone would fit it, on the same firms; the truth's own figure is the
oracle. The rule of the gate over the seeds stands in ``tests.quality.figure``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from bentos.predictor import RowPredictor
from core.config import Gate, ModelConfig, SampleSource, load_model_config
from tests.quality.conftest import ROOT, Writer
from tests.quality.references import churn as churn_references
from tests.quality.references import profitability as profit_references
from tests.quality.references import revenue_leak as leak_references
from tests.quality.seeds import ORACLE, OURS, Seeds
from tests.shop import train
from training.fitting import Fitted, Stages, fit_only, read_frame
from training.progress import Silent
from training.recipes.churn import calibration_error
from training.source import sample_table
from training.split import split_frame

SEEDS = (101, 102, 103, 104, 105)
# The simulator's middle size. On 2,000 clients coverage and totals are the luck of the draw: there
# the true intervals themselves held .878 to .907, and the exact bills came to .95 to 1.15 of what
# was missing, from seed to seed.
MIDDLE = 6000
Floats = npt.NDArray[np.float64]
Answers = Mapping[str, npt.NDArray[Any]]
pytestmark = [pytest.mark.quality, pytest.mark.timeout(3000)]


def config_of(model: str, *, clients: int, seed: int, months: int = 36) -> ModelConfig:
    config = load_model_config(ROOT / "configs" / "models" / f"{model}.yaml")
    assert isinstance(config.source, SampleSource)
    changed = {"clients": clients, "seed": seed, "months": months}
    return config.model_copy(update={"source": config.source.model_copy(update=changed)})


def truth_of(fitted: Fitted, home: Path, config: ModelConfig, *columns: str) -> list[Any]:
    """Give the truth's columns for the rows of the test, in their order."""
    source = config.source
    assert isinstance(source, SampleSource)
    path = sample_table(source, home=home)
    truth: pa.Table = pq.read_table(path.with_name(f"truth_{source.table}.parquet"))
    rows = fitted.split.test.row_numbers - 1
    return [truth[name].to_numpy()[rows] for name in columns]


def churn_measures(said: Floats, *, true: Floats, left: Floats) -> dict[str, float]:
    missed = float(np.mean((said - true) ** 2))
    return {
        "behind": roc_auc_score(left, true) - roc_auc_score(left, said),
        "rmse": float(np.sqrt(missed)),
        # Expected excess given the true probabilities: the luck of the draw drops out.
        "brier": missed / float(np.mean((true - left) ** 2)),
        "ece": calibration_error(left, said),
        "auc": float(roc_auc_score(left, said)),
    }


@dataclass(frozen=True)
class Size:
    """A size of firm, with gates and goals of what churn reaches there."""

    rows: int
    clients: int
    gates: tuple[float, float, float]
    goals: tuple[float, float]


SIZES = (
    Size(3000, 980, (0.015, 0.055, 0.025), (0.010, 0.048)),
    Size(6000, 1910, (0.012, 0.048, 0.020), (0.008, 0.040)),
    Size(20000, 6300, (0.007, 0.037, 0.013), (0.005, 0.030)),
)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size.rows))
def test_churn_against_the_true_probabilities(
    tmp_path: Path, sample_home: Path, write_figures: Writer, size: Size
) -> None:
    seeds, counts = Seeds(), []
    for seed in SEEDS:
        config = config_of("churn", clients=size.clients, seed=seed)
        fitted = fit_only(config, home=sample_home, folder=tmp_path / f"a{seed}")
        [true] = truth_of(fitted, sample_home, config, "probability")
        left = fitted.split.test.target
        said = fitted.outputs["probability"].astype(np.float64)
        rows = churn_references.rows_of(fitted.split, config)
        trees = churn_references.tuned_trees(rows, churn_references.OFF_THE_SHELF)
        seeds.add(OURS, **churn_measures(said, true=true, left=left))
        seeds.add("LightGBM, 5 seeds", **churn_measures(trees, true=true, left=left))
        seeds.add(ORACLE, **churn_measures(true, true=true, left=left))
        counts.append(len(rows.target))
    # Even the truth's own calibration error is luck on so few rows: no error is the best, not it.
    ece_gate = {"most": 0.012, "stretch": 0.009} if size.rows >= 20000 else {"better": "lower"}
    write_figures(
        "churn",
        data=f"sample_firm_{size.rows}",
        about=(
            f"Sample firm, {size.clients:,} clients, {np.mean(counts):,.0f} rows before the test "
            f"on average, the latest fifth of the rows as test; {len(SEEDS)} seeds."
        ),
        figures=[
            seeds.figure(
                "behind", "AUC of the truth less ours", most=size.gates[0], stretch=size.goals[0]
            ),
            seeds.figure(
                "rmse", "RMSE of the probability", most=size.gates[1], stretch=size.goals[1]
            ),
            seeds.figure("brier", "Brier excess over the truth", most=size.gates[2]),
            seeds.figure("ece", "calibration error", best=0, **ece_gate),
            seeds.figure("auc", "ROC-AUC", better="higher"),
        ],
    )


def profit_measures(
    said: Answers, *, target: Floats, mean: Floats, width: float, segment: npt.NDArray[Any]
) -> dict[str, float]:
    point, low, high = (said[f"{name}_amount"] for name in ("profit", "low", "high"))

    def missed(values: Floats) -> float:
        return float(1 - np.sum((target - values) ** 2) / np.sum((target - target.mean()) ** 2))

    held = (target >= low) & (target <= high)
    return {
        "share": missed(point) / missed(mean),
        "rank": float(spearmanr(point, mean).statistic),
        "coverage": float(held.mean()),
        "worst": min(float(held[segment == level].mean()) for level in set(segment)),
        "width": float(np.mean(high - low)) / width,
    }


def test_profitability_against_the_true_mean_and_interval(
    tmp_path: Path, sample_home: Path, write_figures: Writer
) -> None:
    seeds = Seeds()
    for seed in SEEDS:
        config = config_of("profitability", clients=MIDDLE, seed=seed)
        fitted = fit_only(config, home=sample_home, folder=tmp_path / f"a{seed}")
        mean, low, high = truth_of(
            fitted, sample_home, config, "mean_amount", "low_amount", "high_amount"
        )
        test = fitted.split.test
        facts = {"target": test.target, "mean": mean, "segment": test.columns["segment"]}
        width = float(np.mean(high - low))
        parts = profit_references.parts_of(fitted.split, config, scale="planned_revenue_amount")
        ends = profit_references.conformal_quantiles(parts, level=0.9)
        trees = {"profit_amount": profit_references.trees(parts)}
        trees |= {"low_amount": ends[0], "high_amount": ends[1]}
        truth = {"profit_amount": mean, "low_amount": low, "high_amount": high}
        for name, said in ((OURS, fitted.outputs), ("LightGBM, CQR", trees), (ORACLE, truth)):
            seeds.add(name, **profit_measures(said, width=width, **facts))
    write_figures(
        "profitability",
        data="sample_firm",
        about=(
            f"Sample firm, {MIDDLE:,} clients, the latest fifth as test; {len(SEEDS)} seeds. "
            "LightGBM on margin x planned revenue, its intervals by conformalised quantiles."
        ),
        figures=[
            seeds.figure("share", "R2 over that of the truth", least=0.92, stretch=0.96),
            seeds.figure("rank", "rank correlation with the true mean", least=0.90, stretch=0.94),
            seeds.figure("coverage", "coverage of 90 %", least=0.88, most=0.92),
            seeds.figure("worst", "coverage in the worst segment", least=0.84, stretch=0.86,
                         best=0.9),
            seeds.figure("width", "width over that of the true interval", most=1.25, stretch=1.12),
        ],
    )  # fmt: skip


def leak_measures(
    said: Answers, *, leak: npt.NDArray[np.bool_], amount: Floats, posterior: Floats
) -> dict[str, float]:
    chance, money = said["chance"], said["money"]
    order = np.argsort(-money, kind="stable")
    mean_leak = amount[leak].mean()

    def captured(share: float) -> float:
        top = order[: round(share * len(order))]
        return float(amount[top].sum() / amount.sum())

    best = average_precision_score(leak, posterior)
    return {
        "share": float(average_precision_score(leak, chance) / best),
        "at_4": captured(0.04),
        "at_8": captured(0.08),
        "amount": float(np.abs(money - amount).mean() / mean_leak),
        "sized": float(np.abs(said["gap"][leak] - amount[leak]).mean() / mean_leak),
        "total": float(money.sum() / amount.sum()),
    }


def unlabelled(config: ModelConfig, home: Path, folder: Path) -> Floats:
    """Give the probabilities of the test's lines by a model that was shown no audit."""
    frame, _ = read_frame(config, home=home, stages=Stages(Silent()))
    test = split_frame(frame, config).test
    none = np.full(len(frame), np.nan)
    bare = config.model_copy(update={"gate": Gate(metric=config.gate.metric)})
    blind = replace(frame, target=none, amount=None if frame.amount is None else none)
    predictor = train(bare, blind, folder).predictor
    assert isinstance(predictor, RowPredictor)
    return predictor.score(test.columns)["probability"]


def test_revenue_leak_against_the_true_posterior(
    tmp_path: Path, sample_home: Path, write_figures: Writer
) -> None:
    seeds = Seeds()
    for seed in SEEDS:
        config = config_of("revenue_leak", clients=MIDDLE, seed=seed)
        fitted = fit_only(config, home=sample_home, folder=tmp_path / f"a{seed}")
        leaking, amount, posterior = truth_of(
            fitted, sample_home, config, "is_leak", "leak_amount", "posterior"
        )
        facts = {"leak": leaking.astype(bool), "amount": amount, "posterior": posterior}
        said, lines = fitted.outputs, fitted.split.test.columns
        due = np.maximum(lines["contract_amount"] - lines["billed_amount"], 0)
        ours = {
            "chance": said["probability"],
            "money": said["expected_missing_amount"],
            "gap": said["gap_amount"],
        }
        exact = {"chance": posterior, "money": posterior * due, "gap": due}
        trees = leak_references.sample_answer(fitted.split)
        seeds.add(OURS, **leak_measures(ours, **facts))
        others = leak_measures(trees, **facts)
        # Its gap is the exact bill's, which is the oracle.
        del others["sized"]
        seeds.add("LightGBM, gap features", **others)
        seeds.add(ORACLE, **leak_measures(exact, **facts))
        best = average_precision_score(facts["leak"], posterior)
        blind = unlabelled(config, sample_home, tmp_path / f"b{seed}")
        ruled = due / lines["contract_amount"] * (1 - lines["approval_code"])
        seeds.add(OURS, blind=average_precision_score(facts["leak"], blind) / best)
        seeds.add(leak_references.RULE, blind=average_precision_score(facts["leak"], ruled) / best)
        above = seeds.of(OURS, "sized")[-1] / seeds.of(ORACLE, "sized")[-1]
        seeds.add(OURS, above=above)
    write_figures(
        "revenue_leak",
        data="sample_firm",
        about=(
            f"Sample firm, {MIDDLE:,} clients, two lines in five audited, a quarter of the lines "
            f"as test; scored on every line, audited or not; {len(SEEDS)} seeds. The oracle knows "
            "the true posterior and the exact bill."
        ),
        figures=[
            seeds.figure("share", "PR-AUC over that of the true posterior", least=0.93,
                         stretch=0.97),
            seeds.figure("blind", "the same without any label", better="higher", best=1),
            seeds.figure("at_4", "value captured at 4 % reviewed", least=0.88, stretch=0.92),
            seeds.figure("at_8", "value captured at 8 % reviewed", least=0.95, stretch=0.98),
            # To say nothing anywhere scores the share of leaks, .042: the gate stands well below.
            seeds.figure("amount", "error of the missing amount, all lines, over the mean leak",
                         most=0.025),
            seeds.figure("sized", "that error on leaking lines alone", better="lower"),
            seeds.figure("above", "error on leaking lines over that of the exact bill", most=1.1,
                         best=1),
            seeds.figure("total", "expected over true missing total", least=0.92, most=1.08),
        ],
    )  # fmt: skip
