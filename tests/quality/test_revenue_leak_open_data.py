"""Revenue leak on public tables, beside the references fitted in the same run."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score

from bentos.predictor import RowPredictor
from core.config import Gate, ModelConfig, load_model_config
from core.encoding import FloatArray
from tests.quality.conftest import Figure, Writer
from tests.quality.difference import Answers, auc_figure, on_rows
from tests.quality.references import revenue_leak as known
from tests.shop import train
from training.fitting import Stages, fit_only, read_frame
from training.frame import Frame
from training.progress import Silent
from training.recipes.churn import calibration_error
from training.recipes.revenue_measures import true_amounts
from training.split import split_frame

CONFIGS = Path(__file__).parent / "configs"
Rows = npt.NDArray[np.int64]
pytestmark = pytest.mark.quality


def pr_auc(answers: Answers, rows: Rows) -> float:
    return float(average_precision_score(answers["leak"][rows], answers["chance"][rows]))


def recall(answers: Answers, rows: Rows) -> float:
    """Share of the leaks in the tenth of the rows with the highest probability."""
    leak, chance = answers["leak"][rows], answers["chance"][rows]
    top = np.argsort(-chance, kind="stable")[: len(rows) // 10]
    return float(leak[top].sum() / leak.sum())


def ece(answers: Answers, rows: Rows) -> float:
    return calibration_error(answers["leak"][rows], answers["chance"][rows])


def captured(answers: Answers, rows: Rows, *, share: float) -> float:
    """Share of the missing money in the rows with the highest expected amount."""
    amount, money = answers["amount"][rows], answers["money"][rows]
    top = np.argsort(-money, kind="stable")[: round(share * len(rows))]
    return float(amount[top].sum() / amount.sum())


def total(answers: Answers, rows: Rows) -> float:
    return float(answers["money"][rows].sum() / answers["amount"][rows].sum())


def _scored_without(
    config: ModelConfig, folder: Path, *, hidden: FloatArray | None = None
) -> Mapping[str, npt.NDArray[np.float64]]:
    """Train with some labels hidden (all without ``hidden``), and answer the test's rows."""
    frame, _ = read_frame(config, home=folder / "home", stages=Stages(Silent()))
    test = split_frame(frame, config).test
    shown = np.zeros(len(frame), dtype=bool) if hidden is None else hidden == 0
    bare = config.model_copy(update={"gate": Gate(metric=config.gate.metric)})
    blind = replace(frame, target=np.where(shown, frame.target, np.nan))
    predictor = train(bare, blind, folder / "blind").predictor
    assert isinstance(predictor, RowPredictor)
    return predictor.score(test.columns)


def _audits(frame: Frame, path: Path) -> FloatArray:
    """Give 1 where a line was not audited, in the frame's order."""
    table = pq.read_table(path, columns=["row_id", "audited"])
    found = dict(zip(table["row_id"].to_pylist(), table["audited"].to_pylist(), strict=True))
    return np.array([1.0 - found[int(line)] for line in frame.entity])


def test_revenue_leak_in_sales_reports(
    open_data: Path, tmp_path: Path, write_figures: Writer
) -> None:
    assert (open_data / "leak" / "dmwr_sales_open.parquet").is_file()
    config = load_model_config(CONFIGS / "dmwr_sales.yaml")
    fitted = fit_only(config, home=tmp_path / "home", folder=tmp_path / "artifact")
    leak = fitted.split.test.target
    scores = known.report_answers(fitted.split)
    unlabelled = {name: scores[name] for name in (known.ROBUST_Z, known.FOREST)}

    def answer(chance: npt.NDArray[np.float64]) -> Answers:
        return {"leak": leak, "chance": chance}

    ours = answer(fitted.outputs["probability"])
    blind = answer(_scored_without(config, tmp_path)["probability"])
    others = {name: answer(score) for name, score in scores.items()}
    plain = {name: answer(score) for name, score in unlabelled.items()}
    trees = {known.TREES: others[known.TREES]}
    write_figures(
        "revenue_leak",
        data="dmwr_sales",
        about=(
            "Sales reports of salesmen, 30 % of the inspected ones as test "
            f"({len(leak):,} rows); robust z and isolation forest use no label."
        ),
        figures=[
            on_rows(Figure("PR-AUC", 0, least=0.91), pr_auc, ours=ours, others=others),
            on_rows(Figure("recall at 10 % inspected", 0, least=0.89), recall,
                    ours=ours, others=others),
            auc_figure(Figure("ROC-AUC", 0, better="higher"), leak,
                       ours=ours["chance"], others=scores),
            on_rows(Figure("calibration error", 0, better="lower"), ece, ours=ours, others=trees),
            on_rows(Figure("PR-AUC without any label", 0, least=0.58), pr_auc,
                    ours=blind, others=plain),
        ],
    )  # fmt: skip


def test_revenue_leak_in_order_lines(
    open_data: Path, tmp_path: Path, write_figures: Writer
) -> None:
    path = open_data / "leak" / "superstore_billing_injected.parquet"
    config = load_model_config(CONFIGS / "superstore_billing.yaml")
    fitted = fit_only(config, home=tmp_path / "home", folder=tmp_path / "artifact")
    frame, _ = read_frame(config, home=tmp_path / "home", stages=Stages(Silent()))
    test = fitted.split.test
    truth = {"leak": test.target, "amount": true_amounts(test)}

    def answer(outputs: Mapping[str, npt.NDArray[np.float64]]) -> Answers:
        money = outputs["expected_missing_amount"]
        return {**truth, "chance": outputs["probability"], "money": money}

    ours = answer(fitted.outputs)
    audited = answer(_scored_without(config, tmp_path / "audited", hidden=_audits(frame, path)))
    blind = answer(_scored_without(config, tmp_path))
    others = {name: {**truth, **part} for name, part in known.bill_answers(fitted.split).items()}
    trees = {known.GAP_TREES: others[known.GAP_TREES]}
    ruled = {known.RULE: others[known.RULE]}
    at_4, at_8 = partial(captured, share=0.04), partial(captured, share=0.08)
    alone = "audited labels alone"
    write_figures(
        "revenue_leak",
        data="superstore_billing",
        about=(
            f"Order lines with injected leaks, the last twelve months as test ({len(test):,} "
            "rows). The references learn the usual price of each product, and rank for money by "
            "probability x gap."
        ),
        figures=[
            on_rows(Figure("PR-AUC", 0, least=0.71), pr_auc, ours=ours, others=others),
            on_rows(Figure("value captured at 4 %", 0, least=0.88), at_4,
                    ours=ours, others=others),
            on_rows(Figure("value captured at 8 %", 0, least=0.95), at_8,
                    ours=ours, others=others),
            on_rows(Figure("expected over true total", 0, least=0.9, most=1.1), total,
                    ours=ours, others=trees),
            on_rows(Figure("calibration error", 0, better="lower"), ece, ours=ours, others=trees),
            on_rows(Figure(f"PR-AUC, {alone}", 0, least=0.71), pr_auc, ours=audited, others={}),
            on_rows(Figure(f"value captured at 4 %, {alone}", 0, least=0.88), at_4,
                    ours=audited, others={}),
            on_rows(Figure(f"value captured at 8 %, {alone}", 0, least=0.95), at_8,
                    ours=audited, others={}),
            on_rows(Figure("PR-AUC without any label", 0, better="higher"), pr_auc,
                    ours=blind, others=ruled),
        ],
    )  # fmt: skip
