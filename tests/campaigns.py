"""Weeks of marketing whose curves are known: tables and releases for the tests of the budget."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bentos.budget.curves import Form, Responses
from bentos.budget.predictor import CHANNELS, CURVES, BudgetPredictor
from core.artifact import DataFacts, Draft, open_artifact
from core.config import ModelConfig
from training.fitting import Fitted, Stages, fit_frame
from training.frame import Frame, QualityReport
from training.progress import Silent

Floats = npt.NDArray[np.float64]
NAMES = ("tv", "search", "radio")
QUICK = {"draws": 100, "warmup": 80, "starts": 2, "form": "hill"}


def config_of(channels: tuple[str, ...] = NAMES, **changes: Any) -> ModelConfig:
    """Give the config of some channels, with some keys replaced."""
    spend = {
        name: {"type": "number", "description": "Spend", "history_only": True, "nullable": True}
        for name in channels
    }
    index = {"type": "number", "description": "Index", "history_only": True, "nullable": True}
    content: dict[str, Any] = {
        "model": "budget",
        "title": "Budget",
        "description": "Weeks of a small firm.",
        "source": {"kind": "csv", "path": "weeks.csv"},
        "entity": "market",
        "as_of": "week",
        "target": {"column": "revenue", "description": "Revenue"},
        "features": {**spend, "economy": index},
        "roles": {"channels": list(channels), "controls": ["economy"]},
        "split": {"rule": "steps", "test_steps": 20},
        "training": {"options": QUICK},
        "gate": {"metric": "nrmse_error"},
    }
    return ModelConfig.model_validate({**content, **changes})


def weeks(count: int = 140, *, seed: int = 3, **columns: Floats) -> Frame:
    """Draw weeks: tv brings 300 c/(c+20), search 200 c/(c+10), radio 80 c/(c+10), noise 8.

    ``columns`` replace the spend of channels, or add channels that bring nothing.
    """
    random = np.random.default_rng(seed)
    spend = {
        name: usual * np.exp(random.normal(0, 0.7, count))
        for name, usual in zip(NAMES, (20.0, 10.0, 10.0), strict=True)
    } | columns
    economy = np.cumsum(random.normal(0, 0.2, count))
    outcome = 500 + 0.3 * np.arange(count) + 20 * economy + random.normal(0, 8, count)
    for name, worth, half in zip(NAMES, (300.0, 200.0, 80.0), (20.0, 10.0, 10.0), strict=True):
        outcome += worth * spend[name] / (spend[name] + half)
    times = np.datetime64("2022-01-03", "us") + np.arange(count) * np.timedelta64(7, "D")
    return Frame(
        columns={**spend, "economy": economy},
        target=outcome,
        amount=None,
        entity=np.full(count, "home", dtype=object),
        as_of=times,
        part=None,
        row_numbers=np.arange(1, count + 1),
    )


def train(config: ModelConfig, frame: Frame) -> Fitted:
    """Train through the rails that production takes."""
    report = QualityReport(len(frame), len(frame), {}, ())
    folder = Path(tempfile.mkdtemp(prefix="septet-weeks-"))
    return fit_frame(config, frame, report, folder, Stages(Silent()), digest=frame.digest())


def responses(form: Form = "hill", *, draws: int = 50, shape: float = 1.0) -> Responses:
    """Give curves of the three channels, scattered around their truth."""
    random = np.random.default_rng(11)

    def around(middle: tuple[float, ...]) -> Floats:
        scattered: Floats = np.array(middle) * np.exp(random.normal(0, 0.1, (draws, len(middle))))
        return scattered

    return Responses(form, around((300, 200, 80)), around((20, 10, 10)), around((shape,) * 3))


def release(folder: Path, curves: Responses, *, reasons: tuple[str | None, ...]) -> BudgetPredictor:
    """Open a release of given curves, without any training."""
    config, draft = config_of(), Draft(folder)
    draft.write_arrays(CURVES, worth=curves.worth, half=curves.half, shape=curves.shape)
    channels = [
        {"channel": name, "reason": reason, "recent_amount": recent, "most_seen_amount": 5 * recent}
        for name, reason, recent in zip(NAMES, reasons, (20.0, 10.0, 10.0), strict=True)
    ]
    draft.write_json(CHANNELS, {"form": curves.form, "channels": channels})
    facts = DataFacts(
        digest="0", source="csv: weeks", rows_train=1, rows_calibration=0, rows_test=1, entities=1,
        first=None, last=None, left_out=0,
    )  # fmt: skip
    draft.finish(config, data=facts, versions={}, metrics={})
    return BudgetPredictor(open_artifact(folder))
