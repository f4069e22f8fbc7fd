"""Made-up series of demand for the tests: what is in them is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from core.config import ModelConfig
from tests.shop import texts
from training.frame import Frame

CONTENT: dict[str, Any] = {
    "model": "demand",
    "title": "Hours asked for",
    "description": "Made-up series.",
    "source": {"kind": "csv", "path": "demand.csv"},
    "entity": "series",
    "as_of": "as_of",
    "target": {"column": "hours", "description": "Hours asked for", "unit": "hours"},
    "features": {},
    "split": {"rule": "steps", "test_steps": 6},
    "training": {
        "options": {
            "max_horizon_steps": 14, "windows": 2, "with_prophet": False, "processes": 1,
        }
    },
    "gate": {"metric": "mase_error"},
}  # fmt: skip
PROMOTED = {"promo": {"type": "number", "description": "Share of the step", "example": 0.0}}
Times = npt.NDArray[np.datetime64]
Floats = npt.NDArray[np.float64]


def config_of(*, options: Mapping[str, Any] | None = None, **changes: Any) -> ModelConfig:
    """Give the config, with some options and keys replaced."""
    training = {"options": {**CONTENT["training"]["options"], **(options or {})}}
    return ModelConfig.model_validate({**CONTENT, "training": training, **changes})


def months(count: int, *, first: str = "2018-01") -> Times:
    """Give the first days of months."""
    return (np.datetime64(first, "M") + np.arange(count)).astype("datetime64[us]")


def days(count: int, *, first: str = "2023-01-02") -> Times:
    """Give days at midnight, UTC; the first is a Monday."""
    return (np.datetime64(first, "D") + np.arange(count)).astype("datetime64[us]")


def wave(count: int, *, season: int = 12, level: float = 100.0, seed: int = 1) -> Floats:
    """Give a level with a season and a little noise."""
    draw = np.random.default_rng(seed)
    turn = 2 * np.pi * np.arange(count) / season
    return np.asarray(level * (1 + 0.3 * np.sin(turn)) * np.exp(draw.normal(0, 0.03, count)))


def frame_of(
    series: Mapping[str, tuple[Times, Floats]], *, columns: Mapping[str, Floats] | None = None
) -> Frame:
    """Put series into a frame, one after the other."""
    names = [name for name, (times, _) in series.items() for _ in times]
    target = np.concatenate([values for _, values in series.values()]).astype(np.float64)
    return Frame(
        columns=dict(columns or {}),
        target=target,
        amount=None,
        entity=texts(names),
        as_of=np.concatenate([times for times, _ in series.values()]).astype("datetime64[us]"),
        part=None,
        row_numbers=np.arange(1, len(target) + 1),
    )


def panel(*, count: int = 6, length: int = 72) -> Frame:
    """Give monthly series of the same season at different levels."""
    return frame_of(
        {
            f"s{i}": (months(length), wave(length, level=50.0 * (i + 1), seed=i))
            for i in range(count)
        }
    )
