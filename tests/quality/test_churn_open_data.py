"""Churn on public tables, beside a logit fitted in the same run and the reference figures."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from core.config import load_model_config
from core.encoding import Encoder
from tests.quality.conftest import Figure, Writer
from training.fitting import Fitted, fit_only

CONFIGS = Path(__file__).parent / "configs"
pytestmark = pytest.mark.quality


def logit_auc(fitted: Fitted) -> float:
    """Test AUC of a plain logit on dummies, fitted on the same rows."""
    split = fitted.split
    encoder = Encoder(fitted.predictor.encoder.names, fitted.predictor.encoder.levels)

    def wide(columns: dict[str, np.ndarray]) -> np.ndarray:
        matrix = np.nan_to_num(encoder.encode(columns))
        plain = [matrix[:, [i]] for i in range(matrix.shape[1]) if i not in encoder.categorical]
        dummies = [
            np.eye(len(encoder.levels[encoder.names[i]]))[matrix[:, i].astype(int)]
            for i in encoder.categorical
        ]
        return np.hstack([*plain, *dummies])

    learn = np.vstack([wide(dict(p.columns)) for p in (split.train, split.calibration)])
    target = np.concatenate([split.train.target, split.calibration.target])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(learn, target)
    chance = model.predict_proba(wide(dict(split.test.columns)))[:, 1]
    return float(roc_auc_score(split.test.target, chance))


@pytest.mark.parametrize(
    ("name", "gates", "references"),
    [
        ("telco_ibm", (0.838, 0.141, 0.03), ("0.843", "0.1389", "0.017")),
        ("bank_churn", (0.838, 0.112, 0.025), ("0.845 (CatBoost)", "0.1099", "0.015")),
    ],
)
@pytest.mark.usefixtures("open_data")
def test_public_customers(
    tmp_path: Path,
    write_figures: Writer,
    name: str,
    gates: tuple[float, float, float],
    references: tuple[str, str, str],
) -> None:
    config = load_model_config(CONFIGS / f"{name}.yaml")
    fitted = fit_only(config, home=tmp_path / "home", folder=tmp_path / "artifact")
    metrics = fitted.metrics
    rows = len(fitted.split.test)
    write_figures(
        "churn",
        data=name,
        about=(
            f"Public table `{name}`, a fixed quarter of the customers as test ({rows:,} rows). "
            "References: the tuned gradient boosting of the design study; a plain logit is fitted "
            "in the same run."
        ),
        figures=[
            Figure("ROC-AUC", metrics["auc_score"], least=gates[0], reference=references[0]),
            Figure("Brier score", metrics["brier_error"], most=gates[1], reference=references[1]),
            Figure("calibration error", metrics["ece_error"], most=gates[2],
                   reference=references[2]),
            Figure("PR-AUC", metrics["pr_auc_score"]),
            Figure("lift in the riskiest tenth", metrics["lift_at_10_score"]),
            Figure("ROC-AUC of a plain logit", logit_auc(fitted), reference="baseline"),
        ],
    )  # fmt: skip
