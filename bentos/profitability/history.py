"""What the cost of a row usually is: learned from history, looked up from the row.

The profit of a row is written as ``revenue - scale x ratio``. The scale is what the cost grows with
(a planned cost, the list price, the revenue; 1 where there is none), and the ratio is looked up:
of the item where it is known, else of its group, else of all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.config import ModelConfig
from core.encoding import Columns, FloatArray

# Prefix of a form that takes a feature as the scale of the profit itself.
SIZE = "size:"
UNSEEN, DOUBTFUL, ALIKE = 0, 1, 2
STATES = 3
# Relative difference from which a row is no longer taken to be like its item's history.
TOLERANCE = 0.02
# A discount is cut here: the list price behind a gift is not known.
MOST_DISCOUNT = 0.95


@dataclass(frozen=True)
class Volumes:
    """The sizes of ``n`` rows, each of shape ``(n,)``.

    Parameters
    ----------
    revenue
        Revenue of the row, in money; 0 where profit is modelled without a scale.
    scale
        What the cost grows with; above 0.
    quantity
        Units sold; 1 where the config names none.
    """

    revenue: FloatArray
    scale: FloatArray
    quantity: FloatArray


def forms_of(config: ModelConfig) -> tuple[str, ...]:
    """Give the scales that the roles of a config allow.

    ``cost``, ``list`` and ``revenue`` are what cost grows with; ``amount`` is no scale at all. A
    form ``size:<feature>`` is not of a role: profit itself then grows with that feature.
    """
    if not config.role("revenue"):
        return ("amount",)
    forms = ["cost"] if config.role("cost") else []
    forms.append("list" if config.role("discount") else "revenue")
    return (*forms, "amount")


def has_revenue(form: str) -> bool:
    """Say whether a form starts from the revenue of a row."""
    return form in {"cost", "list", "revenue"}


def levels_of(config: ModelConfig) -> tuple[str, ...]:
    """Give the category features whose history is kept, from coarse to fine."""
    names = (*config.role("groups")[::-1], *config.role("item"))
    return tuple(name for name in names if config.features[name].type == "category")


def fills_of(config: ModelConfig, columns: Columns, *, form: str) -> dict[str, float]:
    """Give what stands in for a null of each size: its median in training; 0 for a discount."""
    names = [name for role in ("revenue", "quantity", "cost") for name in config.role(role)]
    if form.startswith(SIZE):
        names.append(form.removeprefix(SIZE))
    fills = dict.fromkeys(config.role("discount"), 0.0)
    for name in names:
        known = columns[name][~np.isnan(columns[name])]
        fills[name] = float(np.median(known)) if known.size else 0.0
    return fills


def volumes_of(
    config: ModelConfig, columns: Columns, *, form: str, fills: Mapping[str, float]
) -> Volumes:
    """Read the sizes of rows.

    Parameters
    ----------
    config
        Names the features that play the roles.
    columns
        One array of shape ``(n,)`` a feature.
    form
        Which scale to use.
    fills
        What stands in for a null, by feature.
    """
    count = len(columns[next(iter(config.features))])

    def read(role: str, otherwise: float) -> FloatArray:
        names = config.role(role)
        return known(names[0]) if names else np.full(count, otherwise)

    def known(name: str) -> FloatArray:
        values = np.asarray(columns[name], dtype=np.float64)
        return np.where(np.isnan(values), fills[name], values)

    # Where profit is modelled as it is, revenue is a feature like any other.
    revenue = read("revenue", 0.0) if has_revenue(form) else np.zeros(count)
    scale = np.ones(count)
    if form == "cost":
        scale = read("cost", 1.0)
    elif form == "list":
        scale = revenue / (1.0 - np.clip(read("discount", 0.0), 0.0, MOST_DISCOUNT))
    elif form == "revenue":
        scale = revenue
    elif form.startswith(SIZE):
        scale = known(form.removeprefix(SIZE))
    if form != "amount":
        least = fills.get("least_scale", 0.0)
        scale = np.maximum(np.abs(scale), least)
    quantity = np.maximum(np.abs(read("quantity", 1.0)), 1e-9)
    return Volumes(revenue=revenue, scale=scale, quantity=quantity)


@dataclass(frozen=True)
class Sums:
    """What the history of a row's key adds up to, each of shape ``(n,)``.

    Parameters
    ----------
    count
        Rows of history.
    cost, scale, quantity
        Totals over them.
    ratio, square
        Total of the ratio cost / scale, and of its square.
    """

    count: FloatArray
    cost: FloatArray
    scale: FloatArray
    quantity: FloatArray
    ratio: FloatArray
    square: FloatArray

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the totals, in order."""
        return ("count", "cost", "scale", "quantity", "ratio", "square")

    def take(self, rows: npt.NDArray[np.int64]) -> Sums:
        """Give the totals at some places."""
        return Sums(*(getattr(self, name)[rows] for name in self.names()))

    def at(self, codes: FloatArray) -> Sums:
        """Give the totals of the keys with these codes; all 0 for NaN."""
        known = ~np.isnan(codes)
        place = np.where(known, codes, 0.0).astype(np.int64)
        if not self.count.size:
            return Sums(*(np.zeros(len(codes)) for _ in self.names()))
        return Sums(*(np.where(known, getattr(self, n)[place], 0.0) for n in self.names()))


@dataclass(frozen=True)
class Habit:
    """How history is read.

    Parameters
    ----------
    root
        Ratio of cost to scale over all rows.
    item_weight, group_weight
        Rows that the coarser level weighs as much as, when a finer level is shrunk towards it.
    per_unit
        Whether an item's cost is kept per unit sold, rather than as a ratio to the scale.
    has_item
        Whether the finest level is an item.
    """

    root: float
    item_weight: float
    group_weight: float
    per_unit: bool
    has_item: bool


@dataclass(frozen=True)
class Standing:
    """What history says of ``n`` rows.

    Parameters
    ----------
    ratio
        Shape ``(n,)``: the expected ratio of cost to scale.
    steps
        Shape ``(n, levels)``: what each level adds to the ratio of the level above it.
    signs
        Shape ``(n, 4 x levels)``: derived inputs of the trees.
    state
        Shape ``(n,)``: unseen, doubtful, or alike.
    """

    ratio: FloatArray
    steps: FloatArray
    signs: FloatArray
    state: npt.NDArray[np.int64]


SIGNS_PER_LEVEL = 4
_COUNT, _OWN, _UNIT, _SHARE, _SPREAD = range(5)


def facts_of(habit: Habit, total: Sums, *, item: bool) -> FloatArray:
    """Turn totals into what is read from them.

    Parameters
    ----------
    habit
        How to read them.
    total
        Totals of ``n`` keys or rows.
    item
        Whether the level is the item's.

    Returns
    -------
    ndarray of shape (n, 5)
        Rows of history, own ratio (or cost per unit), scale per unit, share that the own ratio
        counts for, spread of the ratio; NaN where history says nothing.
    """
    known = total.count > 0
    rows = np.where(known, total.count, 1.0)
    per_unit = item and habit.per_unit
    own = total.cost / np.where(known, total.quantity if per_unit else total.scale, 1.0)
    unit = np.where(known, total.scale, np.nan) / np.where(known, total.quantity, 1.0)
    weight = habit.item_weight if item else habit.group_weight
    share = np.where(known, total.count / (rows + weight), 0.0)
    mean = total.ratio / rows
    spread = np.sqrt(np.maximum(total.square / rows - mean * mean, 0.0))
    spread = np.where(total.count > 1, spread, np.nan)
    return np.stack([total.count, own, unit, share, spread], axis=1)


def facts_by_level(habit: Habit, sums: Sequence[Sums]) -> list[FloatArray]:
    """Give ``facts_of`` every level, the coarsest first."""
    last = len(sums) - 1
    return [
        facts_of(habit, total, item=habit.has_item and level == last)
        for level, total in enumerate(sums)
    ]


def stand(habit: Habit, facts: Sequence[FloatArray], volumes: Volumes) -> Standing:
    """Read the history of rows, level by level.

    Parameters
    ----------
    habit
        How to read it.
    facts
        For each level, coarsest first: the facts of each row's key, of shape ``(n, 5)``.
    volumes
        The sizes of the rows.
    """
    count = len(volumes.scale)
    ratio = np.full(count, habit.root)
    steps = np.zeros((count, len(facts)))
    signs = np.empty((count, SIGNS_PER_LEVEL * len(facts)))
    state = np.full(count, ALIKE)
    per_unit = volumes.scale / volumes.quantity
    for level, fact in enumerate(facts):
        last = level == len(facts) - 1
        own = fact[:, _OWN]
        if last and habit.has_item and habit.per_unit:
            own = own / per_unit
        step = fact[:, _SHARE] * (own - ratio)
        ratio = ratio + step
        steps[:, level] = step
        known = fact[:, _COUNT] > 0
        off = per_unit / fact[:, _UNIT] - 1.0
        at = SIGNS_PER_LEVEL * level
        signs[:, at] = np.where(known, ratio, np.nan)
        signs[:, at + 1] = fact[:, _COUNT]
        signs[:, at + 2] = fact[:, _SPREAD]
        signs[:, at + 3] = off
        if last:
            loose = (np.abs(off) > TOLERANCE) | (fact[:, _SPREAD] > TOLERANCE)
            state = np.where(known, np.where(loose, DOUBTFUL, ALIKE), UNSEEN)
    return Standing(ratio=ratio, steps=steps, signs=signs, state=state)


class Ledger:
    """The history of one level, ready to be asked.

    Parameters
    ----------
    facts
        Shape ``(keys, 5)``: what ``facts_of`` gave for every key.
    """

    def __init__(self, facts: FloatArray) -> None:
        unknown = np.array([[0.0, 0.0, np.nan, 0.0, np.nan]])
        self._facts = np.concatenate([facts, unknown])

    def at(self, codes: FloatArray) -> FloatArray:
        """Give the facts of the keys with these codes; nothing is known of NaN."""
        place = np.where(np.isnan(codes), len(self._facts) - 1, codes).astype(np.int64)
        return self._facts[place]


def to_arrays(tables: Mapping[str, Sums]) -> dict[str, npt.NDArray[Any]]:
    """Give the arrays from which ``from_arrays`` builds the same tables."""
    return {
        f"{level}.{name}": getattr(total, name)
        for level, total in tables.items()
        for name in Sums.names()
    }


def from_arrays(arrays: Mapping[str, npt.NDArray[Any]], levels: Sequence[str]) -> dict[str, Sums]:
    """Build the tables that ``to_arrays`` described."""
    return {level: Sums(*(arrays[f"{level}.{name}"] for name in Sums.names())) for level in levels}
