"""A small firm's billing records with known leaks, for the tests of the leak model."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.config import ModelConfig
from tests.shop import texts
from training.frame import Frame

ITEMS = 25
CONTENT: dict[str, Any] = {
    "model": "revenue_leak",
    "title": "Under-billed records",
    "description": "A small firm.",
    "source": {"kind": "csv", "path": "records.csv"},
    "entity": "record",
    "target": {
        "column": "leak", "description": "Found under-billed", "positive": "yes",
        "amount": "missing", "nullable": True,
    },
    "features": {
        "billed_amount": {
            "type": "number", "description": "On the record", "unit": "EUR", "minimum": 0,
            "nullable": True, "example": 300.0,
        },
        "due_hours": {
            "type": "number", "description": "Worked", "unit": "hours", "minimum": 0,
            "example": 4.0,
        },
        "billed_hours": {
            "type": "number", "description": "On the record", "unit": "hours", "minimum": 0,
            "example": 4.0,
        },
        "approved": {"type": "boolean", "description": "Deviation approved", "example": False},
        "service": {"type": "category", "description": "What was done", "example": "service-03"},
        "client": {
            "type": "category", "description": "For whom", "nullable": True,
            "example": "client-07",
        },
        "office": {
            "type": "category", "description": "Where", "categories": ["north", "south"],
        },
    },
    "roles": {
        "billed": "billed_amount",
        "quantity": "due_hours",
        "billed_quantity": "billed_hours",
        "approval": "approved",
        "items": "service",
        "parties": "client",
    },
    "split": {"rule": "entity", "test_share": 0.3},
    "training": {"options": {"threads": 1, "most_trees": 60}},
    "gate": {"metric": "pr_auc_score"},
}  # fmt: skip


def config_of(**changes: Any) -> ModelConfig:
    """Give the firm's config, with some keys replaced."""
    return ModelConfig.model_validate({**CONTENT, **changes})


def records(rows: int, *, seed: int = 5, audited: float = 1.0, leaking: float = 0.08) -> Frame:
    """Draw records; half of the leaks are hours left out, half a price a quarter too low."""
    draw = np.random.default_rng(seed)
    service, client = draw.integers(0, ITEMS, rows), draw.integers(0, 40, rows)
    price = draw.lognormal(4, 0.7, ITEMS)[service] * draw.uniform(0.9, 1.1, 40)[client]
    due = draw.integers(1, 20, rows).astype(np.float64)
    leak, short = draw.random(rows) < leaking, draw.random(rows) < 0.5
    billed_hours = np.where(leak & short, np.floor(due * 0.6), due)
    cut = np.where(leak & ~short, 0.75, 1.0)
    fair = due * price
    billed = billed_hours * price * cut * np.exp(0.01 * draw.standard_normal(rows))
    label = np.where(draw.random(rows) < audited, leak.astype(np.float64), np.nan)
    return Frame(
        columns={
            "billed_amount": billed, "due_hours": due, "billed_hours": billed_hours,
            "approved": np.zeros(rows),
            "service": texts(f"service-{i:02d}" for i in service),
            "client": texts(f"client-{i:02d}" for i in client),
            "office": texts("north" if i else "south" for i in draw.integers(0, 2, rows)),
        },
        target=label,
        amount=np.where(leak, np.maximum(fair - billed_hours * price * cut, 0.0), 0.0),
        entity=texts(f"record-{i}" for i in range(rows)),
        as_of=None,
        part=None,
        row_numbers=np.arange(1, rows + 1),
    )  # fmt: skip
