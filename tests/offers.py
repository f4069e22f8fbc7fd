"""Offers and sales whose answer to the price is known: rows for the tests of the pricing model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.config import ModelConfig
from training.fitting import Fitted, Stages, fit_frame
from training.frame import Frame, QualityReport
from training.progress import Silent

CONTENT: dict[str, Any] = {
    "model": "pricing",
    "title": "Price of an offer",
    "description": "Offers of a small firm.",
    "source": {"kind": "csv", "path": "offers.csv"},
    "entity": "offer",
    "as_of": "offered_at",
    "target": {"column": "won", "description": "Whether it was taken"},
    "features": {
        "kind": {"type": "category", "description": "Kind of work", "example": "kind-0"},
        "rivals": {"type": "integer", "description": "Rivals", "nullable": True, "example": 1},
        "cost": {"type": "number", "description": "Cost", "minimum": 0, "example": 100.0},
        "price": {"type": "number", "description": "Price", "minimum": 0, "example": 140.0},
        "by_chance": {"type": "boolean", "description": "By chance", "history_only": True},
        "fuel": {"type": "number", "description": "Cost of fuel", "history_only": True},
    },
    "roles": {"price": "price", "cost": "cost", "segments": "kind", "experiment": "by_chance"},
    "split": {"rule": "time", "test_share": 0.25},
    "training": {"options": {"response": "win"}},
    "gate": {"metric": "mean_elasticity_ratio"},
}
PLAIN = {"price": "price", "cost": "cost", "segments": "kind"}
KINDS = 3


def config_of(**changes: Any) -> ModelConfig:
    """Give the config of offers, with some keys replaced."""
    return ModelConfig.model_validate({**CONTENT, **changes})


def volume_config(**changes: Any) -> ModelConfig:
    """Give the config of sales."""
    training = {"options": {"response": "volume"}}
    target = {"column": "units", "description": "Units sold"}
    return config_of(**{"training": training, "target": target, "roles": PLAIN, **changes})


def offers(rows: int, *, seed: int = 5, hidden: float = 0.0) -> Frame:
    """Draw offers: log-odds are 8 x (worth - log(price / cost)), worth .3 to .5 by kind.

    A quarter is priced by chance; the other prices know the worth, and as much of what no feature
    tells as ``hidden`` says.
    """
    draw = np.random.default_rng(seed)
    kind, rivals = draw.integers(0, KINDS, rows), draw.poisson(1.5, rows)
    cost = np.exp(draw.normal(4.6, 0.4, rows))
    secret = hidden * draw.standard_normal(rows)
    worth = 0.3 + 0.1 * kind - 0.03 * rivals + secret
    by_chance = draw.random(rows) < 0.25
    markup = np.where(
        by_chance, draw.uniform(1.05, 2.0, rows), np.exp(worth + 0.06 * draw.standard_normal(rows))
    )
    chance = 1 / (1 + np.exp(-8 * (worth - np.log(markup))))
    won = (draw.random(rows) < chance).astype(np.float64)
    return _frame(kind, rivals, cost, cost * markup, won, by_chance=by_chance, fuel=np.ones(rows))


def sales(
    rows: int, *, seed: int = 5, hidden: float = 0.0, spread: float = 0.15, noise: float = 0.3
) -> Frame:
    """Draw sales: volume is 50 x price ** -2.5 x what kind and rivals add.

    Prices follow the cost of fuel, chance and, as far as ``hidden`` says, a demand that no feature
    tells.
    """
    draw = np.random.default_rng(seed)
    kind, rivals = draw.integers(0, KINDS, rows), draw.poisson(1.5, rows)
    fuel, secret = draw.normal(0, 1, rows), hidden * draw.standard_normal(rows)
    place = spread * (fuel + draw.standard_normal(rows)) / np.sqrt(2) + secret
    usual = 100.0 * (1 + kind)
    price = np.asarray(usual * np.exp(place), dtype=np.float64)
    volume = 50 * np.exp(
        -2.5 * place + 0.4 * kind - 0.1 * rivals + 3 * secret + noise * draw.standard_normal(rows)
    )
    cost = np.asarray(0.62 * usual * np.exp(0.02 * draw.standard_normal(rows)), dtype=np.float64)
    never = np.zeros(rows, dtype=np.bool_)
    return _frame(
        kind, rivals, cost, price, np.asarray(volume, dtype=np.float64), by_chance=never, fuel=fuel
    )


def _frame(
    kind: npt.NDArray[np.int64],
    rivals: npt.NDArray[np.int64],
    cost: npt.NDArray[np.float64],
    price: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    *,
    by_chance: npt.NDArray[np.bool_],
    fuel: npt.NDArray[np.float64],
) -> Frame:
    rows = len(target)
    days = np.arange(rows) // 5
    return Frame(
        columns={
            "kind": texts(f"kind-{i}" for i in kind), "rivals": rivals.astype(np.float64),
            "cost": cost, "price": price, "by_chance": by_chance.astype(np.float64), "fuel": fuel,
        },
        target=target,
        amount=None,
        entity=texts(f"offer-{i}" for i in range(rows)),
        as_of=np.datetime64("2023-01-01", "us") + days * np.timedelta64(86_400_000_000, "us"),
        part=None,
        row_numbers=np.arange(1, rows + 1),
    )  # fmt: skip


def texts(values: Any) -> npt.NDArray[np.object_]:
    """Give an array of objects."""
    found = list(values)
    column = np.empty(len(found), dtype=object)
    column[:] = found
    return column


def train(config: ModelConfig, frame: Frame, folder: Path | None = None) -> Fitted:
    """Train through the rails that production takes."""
    report = QualityReport(len(frame), len(frame), {}, ())
    folder = folder or Path(tempfile.mkdtemp(prefix="septet-offers-"))
    return fit_frame(config, frame, report, folder, Stages(Silent()), digest=frame.digest())


def rows_of(frame: Frame, count: int) -> list[dict[str, Any]]:
    """Give rows as a caller would send them."""
    asked = ("kind", "rivals", "cost", "price")
    return [{name: _plain(frame.columns[name][i]) for name in asked} for i in range(count)]


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else float(value)
