"""Profitability on public tables, against the reference figures."""

from pathlib import Path

import numpy as np
import pytest

from core.config import load_model_config
from tests.quality.conftest import Figure, Writer
from training.fitting import fit_only

CONFIGS = Path(__file__).parent / "configs"
pytestmark = pytest.mark.quality


def test_lines_of_the_superstore(open_data: Path, tmp_path: Path, write_figures: Writer) -> None:
    assert (open_data / "profitability" / "superstore.csv").is_file()
    config = load_model_config(CONFIGS / "superstore_profit.yaml")
    fitted = fit_only(config, home=tmp_path / "home", folder=tmp_path / "artifact")
    metrics = fitted.metrics
    test, train = fitted.split.test, fitted.split.train
    ratio = train.target.sum() / train.columns["sales"].sum()
    naive = float(np.abs(test.target - ratio * test.columns["sales"]).mean())
    write_figures(
        "profitability",
        data="superstore",
        about=(
            "Superstore order lines, the last twelve months as test. References: LightGBM on the "
            "margin with cost features (R2, MAE, intervals); sales less known unit cost (MAE 4.6)."
        ),
        figures=[
            Figure("R2", metrics["r2_score"], least=0.95, reference="0.962"),
            Figure("MAE, USD", metrics["mae_error"], most=4.6, reference="8.2; rule 4.6"),
            Figure("coverage of 90 %", metrics["coverage_ratio"], least=0.87, most=0.93,
                   reference="0.902"),
            Figure("Winkler score, USD", metrics["winkler_error"], most=180, reference="168"),
            Figure("wMAPE", metrics["wmape_error"]),
            Figure("rank correlation", metrics["spearman_score"]),
            Figure("MAE of the mean margin, USD", naive, reference="baseline"),
        ],
    )  # fmt: skip
