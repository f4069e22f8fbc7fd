"""Profitability on public tables, beside the references fitted in the same run."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import spearmanr

from core.config import load_model_config
from tests.quality.conftest import Figure, Writer
from tests.quality.difference import Answers, on_rows
from tests.quality.references import profitability as known
from training.fitting import fit_only

CONFIGS = Path(__file__).parent / "configs"
LEVEL = 0.9
Rows = npt.NDArray[np.int64]
pytestmark = pytest.mark.quality


def r2(answers: Answers, rows: Rows) -> float:
    truth = answers["truth"][rows]
    missed = np.sum((truth - answers["said"][rows]) ** 2)
    return float(1 - missed / np.sum((truth - truth.mean()) ** 2))


def mae(answers: Answers, rows: Rows) -> float:
    return float(np.abs(answers["truth"][rows] - answers["said"][rows]).mean())


def wmape(answers: Answers, rows: Rows) -> float:
    return mae(answers, rows) / float(np.abs(answers["truth"][rows]).mean())


def rank(answers: Answers, rows: Rows) -> float:
    return float(spearmanr(answers["truth"][rows], answers["said"][rows]).statistic)


def coverage(answers: Answers, rows: Rows) -> float:
    truth = answers["truth"][rows]
    return float(np.mean((truth >= answers["low"][rows]) & (truth <= answers["high"][rows])))


def winkler(answers: Answers, rows: Rows) -> float:
    truth, low, high = (answers[name][rows] for name in ("truth", "low", "high"))
    outside = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    return float(np.mean(high - low + 2 / (1 - LEVEL) * outside))


def test_profitability_of_the_superstore(
    open_data: Path, tmp_path: Path, write_figures: Writer
) -> None:
    assert (open_data / "profitability" / "superstore.csv").is_file()
    config = load_model_config(CONFIGS / "superstore_profit.yaml")
    fitted = fit_only(config, home=tmp_path / "home", folder=tmp_path / "artifact")
    split, outputs = fitted.split, fitted.outputs
    truth = split.test.target
    by_margin = known.parts_of(split, config, scale="sales")
    with_cost = known.with_cost(by_margin, split)
    points = {
        known.MARGIN: known.trees(with_cost),
        known.RULE: known.rule(split),
        known.PLAIN: known.trees(known.parts_of(split, config, scale=None)),
        known.FLAT: known.mean_margin(by_margin),
    }
    ends = {
        known.NORMALISED: known.normalised_conformal(with_cost, level=LEVEL),
        known.QUANTILES: known.conformal_quantiles(with_cost, level=LEVEL),
    }
    ours = {
        "truth": truth, "said": outputs["profit_amount"],
        "low": outputs["low_amount"], "high": outputs["high_amount"],
    }  # fmt: skip
    said = {name: {"truth": truth, "said": values} for name, values in points.items()}
    ruled = {known.RULE: said[known.RULE]} | said
    spans = {name: {"truth": truth, "low": low, "high": high} for name, (low, high) in ends.items()}
    write_figures(
        "profitability",
        data="superstore",
        about=(
            f"Superstore order lines, the last twelve months as test ({len(truth):,} rows), "
            f"intervals at {100 * LEVEL:.0f} %. The references know what each item has cost before."
        ),
        figures=[
            on_rows(Figure("R2", 0, least=0.95), r2, ours=ours, others=said),
            on_rows(Figure("MAE, USD", 0, most=4.6), mae, ours=ours, others=ruled),
            on_rows(Figure("coverage of 90 %", 0, least=0.87, most=0.93), coverage,
                    ours=ours, others=spans),
            on_rows(Figure("Winkler score, USD", 0, most=180), winkler, ours=ours, others=spans),
            on_rows(Figure("wMAPE", 0, better="lower"), wmape, ours=ours, others=ruled),
            on_rows(Figure("rank correlation", 0, better="higher"), rank, ours=ours, others=said),
        ],
    )  # fmt: skip
