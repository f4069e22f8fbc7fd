"""Revenue leak on public tables, against the reference figures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from core.config import Gate, ModelConfig, load_model_config
from core.encoding import FloatArray
from tests.quality.conftest import Figure, Writer
from tests.shop import train
from training.fitting import Stages, fit_only, read_frame
from training.frame import Frame
from training.progress import Silent
from training.recipes.revenue_leak import evaluate
from training.split import split_frame

CONFIGS = Path(__file__).parent / "configs"
pytestmark = pytest.mark.quality


def _measured_without(
    config: ModelConfig, folder: Path, *, hidden: FloatArray | None = None
) -> dict[str, float]:
    """Train with some labels hidden (all without ``hidden``), and measure with every label."""
    frame, _ = read_frame(config, home=folder / "home", stages=Stages(Silent()))
    test = split_frame(frame, config).test
    shown = np.zeros(len(frame), dtype=bool) if hidden is None else hidden == 0
    bare = config.model_copy(update={"gate": Gate(metric=config.gate.metric)})
    blind = replace(frame, target=np.where(shown, frame.target, np.nan))
    fitted = train(bare, blind, folder / "blind")
    return evaluate(fitted.predictor.score(test.columns), test)


def _audits(frame: Frame, path: Path) -> FloatArray:
    """Give 1 where a line was not audited, in the frame's order."""
    table = pq.read_table(path, columns=["row_id", "audited"])
    known = dict(zip(table["row_id"].to_pylist(), table["audited"].to_pylist(), strict=True))
    return np.array([1.0 - known[int(line)] for line in frame.entity])


def test_sales_reports(open_data: Path, tmp_path: Path, write_figures: Writer) -> None:
    assert (open_data / "leak" / "dmwr_sales_open.parquet").is_file()
    config = load_model_config(CONFIGS / "dmwr_sales.yaml")
    metrics = fit_only(config, home=tmp_path / "home", folder=tmp_path / "artifact").metrics
    blind = _measured_without(config, tmp_path)
    write_figures(
        "revenue_leak",
        data="dmwr_sales",
        about=(
            "Sales reports of salesmen, 30 % of the inspected ones as test. References: LightGBM "
            "on peer features; without labels a robust z."
        ),
        figures=[
            Figure("PR-AUC", metrics["pr_auc_score"], least=0.91, reference="0.940"),
            Figure("recall at 10 % inspected", metrics["recall_at_10_score"], least=0.89,
                   reference="0.91"),
            Figure("ROC-AUC", metrics["auc_score"], reference="0.988"),
            Figure("calibration error", metrics["ece_error"]),
            Figure("PR-AUC without any label", blind["pr_auc_score"], least=0.58,
                   reference="0.595"),
        ],
    )  # fmt: skip


def test_order_lines(open_data: Path, tmp_path: Path, write_figures: Writer) -> None:
    path = open_data / "leak" / "superstore_billing_injected.parquet"
    config = load_model_config(CONFIGS / "superstore_billing.yaml")
    fitted = fit_only(config, home=tmp_path / "home", folder=tmp_path / "artifact")
    metrics = fitted.metrics
    frame, _ = read_frame(config, home=tmp_path / "home", stages=Stages(Silent()))
    audited = _measured_without(config, tmp_path / "audited", hidden=_audits(frame, path))
    blind = _measured_without(config, tmp_path)
    write_figures(
        "revenue_leak",
        data="superstore_billing",
        about=(
            "Order lines with injected leaks, the last twelve months as test. References: LightGBM "
            "on gap features, ranked for money by probability x gap."
        ),
        figures=[
            Figure("PR-AUC", metrics["pr_auc_score"], least=0.71, reference="0.72"),
            Figure("value captured at 4 %", metrics["value_captured_at_4_score"], least=0.88,
                   reference="0.887"),
            Figure("value captured at 8 %", metrics["value_captured_at_8_score"], least=0.95,
                   reference="0.963"),
            Figure("expected over true total", metrics["total_ratio"], least=0.9, most=1.1),
            Figure("calibration error", metrics["ece_error"]),
            Figure("PR-AUC, audited labels alone", audited["pr_auc_score"], least=0.71),
            Figure("value captured at 4 %, audited labels alone",
                   audited["value_captured_at_4_score"], least=0.88),
            Figure("value captured at 8 %, audited labels alone",
                   audited["value_captured_at_8_score"], least=0.95),
            Figure("PR-AUC without any label", blind["pr_auc_score"]),
        ],
    )  # fmt: skip
