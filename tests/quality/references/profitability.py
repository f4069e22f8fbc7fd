"""What well-known methods reach on the rows of profitability: fitted in the same run."""

from dataclasses import dataclass, replace
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold

from core.config import ModelConfig
from core.encoding import Columns, Encoder
from training.frame import Frame
from training.split import Split

Floats = npt.NDArray[np.float64]
MARGIN, RULE = "LightGBM, margin x sales", "sales less known unit cost"
PLAIN, FLAT = "LightGBM on profit", "mean margin"
NORMALISED, QUANTILES = "normalised split conformal", "conformalised quantiles"
_TREES = {
    "num_leaves": 31, "learning_rate": 0.05, "min_data_in_leaf": 10, "lambda_l2": 1.0,
    "num_threads": 1, "verbose": -1, "seed": 1, "deterministic": True, "force_row_wise": True,
}  # fmt: skip
_ROUNDS = 300


@dataclass(frozen=True)
class Part:
    """Rows as numbers, their outcome, and the amount that a margin is a share of."""

    matrix: Floats
    target: Floats
    scale: Floats


@dataclass(frozen=True)
class Parts:
    """The parts that a reference learns from, calibrates on and answers."""

    train: Part
    calibration: Part
    test: Part
    levels: tuple[int, ...]

    @property
    def past(self) -> Part:
        """All rows before the test."""
        pairs = [(getattr(self.train, n), getattr(self.calibration, n)) for n in vars(self.train)]
        return Part(*(np.concatenate(pair) for pair in pairs))


def parts_of(split: Split, config: ModelConfig, *, scale: str | None) -> Parts:
    """Encode a split; ``scale`` names the column that the margin is a share of."""
    past = _joined(split.train, split.calibration)
    encoder = Encoder.fit(config.features, past)

    def part(frame: Frame) -> Part:
        sizes = np.ones(len(frame)) if scale is None else frame.columns[scale]
        return Part(encoder.encode(frame.columns), frame.target, sizes)

    return Parts(part(split.train), part(split.calibration), part(split.test), encoder.categorical)


def with_cost(parts: Parts, split: Split) -> Parts:
    """Add what the item has cost before, and the margin that follows from it."""
    history = UnitCost(split)

    def wider(part: Part, frame: Frame, first: int | None) -> Part:
        cost = history.ratio(frame.columns, first=first)
        margin = 1 - cost / (1 - frame.columns["discount"])
        return replace(part, matrix=np.column_stack([part.matrix, cost, margin]))

    return Parts(
        wider(parts.train, split.train, 0),
        wider(parts.calibration, split.calibration, len(split.train)),
        wider(parts.test, split.test, None),
        levels=parts.levels,
    )


class UnitCost:
    """Share of the list price that an item has cost: its median over past lines.

    Where an item is new, that of its sub-category. A past line does not see itself.
    """

    def __init__(self, split: Split) -> None:
        columns = _joined(split.train, split.calibration)
        target = np.concatenate([split.train.target, split.calibration.target])
        self._ratio = (columns["sales"] - target) / listed(columns)
        self._rows = {
            name: {level: np.flatnonzero(columns[name] == level) for level in set(columns[name])}
            for name in ("product_name", "sub_category")
        }

    def ratio(self, columns: Columns, *, first: int | None) -> Floats:
        """Give the ratio of each row; ``first`` is the place of the first row in the past."""
        pairs = zip(columns["product_name"], columns["sub_category"], strict=True)
        found = np.empty(len(columns["sub_category"]))
        for row, (item, kind) in enumerate(pairs):
            own = -1 if first is None else first + row
            same = self._rows["product_name"].get(item, np.zeros(0, dtype=np.int64))
            kept = same[same != own]
            if not kept.size:
                kept = self._rows["sub_category"][kind]
                kept = kept[kept != own]
            found[row] = np.median(self._ratio[kept])
        return found


def listed(columns: Columns) -> Floats:
    """Give the amount before the discount."""
    return np.asarray(columns["sales"] / (1 - columns["discount"]), dtype=np.float64)


def rule(split: Split) -> Floats:
    """Answer sales less what the item has cost before; shape ``(n,)``."""
    columns = split.test.columns
    cost = UnitCost(split).ratio(columns, first=None) * listed(columns)
    return np.asarray(columns["sales"] - cost, dtype=np.float64)


def mean_margin(parts: Parts) -> Floats:
    """Answer the mean margin of the past times the scale; shape ``(n,)``."""
    past = parts.past
    return np.asarray(parts.test.scale * (past.target.sum() / past.scale.sum()))


def trees(parts: Parts) -> Floats:
    """Answer LightGBM on the margin times the scale; shape ``(n,)``."""
    past = parts.past
    booster = _fit(past, past.target / past.scale, parts.levels)
    return _answer(booster, parts.test.matrix) * parts.test.scale


def conformal_quantiles(parts: Parts, *, level: float) -> tuple[Floats, Floats]:
    """Give conformalised quantiles of LightGBM (Romano, Patterson & Candes 2019).

    Returns
    -------
    tuple of ndarray
        Low and high, each of shape ``(n,)``.
    """
    ends = []
    for share in ((1 - level) / 2, (1 + level) / 2):
        goal = {"objective": "quantile", "alpha": share}
        train = parts.train
        booster = _fit(train, train.target / train.scale, parts.levels, goal)
        ends.append([_answer(booster, part.matrix) for part in (parts.calibration, parts.test)])
    (low, low_test), (high, high_test) = ends
    outcome = parts.calibration.target / parts.calibration.scale
    wider = _conformal(np.maximum(low - outcome, outcome - high), level)
    scale = parts.test.scale
    return (low_test - wider) * scale, (high_test + wider) * scale


def normalised_conformal(parts: Parts, *, level: float) -> tuple[Floats, Floats]:
    """Give split conformal intervals over a learned spread (Lei et al. 2018).

    Returns
    -------
    tuple of ndarray
        Low and high, each of shape ``(n,)``.
    """
    train = parts.train
    margin = train.target / train.scale
    missed = np.empty(len(margin))
    for learn, held in KFold(5, shuffle=True, random_state=1).split(margin):
        kept = Part(train.matrix[learn], train.target[learn], train.scale[learn])
        answer = _answer(_fit(kept, margin[learn], parts.levels), train.matrix[held])
        missed[held] = np.abs(margin[held] - answer)
    centre = _fit(train, margin, parts.levels)
    spread = _fit(train, missed, parts.levels, {"min_data_in_leaf": 40})
    floor = 0.05 * float(missed.mean())

    def width(matrix: Floats) -> Floats:
        return np.maximum(_answer(spread, matrix), floor)

    cal, test = parts.calibration, parts.test
    gaps = np.abs(cal.target / cal.scale - _answer(centre, cal.matrix)) / width(cal.matrix)
    half = _conformal(gaps, level) * width(test.matrix) * test.scale
    middle = _answer(centre, test.matrix) * test.scale
    return middle - half, middle + half


def _conformal(scores: Floats, level: float) -> float:
    """Give the quantile that holds the level for the next row (Vovk et al. 2005)."""
    rank = min(np.ceil(level * (len(scores) + 1)) / len(scores), 1.0)
    return float(np.quantile(scores, rank, method="higher"))


def _fit(
    part: Part, target: Floats, levels: tuple[int, ...], goal: dict[str, Any] | None = None
) -> lightgbm.Booster:
    data = lightgbm.Dataset(part.matrix, target, weight=np.abs(part.scale),
                            categorical_feature=list(levels))  # fmt: skip
    return lightgbm.train({"objective": "l2", **_TREES, **(goal or {})}, data, _ROUNDS)


def _answer(booster: lightgbm.Booster, matrix: Floats) -> Floats:
    return np.asarray(booster.predict(matrix), dtype=np.float64)


def _joined(*frames: Frame) -> dict[str, npt.NDArray[Any]]:
    return {name: np.concatenate([f.columns[name] for f in frames]) for name in frames[0].columns}
