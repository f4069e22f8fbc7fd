"""Budgets of the sample firm, against the true curves that the simulator recorded."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from bentos.budget.predictor import BudgetPredictor
from bentos.catalog import contract_of
from core.config import ModelConfig, SampleSource, load_model_config
from tests.quality.conftest import ROOT, Figure, Writer
from tests.quality.references import budget as known
from tests.quality.seeds import OURS, Seeds
from training.fitting import Fitted, fit_only
from training.recipes.budget_history import History
from training.sample.marketing import CHANNELS, Curves, best_split
from training.source import sample_table

SEEDS = (101, 102, 103, 104, 105)
Floats = npt.NDArray[np.float64]
WEEKS = 13
BOUND = 0.75
pytestmark = [pytest.mark.quality, pytest.mark.timeout(3000)]


@dataclass(frozen=True)
class Gates:
    """What must be reached, or aimed at."""

    regret: float
    headroom: float
    contribution: float
    media: float


@dataclass(frozen=True)
class Kind:
    """One of the firm's histories."""

    table: str
    name: str
    about: str
    gates: Gates
    goals: Gates


def config_of(table: str, *, seed: int) -> ModelConfig:
    config = load_model_config(ROOT / "configs" / "models" / "budget.yaml")
    assert isinstance(config.source, SampleSource)
    source = config.source.model_copy(update={"table": table, "seed": seed})
    return config.model_copy(update={"source": source})


def truth_of(config: ModelConfig, home: Path) -> tuple[Curves, Floats]:
    """Give the true curves, and what each channel brought in each week, shape ``(n, k)``."""
    assert isinstance(config.source, SampleSource)
    path = sample_table(config.source, home=home)
    rows = pq.read_table(path.with_name("truth_marketing_curves.parquet")).to_pydict()
    named = ("usual", "adstock", "half", "shape", "worth")
    weeks = pq.read_table(path.with_name(f"truth_{config.source.table}.parquet"))
    brought = np.column_stack([weeks[f"{name}_amount"].to_numpy() for name in CHANNELS])
    return Curves(*(np.array(rows[name]) for name in named)), brought


def ours(fitted: Fitted, config: ModelConfig, today: Floats) -> Floats:
    """Ask the release for the best split of today's total, as a request would."""
    contract = contract_of(config)
    limits = {
        f"{name}_amount": {"least_amount": low, "most_amount": high}
        for name, low, high in zip(
            CHANNELS, today * WEEKS * (1 - BOUND), today * WEEKS * (1 + BOUND), strict=True
        )
    }
    total = float(today.sum() * WEEKS)
    row = contract.parse_row({"total_amount": total, "period_weeks": WEEKS, "channels": limits})
    fitted.predictor.check(row)
    [answer] = fitted.predictor.predict([row])
    amounts = np.array([channel["amount"] for channel in answer["result"]["channels"]])
    assert answer["result"]["total_amount"] == total
    for amount, limit in zip(amounts.tolist(), limits.values(), strict=True):
        assert limit["least_amount"] <= amount <= limit["most_amount"]
    return amounts / WEEKS


def split_measures(curves: Curves, spend: Floats, today: Floats) -> dict[str, float]:
    best, usual, reached = (
        float(curves.steady(split).sum()) for split in (best_split(curves, today), today, spend)
    )
    return {"regret": 1 - reached / best, "headroom": (reached - usual) / (best - usual)}


def contribution_measures(said: Floats, true: Floats) -> dict[str, float]:
    """Compare totals by channel, each of shape ``(k,)``."""
    return {
        "contribution": float(np.abs(said / true - 1).mean()),
        "media": abs(float(said.sum() / true.sum()) - 1),
    }


def reference(
    fit: known.Fitted, curves: Curves, brought: Floats, today: Floats
) -> dict[str, float]:
    low, high = today * (1 - BOUND), today * (1 + BOUND)
    split = known.split_by(fit.steady, today, least=low, most=high)
    measures = split_measures(curves, split, today)
    return measures | contribution_measures(fit.brought.sum(axis=0), brought.sum(axis=0))


Reference = Callable[[History, History], known.Fitted]


@pytest.mark.parametrize(
    "kind",
    [
        Kind(
            "marketing",
            "pulses",
            "a quarter of the weeks pulsed by chance",
            Gates(regret=0.02, headroom=0.75, contribution=0.32, media=0.14),
            Gates(0.01, 0.88, 0.20, 0.10),
        ),
        Kind(
            "marketing_steady",
            "steady",
            "never pulsed",
            Gates(regret=0.03, headroom=0.65, contribution=0.45, media=0.20),
            Gates(0.02, 0.80, 0.30, 0.10),
        ),
    ],
    ids=lambda kind: kind.name,
)
def test_budget_against_the_true_curves(
    tmp_path: Path, sample_home: Path, write_figures: Writer, kind: Kind
) -> None:
    seeds = Seeds()
    references: dict[str, Reference] = {known.HILL: known.hill, known.LINEAR: known.linear}
    for seed in SEEDS:
        config = config_of(kind.table, seed=seed)
        fitted = fit_only(config, home=sample_home, folder=tmp_path / f"a{seed}")
        assert isinstance(fitted.predictor, BudgetPredictor)
        curves, brought = truth_of(config, sample_home)
        _, weeks = known.histories(fitted.split, config)
        today, true = weeks.spend[-WEEKS:].mean(axis=0), brought.sum(axis=0)
        said = fitted.predictor.artifact.read_arrays("history.npz")["total"]
        low, high = np.quantile(said, [0.05, 0.95], axis=0)
        seeds.add(
            OURS, **split_measures(curves, ours(fitted, config, today), today),
            **contribution_measures(said.mean(axis=0), true),
            coverage=float(np.mean((true >= low) & (true <= high))),
        )  # fmt: skip
        for name, fit in references.items():
            seeds.add(name, **reference(fit(weeks, weeks), curves, brought, today))
        seeds.add("today's split", **split_measures(curves, today, today))
    gates, goals = kind.gates, kind.goals
    write_figures(
        "budget",
        data=f"sample_firm_{kind.name}",
        about=(
            f"Sample firm, 156 weeks, five channels, spend {kind.about}; today's total split anew, "
            f"each channel within 75 % of today's spend; {len(SEEDS)} seeds."
        ),
        figures=[
            seeds.figure("regret", "regret against the best split", most=gates.regret,
                         stretch=goals.regret),
            seeds.figure("headroom", "share of the headroom won", least=gates.headroom,
                         stretch=goals.headroom),
            seeds.figure("contribution", "error of a channel's contribution",
                         most=gates.contribution, stretch=goals.contribution),
            seeds.figure("media", "error of all channels' contribution", most=gates.media,
                         stretch=goals.media),
            # Of five channels a seed: one seed's share is 0.8 or 1, so all are counted together.
            Figure("coverage of 90 % of the return", float(np.mean(seeds.of(OURS, "coverage"))),
                   least=0.80, most=0.97),
        ],
    )  # fmt: skip
