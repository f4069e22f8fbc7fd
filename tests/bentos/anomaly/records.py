"""Records of work, whose amount is hours times rate; some are not."""

from pathlib import Path
from typing import Any

import numpy as np

from core.config import ModelConfig
from training.fitting import Fitted, Stages, fit_frame
from training.frame import Frame, QualityReport
from training.progress import Silent

RATES = {"junior": 70.0, "senior": 160.0, "partner": 260.0}


def config_of(**options: Any) -> ModelConfig:
    number = {"type": "number", "minimum": 0, "nullable": True}
    return ModelConfig.model_validate(
        {
            "model": "anomaly", "title": "Unusual?", "description": "Records of work.",
            "source": {"kind": "csv", "path": "records.csv"},
            "entity": "record_id", "as_of": "as_of",
            "target": {"column": "wrong", "description": "found wrong", "positive": 1,
                       "nullable": True, "optional": True},
            "features": {
                "grade": {"type": "category", "description": "grade", "example": "senior"},
                "hours": number | {"description": "hours", "example": 8.0},
                "rate": number | {"description": "rate", "example": 160.0},
                "amount": number | {"description": "amount", "example": 1280.0},
            },
            "split": {"rule": "time"},
            "training": {"options": {"trees": 60, **options}},
            "gate": {"metric": "false_alarm_error"},
        }
    )  # fmt: skip


def frame_of(count: int = 3000, *, seed: int = 1, labelled: bool = False) -> Frame:
    """Give records; one in fifty has an amount that does not fit, and a label that says so."""
    random = np.random.default_rng(seed)
    grade = random.choice(list(RATES), count)
    hours = np.exp(random.normal(2, 0.5, count))
    rate = np.array([RATES[g] for g in grade]) * np.exp(random.normal(0, 0.05, count))
    wrong = random.random(count) < 0.02
    amount = hours * rate * np.where(wrong, random.choice((0.5, 1.8), count), 1.0)
    amount *= np.exp(random.normal(0, 0.01, count))
    target = np.where(wrong, 1.0, 0.0) if labelled else np.full(count, np.nan)
    columns = {"grade": grade.astype(object), "hours": hours, "rate": rate, "amount": amount}
    as_of = np.datetime64("2025-01-01", "us") + np.arange(count) * np.timedelta64(1, "h")
    entity = np.array([f"r{i}" for i in range(count)], dtype=object)
    return Frame(columns, target, wrong.astype(float), entity, as_of, None, np.arange(1, count + 1))


def train(frame: Frame, folder: Path, **options: Any) -> Fitted:
    """Fit, measure and open the artifact."""
    report = QualityReport(len(frame), len(frame), {}, ())
    stages = Stages(Silent())
    return fit_frame(config_of(**options), frame, report, folder, stages, digest=frame.digest())
