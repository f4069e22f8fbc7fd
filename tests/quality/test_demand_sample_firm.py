"""Demand on the sample firm, against what the simulator knew at the origin."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from core.config import ModelConfig, SampleSource, load_model_config
from tests.quality.conftest import ROOT, Writer
from tests.quality.references import demand as known
from tests.quality.seeds import ORACLE, OURS, Seeds
from training.fitting import Fitted, fit_only
from training.source import sample_table

SEEDS = (101, 102, 103, 104, 105)
NORMAL_95 = 1.959964
pytestmark = [pytest.mark.quality, pytest.mark.timeout(3000)]


@dataclass(frozen=True)
class Kind:
    """One of the firm's tables of series."""

    table: str
    data: str
    about: str
    season: int
    ahead: int


KINDS = (
    Kind(
        "demand", "sample_firm",
        "monthly series (a quarter of them counts, a tenth intermittent), 12 months ahead", 12, 12,
    ),
    Kind(
        "demand_weekly", "sample_firm_weekly",
        "weekly series of up to four years, 13 weeks ahead", 52, 13,
    ),
)  # fmt: skip


def config_of(kind: Kind, seed: int) -> ModelConfig:
    config = load_model_config(ROOT / "configs" / "models" / "demand.yaml")
    assert isinstance(config.source, SampleSource)
    changed = config.source.model_copy(update={"seed": seed, "table": kind.table})
    split = config.split.model_copy(update={"test_steps": kind.ahead})
    return config.model_copy(update={"source": changed, "split": split})


def processor_seconds() -> float:
    """Give what this process and its ended children have used: a wall clock counts neighbours."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def oracle(fitted: Fitted, given: list[known.Given], home: Path) -> dict[str, known.Path]:
    """Forecast by the true mean and the true state of the noise at the origin.

    The logarithm of a series is an AR(1) around its mean, so that the mean and the quantiles some
    steps ahead are known exactly; counts have no state.
    """
    source = fitted.predictor.config.source
    assert isinstance(source, SampleSource)
    path = sample_table(source, home=home)
    truth: Any = pq.read_table(path.with_name(f"truth_{source.table}.parquet"))
    column = {name: truth[name].to_numpy() for name in truth.column_names}
    made = {}
    for one in given:
        rows = fitted.split.test.row_numbers[one.rows] - 1
        origin = fitted.split.train.row_numbers[one.past_rows[-1]] - 1
        mean = column["mean_hours"][rows]
        noise, stays = column["noise"][origin], column["persistence"][origin]
        if noise == 0:
            made[one.name] = (mean, column["low_hours"][rows], column["high_hours"][rows])
            continue
        step = np.arange(1, len(rows) + 1)
        ahead = stays**step * column["log_state"][origin]
        variance = noise**2 * (1 - stays ** (2 * step)) / (1 - stays**2)
        # The table's mean is the mean with nothing known: half the whole variance is in it.
        centre = ahead - noise**2 / (1 - stays**2) / 2
        wide = NORMAL_95 * np.sqrt(variance)
        made[one.name] = (
            mean * np.exp(centre + variance / 2), mean * np.exp(centre - wide),
            mean * np.exp(centre + wide),
        )  # fmt: skip
    return made


def add(seeds: Seeds, name: str, found: Any, *, best: Any, plain: Any) -> None:
    """Keep what a method reaches with a seed, beside the oracle and the last season."""
    seeds.add(
        name,
        mase=found["mase"].mean() / best["mase"].mean(),
        coverage=found["coverage"].mean(),
        msis=found["msis"].mean() / best["msis"].mean(),
        naive=found["mase"].mean() / plain["mase"].mean(),
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.table))
def test_demand_against_the_true_mean_and_interval(
    tmp_path: Path, sample_home: Path, write_figures: Writer, kind: Kind
) -> None:
    seeds, counts = Seeds(), []
    is_monthly = kind.season == 12
    rival, other = (known.THETA_ETS, known.ets) if is_monthly else (known.THETA_MSTL, known.mstl)
    for seed in SEEDS:
        config = config_of(kind, seed)
        sample_table(config.source, home=sample_home)  # type: ignore[arg-type]
        began = processor_seconds()
        fitted = fit_only(config, home=sample_home, folder=tmp_path / f"a{seed}")
        seconds = processor_seconds() - began
        given = known.given_of(fitted.split, season=kind.season)
        both = {one.name: known.mean_of(known.theta(one), other(one)) for one in given}
        best = known.measured(given, oracle(fitted, given, sample_home))
        plain = known.measured(given, known.naive)
        facts = {"best": best, "plain": plain}
        ours = known.measured(given, known.ours_of(given, fitted.outputs))
        add(seeds, OURS, ours, **facts)
        add(seeds, rival, known.measured(given, both), **facts)
        add(seeds, known.NAIVE, plain, **facts)
        add(seeds, ORACLE, best, **facts)
        seeds.add(OURS, seconds=seconds / len(given))
        counts.append(len(given))
    write_figures(
        "demand",
        data=kind.data,
        about=(
            f"Sample firm, {np.mean(counts):.0f} {kind.about}, promotions known; {len(SEEDS)} "
            "seeds. The oracle knows the true mean and the state of the noise at the origin; the "
            "references know no promotions. Seconds are of all processors, imports included."
        ),
        figures=[
            seeds.figure("mase", "MASE over that of the truth", most=1.15, stretch=1.08, best=1),
            seeds.figure("coverage", "coverage of 95 %", least=0.92, most=0.97),
            seeds.figure("msis", "MSIS over that of the truth", most=1.35, stretch=1.2, best=1),
            seeds.figure("naive", "MASE over the seasonal naive's", most=0.85, stretch=0.75),
            seeds.figure("seconds", "processor seconds a series, trained twice", most=0.6),
        ],
    )
