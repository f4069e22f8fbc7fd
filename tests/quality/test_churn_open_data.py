"""Churn on public tables, beside the references fitted in the same run on the same rows."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import average_precision_score

from core.config import load_model_config
from tests.quality.conftest import Figure, Writer
from tests.quality.difference import Answers, auc_figure, on_rows
from tests.quality.references.churn import CATBOOST, TUNED, references, rows_of
from training.fitting import fit_only
from training.recipes.churn import calibration_error

CONFIGS = Path(__file__).parent / "configs"
Rows = npt.NDArray[np.int64]
pytestmark = pytest.mark.quality


def brier(answers: Answers, rows: Rows) -> float:
    return float(np.mean((answers["chance"][rows] - answers["left"][rows]) ** 2))


def ece(answers: Answers, rows: Rows) -> float:
    return calibration_error(answers["left"][rows], answers["chance"][rows])


def pr_auc(answers: Answers, rows: Rows) -> float:
    return float(average_precision_score(answers["left"][rows], answers["chance"][rows]))


def lift(answers: Answers, rows: Rows) -> float:
    left, chance = answers["left"][rows], answers["chance"][rows]
    top = np.argsort(-chance, kind="stable")[: len(rows) // 10]
    return float(left[top].mean() / left.mean())


@pytest.mark.parametrize(
    ("name", "gates", "named"),
    [
        ("telco_ibm", (0.838, 0.141, 0.03), TUNED),
        ("bank_churn", (0.838, 0.112, 0.025), CATBOOST),
    ],
)
@pytest.mark.usefixtures("open_data")
def test_churn_of_public_customers(
    tmp_path: Path,
    write_figures: Writer,
    name: str,
    gates: tuple[float, float, float],
    named: str,
) -> None:
    config = load_model_config(CONFIGS / f"{name}.yaml")
    fitted = fit_only(config, home=tmp_path / "home", folder=tmp_path / "artifact")
    left = fitted.split.test.target
    said = fitted.outputs["probability"].astype(np.float64)
    chances = references(rows_of(fitted.split, config), named=named)
    ours = {"left": left, "chance": said}
    others = {method: {"left": left, "chance": chance} for method, chance in chances.items()}
    write_figures(
        "churn",
        data=name,
        about=(
            f"Public table `{name}`, a fixed quarter of the customers as test ({len(left):,} rows)."
        ),
        figures=[
            auc_figure(Figure("ROC-AUC", 0, least=gates[0]), left, ours=said, others=chances),
            on_rows(Figure("Brier score", 0, most=gates[1]), brier, ours=ours, others=others),
            on_rows(Figure("calibration error", 0, most=gates[2]), ece, ours=ours, others=others),
            on_rows(Figure("PR-AUC", 0, better="higher"), pr_auc, ours=ours, others=others),
            on_rows(Figure("lift in the riskiest tenth", 0, better="higher"), lift,
                    ours=ours, others=others),
        ],
    )  # fmt: skip
