"""The rows as the profitability recipe sees them: sizes, keys, times, and folds in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
import numpy.typing as npt

from bentos.profitability.design import Design, design_of
from bentos.profitability.history import (
    SIZE,
    Habit,
    Sums,
    Volumes,
    facts_by_level,
    fills_of,
    forms_of,
    levels_of,
    volumes_of,
)
from core.config import ModelConfig
from core.encoding import Columns, Encoder, FloatArray
from training.frame import Frame
from training.recipes.profit_history import (
    Clock,
    accumulate,
    choose_habit,
    clock_of,
    mixed_error,
    outcome_parts,
    tabulate,
)

IntArray = npt.NDArray[np.int64]
_ALL = slice(None)
BLOCKS = 4
# A category with more levels than this share of the rows names single rows, not kinds of rows.
MOST_LEVELS_SHARE = 0.02
MOST_LEVELS = 250
# A feature that is 0 in more rows than the rest of this share is no size of a row.
MOST_POSITIVE = 0.9
# Floor of a row's scale, as a share of the median.
LEAST_SCALE = 1e-3


@dataclass(frozen=True)
class Table:
    """Everything a fold needs to know of the rows.

    Parameters
    ----------
    matrix
        Encoded features, of shape ``(n, p)``; muted ones are NaN.
    categorical
        Positions of the categories among them.
    monotone
        Known directions, of length ``p``.
    target
        Outcomes, of shape ``(n,)``, in money.
    volumes
        Sizes of the rows.
    codes, sizes
        Keys of the rows for each level of history, and how many keys a level has.
    clock
        When rows ask and are known.
    """

    matrix: FloatArray
    categorical: tuple[int, ...]
    monotone: tuple[int, ...]
    target: FloatArray
    volumes: Volumes
    codes: tuple[FloatArray, ...]
    sizes: tuple[int, ...]
    clock: Clock

    def take(self, rows: IntArray) -> Table:
        """Give some of the rows."""
        sizes = self.volumes
        return replace(
            self,
            matrix=self.matrix[rows],
            target=self.target[rows],
            volumes=Volumes(sizes.revenue[rows], sizes.scale[rows], sizes.quantity[rows]),
            codes=tuple(code[rows] for code in self.codes),
            clock=self.clock.take(rows),
        )

    def root(self, rows: IntArray | slice = _ALL) -> float:
        """Give the ratio of cost to scale over some rows."""
        sizes = self.volumes
        cost = sizes.revenue[rows] - self.target[rows]
        return float(cost.sum() / sizes.scale[rows].sum())

    def tables(self, rows: IntArray | slice = _ALL) -> list[Sums]:
        """Add up the history that some rows make."""
        parts = outcome_parts(self.target, self.volumes)
        return tabulate(
            [code[rows] for code in self.codes],
            sizes=self.sizes,
            parts={name: part[rows] for name, part in parts.items()},
        )

    def ordered(self) -> list[Sums]:
        """Add up, for each row, the history before it."""
        parts = outcome_parts(self.target, self.volumes)
        return accumulate(self.codes, clock=self.clock, parts=parts)

    def design(self, habit: Habit, sums: Sequence[Sums]) -> Design:
        """Build the inputs of the trees."""
        return design_of(
            self.matrix, habit=habit, facts=facts_by_level(habit, sums), volumes=self.volumes
        )


@dataclass(frozen=True)
class Fold:
    """Rows of one round of training and prediction; positions in a table.

    Parameters
    ----------
    train
        Rows whose outcomes are known: history is added up from them.
    learn
        Those of them that the trees learn from: fewer, where there are very many.
    valid
        Rows to predict.
    """

    train: IntArray
    learn: IntArray
    valid: IntArray


def folds_of(
    train: Frame, late: Frame, config: ModelConfig, *, clock: Clock, most: int
) -> list[Fold]:
    """Part the rows: blocks of the train block predicted in turn, the calibration block last."""
    count = len(train)
    rows, last = np.arange(count), np.arange(count, count + len(late))
    generator = np.random.default_rng(config.training.seed)

    def some(chosen: IntArray, limit: int) -> IntArray:
        if len(chosen) <= limit:
            return chosen
        return np.sort(generator.choice(chosen, limit, replace=False))

    if _is_timed(train, config):
        order = np.argsort(clock.asks[:count], kind="stable")
        borders = clock.asks[order[[count * k // BLOCKS for k in range(1, BLOCKS)]]]
        block = np.searchsorted(borders, clock.asks[:count], side="right")
        pairs = [(rows[block < k], rows[block == k]) for k in range(1, BLOCKS)]
        pairs = [(_known(a, b, clock), b) for a, b in [*pairs, (rows, last)]]
    else:
        part = np.array([crc32(str(e).encode()) % BLOCKS for e in train.entity])
        pairs = [(rows[part != k], rows[part == k]) for k in range(BLOCKS)] + [(rows, last)]
    least = max(30, count // 50)
    kept = [(a, b) for a, b in pairs[:-1] if len(a) >= least and len(b)] + pairs[-1:]
    return [Fold(train=a, learn=some(a, most), valid=some(b, most // 2)) for a, b in kept]


def _known(train: IntArray, valid: IntArray, clock: Clock) -> IntArray:
    """Leave out rows whose outcome was not known when the fold begins, if enough remain.

    Where outcomes take a year and history is short, nearly nothing would remain: the rows are then
    kept, and errors out of fold are a little too small.
    """
    if not len(valid):
        return train
    known = train[clock.known[train] < clock.asks[valid].min()]
    return known if len(known) >= max(100, len(train) // 3) else train


def build_table(
    config: ModelConfig,
    matrix: FloatArray,
    *,
    encoder: Encoder,
    target: FloatArray,
    volumes: Volumes,
    clock: Clock,
) -> tuple[Table, tuple[str, ...]]:
    """Gather what the folds need; mute the categories that name single rows."""
    names, levels = encoder.names, levels_of(config)
    most = min(MOST_LEVELS, max(12, int(MOST_LEVELS_SHARE * len(target))))
    muted = tuple(name for name, known in encoder.levels.items() if len(known) > most)
    codes = tuple(matrix[:, names.index(level)].copy() for level in levels)
    matrix[:, [names.index(name) for name in muted]] = np.nan
    table = Table(
        matrix=matrix,
        categorical=tuple(i for i in encoder.categorical if names[i] not in muted),
        monotone=tuple(feature.monotone for feature in config.features.values()),
        target=target,
        volumes=volumes,
        codes=codes,
        sizes=tuple(len(encoder.levels[level]) for level in levels),
        clock=clock,
    )
    return table, muted


@dataclass(frozen=True)
class Choice:
    """A scale, and how history is read on it.

    Parameters
    ----------
    form
        Name of the scale: see ``forms_of``.
    habit
        How history is read.
    volumes
        Sizes of all rows.
    fills
        What stands in for nulls, and the limits of the scale.
    error
        Mixed error of the structural rule on the train block.
    """

    form: str
    habit: Habit
    volumes: Volumes
    fills: dict[str, float]
    error: float


def choose_form(
    config: ModelConfig,
    columns: Columns,
    *,
    matrix: FloatArray,
    target: FloatArray,
    clock: Clock,
    train_rows: int,
) -> Choice:
    """Choose the scale whose structural rule errs least on the train block.

    Parameters
    ----------
    config, columns, target, clock
        The rows of both blocks, the train block first.
    matrix
        Their encoded features, of shape ``(n, p)``.
    train_rows
        Rows of the train block.
    """
    rows = np.arange(train_rows)
    codes = tuple(matrix[:, list(config.features).index(level)] for level in levels_of(config))

    def choice_of(form: str) -> Choice:
        fills, volumes = _sized(config, columns, form)
        part = Table(
            matrix=matrix[:, :0], categorical=(), monotone=(), target=target, volumes=volumes,
            codes=codes, sizes=(), clock=clock,
        ).take(rows)  # fmt: skip
        sums = part.ordered()
        habit = choose_habit(
            sums, volumes=part.volumes, target=part.target, item=bool(config.role("item")),
            per_unit=bool(config.role("quantity")),
        )  # fmt: skip
        error = mixed_error(part.target, part.design(habit, sums).structure)
        return Choice(form, habit, volumes, fills, error)

    forms = (*forms_of(config), *_sizes(config, columns, target=target, rows=rows))
    return min((choice_of(form) for form in forms), key=lambda choice: choice.error)


def _sized(config: ModelConfig, columns: Columns, form: str) -> tuple[dict[str, float], Volumes]:
    """Read the sizes of the rows, with a floor under the scale: nothing is divided by 0."""
    fills = fills_of(config, columns, form=form)
    volumes = volumes_of(config, columns, form=form, fills=fills)
    if form != "amount":
        some = volumes.scale[volumes.scale > 0]
        fills["least_scale"] = LEAST_SCALE * float(np.median(some)) if some.size else 1.0
        volumes = volumes_of(config, columns, form=form, fills=fills)
        fills["mean_scale"] = float(volumes.scale.mean())
    return fills, volumes


def _sizes(
    config: ModelConfig, columns: Columns, *, target: FloatArray, rows: IntArray
) -> tuple[str, ...]:
    """Give the feature that profit is most nearly a fixed share of, as a form, if any is."""
    errors: dict[str, float] = {}
    for name, feature in config.features.items():
        if feature.type not in {"number", "integer"} or feature.nullable:
            continue
        size = columns[name][rows]
        if np.isnan(size).any() or size.min() < 0 or (size > 0).mean() < MOST_POSITIVE:
            continue
        errors[name] = mixed_error(target[rows], size * (target[rows].sum() / size.sum()))
    best = min(errors, key=lambda name: errors[name], default=None)
    return () if best is None else (f"{SIZE}{best}",)


def clock_over(train: Frame, late: Frame, config: ModelConfig) -> Clock:
    """Build the clock of both blocks; without times an arbitrary, seeded order stands in."""
    count = len(train) + len(late)
    order = np.random.default_rng(config.training.seed).permutation(count).astype(np.int64)
    timed = _is_timed(train, config)
    as_of = None
    if timed and train.as_of is not None and late.as_of is not None:
        as_of = np.concatenate([train.as_of, late.as_of])
    return clock_of(as_of, horizon_days=config.target.horizon_days or 0, order=order)


def _is_timed(train: Frame, config: ModelConfig) -> bool:
    """Say whether the blocks follow each other in time."""
    return train.as_of is not None and config.split.rule != "entity"
