"""A small shop whose unit costs are known: order lines for the tests of the profitability model."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.config import ModelConfig
from training.fitting import Fitted, Stages, fit_frame
from training.frame import Frame, QualityReport
from training.progress import Silent

ITEMS = 60
CONTENT: dict[str, Any] = {
    "model": "profitability",
    "title": "Profit of an order line",
    "description": "A small shop.",
    "source": {"kind": "csv", "path": "lines.csv"},
    "entity": "line",
    "as_of": "sold_at",
    "target": {"column": "profit", "description": "Profit of the line", "unit": "EUR"},
    "features": {
        "sales": {"type": "number", "description": "Revenue", "unit": "EUR", "example": 120.0},
        "units": {"type": "integer", "description": "Units sold", "example": 3},
        "discount": {"type": "number", "description": "Share let off", "example": 0.1},
        "item": {"type": "category", "description": "What was sold", "example": "item-01"},
        "family": {"type": "category", "description": "Kind of item", "example": "family-1"},
        "weight": {"type": "number", "description": "Weight", "nullable": True, "example": 2.0},
    },
    "roles": {
        "revenue": "sales",
        "quantity": "units",
        "discount": "discount",
        "item": "item",
        "groups": "family",
    },
    "split": {"rule": "time", "test_share": 0.25},
    "training": {"options": {"seeds": 1, "threads": 1}},
    "gate": {"metric": "mae_error"},
}  # fmt: skip


def config_of(**changes: Any) -> ModelConfig:
    """Give the shop's config, with some keys replaced."""
    return ModelConfig.model_validate({**CONTENT, **changes})


def lines(rows: int, *, seed: int = 3, noise: float = 0.05) -> Frame:
    """Draw order lines in the order of time; ``noise`` is the spread of the ratio of cost."""
    draw = np.random.default_rng(seed)
    item = draw.integers(0, ITEMS, rows)
    price = draw.lognormal(3, 0.8, ITEMS)[item]
    ratio = draw.uniform(0.5, 0.9, ITEMS)[item]
    units = draw.integers(1, 9, rows).astype(np.float64)
    discount = draw.choice([0.0, 0.1, 0.3], rows, p=[0.6, 0.3, 0.1])
    weight = draw.gamma(2, 2, rows)
    weight[draw.random(rows) < 0.1] = np.nan
    listed = price * units
    sales = listed * (1 - discount)
    cost = listed * (ratio + noise * draw.standard_normal(rows))
    columns = {
        "sales": sales, "units": units, "discount": discount,
        "item": texts(f"item-{i:02d}" for i in item),
        "family": texts(f"family-{i % 5}" for i in item), "weight": weight,
    }  # fmt: skip
    days = np.arange(rows) // 5
    return Frame(
        columns=columns,
        target=sales - cost,
        amount=None,
        entity=texts(f"line-{i}" for i in range(rows)),
        as_of=np.datetime64("2023-01-01", "us") + days * np.timedelta64(86_400_000_000, "us"),
        part=None,
        row_numbers=np.arange(1, rows + 1),
    )


def texts(values: Any) -> npt.NDArray[np.object_]:
    """Give an array of objects."""
    found = list(values)
    column = np.empty(len(found), dtype=object)
    column[:] = found
    return column


def train(config: ModelConfig, frame: Frame, folder: Path | None = None) -> Fitted:
    """Train through the rails that production takes."""
    report = QualityReport(len(frame), len(frame), {}, ())
    folder = folder or Path(tempfile.mkdtemp(prefix="septet-shop-"))
    return fit_frame(config, frame, report, folder, Stages(Silent()), digest=frame.digest())


def rows_of(frame: Frame, count: int) -> list[Mapping[str, object]]:
    """Give the first rows of a frame as a caller would send them."""
    names = list(frame.columns)
    plain = [frame.columns[name][:count].tolist() for name in names]
    return [
        {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in zip(names, row, strict=True)
        }
        for row in zip(*plain, strict=True)
    ]
