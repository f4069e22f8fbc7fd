"""How the profitability model is trained, and measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from pydantic import Field
from scipy.stats import rankdata

from bentos.predictor import ENCODER
from bentos.profitability.design import Design
from bentos.profitability.history import (
    STATES,
    Habit,
    levels_of,
    to_arrays,
)
from bentos.profitability.predictor import HISTORY, RULE
from core.artifact import Artifact, Draft
from core.config import ModelConfig
from core.encoding import Columns, Encoder, FloatArray
from training.frame import Frame
from training.options import RecipeOptions, read_options
from training.recipes.profit_figures import figures_of
from training.recipes.profit_interval import Residuals, calibrate, interval_score
from training.recipes.profit_search import Blend, OutOfFold, begin_trees, grow, search
from training.recipes.profit_table import (
    Choice,
    Table,
    build_table,
    choose_form,
    clock_over,
    folds_of,
)
from training.split import Split

IntArray = npt.NDArray[np.int64]
Outputs = Mapping[str, npt.NDArray[Any]]
# A state of history with fewer rows out of fold than this is helped by others.
FEW_ROWS = 50
MOST_SPARE = 2000
# A level is reported for its own coverage when it holds at least this many rows, and this share.
LEAST_LEVEL_ROWS = 100
LEAST_LEVEL_SHARE = 0.05


class Options(RecipeOptions):
    """What ``training.options`` of the config may set.

    Parameters
    ----------
    level
        Share of outcomes that the interval is to hold.
    seeds
        Trees are averaged over so many.
    threads
        Cores that LightGBM may use.
    search_rows
        Most rows that choices are made on.
    """

    level: float = Field(default=0.9, gt=0, lt=1)
    seeds: int = Field(default=2, ge=1)
    threads: int = Field(default=1, ge=1)
    search_rows: int = Field(default=20_000, ge=100)


def fit(split: Split, config: ModelConfig, draft: Draft) -> None:
    """Train on the train block, calibrate on the calibration block, and write the model's files.

    The structural rule, the kind and number of trees, and how much they count are chosen by
    predictions out of fold, in the order of time. The final rule and trees then learn from both
    blocks; the test block is never seen.

    Parameters
    ----------
    split
        The parts of the table.
    config
        The model's config, with the options above.
    draft
        The artifact that is being written.

    Raises
    ------
    ConfigError
        An option is unknown, or not in its range.
    """
    options = read_options(config, Options)
    rows = _gather(split, config)
    choice, table, muted = rows.choice, rows.table, rows.muted
    seed, threads = config.training.seed, options.threads
    folds = folds_of(rows.train, rows.late, config, clock=table.clock,
                     most=options.search_rows)  # fmt: skip
    blend, known = search(
        table, folds, habit=choice.habit, relative=choice.form != "amount", seed=seed,
        threads=threads,
    )  # fmt: skip
    interval, spreads = calibrate(
        _residuals(table, known, choice.habit), level=options.level, seed=seed, threads=threads
    )
    habit = replace(choice.habit, root=table.root())
    trees = _write_trees(
        draft, table, habit, blend=blend, seeds=options.seeds, seed=seed, threads=threads
    )
    levels = levels_of(config)
    draft.write_json(ENCODER, rows.encoder.to_json())
    draft.write_arrays(HISTORY, **to_arrays(dict(zip(levels, table.tables(), strict=True))))
    rule = {
        "form": choice.form,
        "fills": choice.fills,
        "levels": list(levels),
        "muted": list(muted),
        "habit": asdict(habit),
        "base_amount": float(table.target.mean()),
        "shares": list(blend.shares),
        "trees": trees,
        "interval": interval.to_json(),
        "interval_files": _write_spreads(draft, spreads),
    }
    draft.write_json(RULE, rule)


@dataclass(frozen=True)
class Rows:
    """Both blocks, ready to learn from; the train block stands first.

    Parameters
    ----------
    train, late
        The labelled rows of the train and the calibration block.
    columns, encoder
        Their features, and what encodes them.
    choice
        The scale, and how history is read.
    table
        What the folds need.
    muted
        Features that the trees do not see.
    """

    train: Frame
    late: Frame
    columns: Columns
    encoder: Encoder
    choice: Choice
    table: Table
    muted: tuple[str, ...]


def _gather(split: Split, config: ModelConfig) -> Rows:
    """Put both blocks together, and choose the structural rule."""
    train, late = _labelled(split.train), _labelled(split.calibration)
    columns = {
        name: np.concatenate([train.columns[name], late.columns[name]]) for name in config.features
    }
    target = np.concatenate([train.target, late.target])
    encoder = Encoder.fit(config.features, columns)
    matrix = encoder.encode(columns)
    clock = clock_over(train, late, config)
    choice = choose_form(
        config, columns, matrix=matrix, target=target, clock=clock, train_rows=len(train)
    )
    table, muted = build_table(
        config, matrix, encoder=encoder, target=target, volumes=choice.volumes, clock=clock
    )
    return Rows(train, late, columns, encoder, choice, table, muted)


def _labelled(frame: Frame) -> Frame:
    """Leave out the rows without an outcome."""
    known = ~np.isnan(frame.target)
    return frame if known.all() else frame.take(known)


def _residuals(table: Table, known: OutOfFold, habit: Habit) -> Residuals:
    """Set outcomes beside the predictions made out of fold.

    A state that hardly occurs there (an unseen item, where all items were known long ago) is still
    asked when serving: rows that were in it when they were first sold stand in.
    """
    rows, design, predicted = known.rows, known.design, known.predicted
    calibrates = known.fold == known.fold.max()
    rare = [s for s in range(STATES) if (known.design.state == s).sum() < FEW_ROWS]
    if rare and table.codes:
        early = table.design(habit, table.ordered())
        spare = np.concatenate([np.flatnonzero(early.state == s)[-MOST_SPARE:] for s in rare])
        rows = np.concatenate([rows, spare])
        predicted = np.concatenate([predicted, early.structure[spare]])
        calibrates = np.concatenate([calibrates, np.zeros(len(spare), dtype=np.bool_)])
        design = Design.stack([design, early.take(spare)])
    scale = table.volumes.scale[rows]
    return Residuals(
        inputs=np.column_stack([design.matrix, predicted / scale]),
        target=table.target[rows],
        predicted=predicted,
        scale=scale,
        state=design.state,
        calibrates=calibrates,
        spare=np.arange(len(rows)) >= len(known.rows),
        categorical=table.categorical,
    )


def _write_trees(
    draft: Draft,
    table: Table,
    habit: Habit,
    *,
    blend: Blend,
    seeds: int,
    seed: int,
    threads: int,
) -> list[dict[str, Any]]:
    """Fit the chosen trees on all rows, and write them."""
    written: list[dict[str, Any]] = []
    if not any(blend.shares) or not any(blend.rounds):
        return written
    design = table.design(habit, table.ordered())
    for kind, rounds in zip(blend.kinds, blend.rounds, strict=True):
        for again in range(seeds if rounds else 0):
            trees = begin_trees(
                kind, table=table, design=design, seed=seed + again, threads=threads
            )
            grow(trees, rounds)
            name = f"trees_{kind}_{again}.txt"
            draft.write_text(name, trees.model_to_string())
            written.append(
                {
                    "file": name,
                    "weight": 1.0 / (seeds * len(blend.kinds)),
                    "relative": kind.startswith("relative"),
                }
            )
    return written


def _write_spreads(draft: Draft, spreads: Sequence[lgb.Booster]) -> list[str]:
    """Write the trees of the interval, and name their files."""
    names = [f"spread_{i}.txt" for i in range(len(spreads))]
    for name, trees in zip(names, spreads, strict=True):
        draft.write_text(name, trees.model_to_string())
    return names


def evaluate(outputs: Outputs, frame: Frame) -> dict[str, float]:
    """Measure answers against outcomes.

    Parameters
    ----------
    outputs
        What ``Predictor.score`` gave: arrays of shape ``(n,)``.
    frame
        The ``n`` rows; those without an outcome are left out.

    Returns
    -------
    dict
        ``r2_score``, ``spearman_score`` (1 is best); ``mae_error``, ``winkler_error``,
        ``mean_width_amount`` in money and ``wmape_error`` as a share of the outcomes' absolute sum
        (0 is best); ``bias_ratio`` (total predicted less total outcome, over the latter's absolute
        sum; 0 is best); ``coverage_ratio`` and ``worst_coverage_ratio`` (of the worst level of any
        category that holds 5 % of the rows; the level is best).
    """
    known = ~np.isnan(frame.target)
    target = frame.target[known]
    predicted, low, high = (
        outputs[name][known] for name in ("profit_amount", "low_amount", "high_amount")
    )
    gap = target - predicted
    total = max(float(np.abs(target).sum()), 1e-300)
    inside = (target >= low) & (target <= high)
    scores = interval_score(target, low=low, high=high, level=float(outputs["level"][0]))
    variance = max(float(((target - target.mean()) ** 2).mean()), 1e-300)
    return {
        "r2_score": 1.0 - float((gap**2).mean()) / variance,
        "mae_error": float(np.abs(gap).mean()),
        "wmape_error": float(np.abs(gap).sum()) / total,
        "spearman_score": _spearman(target, predicted),
        "bias_ratio": float(-gap.sum()) / total,
        "coverage_ratio": float(inside.mean()),
        "worst_coverage_ratio": _worst_coverage(inside, frame, known),
        "winkler_error": float(scores.mean()),
        "mean_width_amount": float((high - low).mean()),
    }


def _spearman(first: FloatArray, second: FloatArray) -> float:
    """Give the rank correlation; 0 where one of them is constant."""
    one, two = rankdata(first), rankdata(second)
    one, two = one - one.mean(), two - two.mean()
    size = float(np.sqrt((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / size if size else 0.0


def _worst_coverage(
    inside: npt.NDArray[np.bool_], frame: Frame, known: npt.NDArray[np.bool_]
) -> float:
    """Give the least coverage of any level that holds enough rows."""
    worst = float(inside.mean())
    least = max(LEAST_LEVEL_ROWS, int(LEAST_LEVEL_SHARE * len(inside)))
    for values in frame.columns.values():
        if values.dtype != object:
            continue
        names, codes = np.unique(values[known].astype(str), return_inverse=True)
        counts = np.bincount(codes, minlength=len(names))
        held = np.bincount(codes, inside, minlength=len(names))
        enough = counts >= least
        if enough.any():
            worst = min(worst, float((held[enough] / counts[enough]).min()))
    return worst


def losses(outputs: Outputs, frame: Frame) -> FloatArray:
    """Give the absolute error of each row with an outcome, in money: lower is better."""
    known = ~np.isnan(frame.target)
    return np.asarray(np.abs(frame.target[known] - outputs["profit_amount"][known]))


def figures(outputs: Outputs, frame: Frame, artifact: Artifact) -> Iterator[tuple[str, Figure]]:
    """Draw what a person looks at: outcomes, residuals, coverage, importance."""
    yield from figures_of(outputs, frame, artifact)
