"""Choosing the trees of the profitability model by predictions made out of fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from bentos.profitability.design import Design
from bentos.profitability.history import STATES, Habit, Sums, Volumes
from core.encoding import FloatArray
from training.recipes.profit_history import mixed_error
from training.recipes.profit_table import Fold, Table

IntArray = npt.NDArray[np.int64]
Kind = Literal["relative", "relative_squared", "absolute", "absolute_huber"]
MANY_ROWS = 50_000
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_ALL = slice(None)
CHECKPOINTS = (15, 30, 50, 75, 110, 150, 200, 260)
# Checkpoints without gain after which no more trees are grown.
PATIENCE = 2


@dataclass(frozen=True)
class Blend:
    """Which trees correct the structural rule, and by how much.

    Parameters
    ----------
    kinds
        One or two kinds, averaged.
    rounds
        Trees of each.
    shares
        How much of the correction counts, by state of the row's history.
    """

    kinds: tuple[Kind, ...]
    rounds: tuple[int, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of rows by models that never saw them.

    Parameters
    ----------
    rows
        Positions in the table, of shape ``(m,)``.
    fold
        Which fold each comes from, of shape ``(m,)``.
    design
        Inputs as they were out of fold.
    predicted
        Amounts, of shape ``(m,)``.
    """

    rows: IntArray
    fold: IntArray
    design: Design
    predicted: FloatArray


def kinds_of(*, relative: bool) -> tuple[Kind, ...]:
    """Give the kinds of correction to try."""
    if relative:
        return ("relative", "relative_squared", "absolute")
    return ("absolute", "absolute_huber")


def begin_trees(
    kind: Kind, *, table: Table, design: Design, seed: int, threads: int
) -> lgb.Booster:
    """Prepare the trees of one kind, which fit what the structural rule leaves over.

    Parameters
    ----------
    kind
        ``relative`` fits the gap as a share of the scale, weighted by the scale (``_squared``: by
        its square, which is the squared error in money); ``absolute`` fits the gap in money.
    table, design
        The rows to learn from.
    seed, threads
        As LightGBM has them.
    """
    gap = table.target - design.structure
    weight = None
    parameters = parameters_of(len(gap), seed=seed, threads=threads)
    if kind in {"relative", "relative_squared"}:
        scale = table.volumes.scale
        gap = gap / scale
        weight = np.minimum(scale / scale.mean(), np.quantile(scale, 0.995) / scale.mean())
        if kind == "relative_squared":
            weight = weight * weight
        weight = weight / weight.mean()
    if kind == "absolute_huber":
        centre = np.abs(gap - np.median(gap))
        parameters |= {"objective": "huber", "alpha": max(float(np.quantile(centre, 0.9)), 1e-9)}
    else:
        parameters["objective"] = "regression"
    extra = design.matrix.shape[1] - len(table.monotone)
    if any(table.monotone):
        parameters["monotone_constraints"] = [*table.monotone, *[0] * extra]
    return begin_booster(
        design.matrix, gap, weight=weight, parameters=parameters, categorical=table.categorical
    )


def begin_booster(
    matrix: FloatArray,
    label: FloatArray,
    *,
    weight: FloatArray | None,
    parameters: dict[str, Any],
    categorical: Sequence[int],
) -> lgb.Booster:
    """Prepare a booster without trees; the same data and seed give the same trees."""
    data = lgb.Dataset(
        matrix,
        label,
        weight=weight,
        categorical_feature=list(categorical),
        params={
            "verbosity": -1,
            "max_bin": 255,
            "feature_pre_filter": False,
            "num_threads": parameters["num_threads"],
        },
    )
    return lgb.Booster(parameters, data)


def grow(trees: lgb.Booster, rounds: int) -> lgb.Booster:
    """Add trees, and give the booster back."""
    for _ in range(rounds):
        trees.update()
    return trees


def parameters_of(rows: int, *, seed: int, threads: int) -> dict[str, Any]:
    """Give LightGBM's parameters: small leaves and strong shrinkage, deterministic."""
    return {
        "learning_rate": 0.08,
        "num_leaves": 31 if rows >= MANY_ROWS else 15,
        "min_data_in_leaf": int(np.clip(rows // 100, 5, 40)),
        "lambda_l2": 5.0,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "cat_smooth": 20.0,
        "min_data_per_group": 20,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads_for(rows, threads),
        "verbosity": -1,
    }


def threads_for(rows: int, threads: int) -> int:
    """Give the threads to use: a small table gains nothing, and loses much on shared cores."""
    return threads if rows >= MANY_ROWS else 1


def amount_scale(kind: Kind, volumes: Volumes) -> FloatArray:
    """Give what turns the trees' output into money, of shape ``(n,)``."""
    return volumes.scale if kind.startswith("relative") else np.ones(len(volumes.scale))


def search(
    table: Table, folds: Sequence[Fold], *, habit: Habit, relative: bool, seed: int, threads: int
) -> tuple[Blend, OutOfFold]:
    """Predict every fold by every kind at several numbers of trees, and choose.

    Parameters
    ----------
    table
        The rows.
    folds
        At least one fold.
    habit
        How history is read.
    relative
        Whether the rows have a scale.
    seed, threads
        As LightGBM has them.
    """
    before = table.ordered()
    cases = [_case(table, fold, before=before, habit=habit) for fold in folds]
    design = Design.stack([case.asked for case in cases])
    rows = np.concatenate([fold.valid for fold in folds])
    target = table.target[rows]
    paths = [
        _path(kind, cases, design=design, target=target, seed=seed, threads=threads)
        for kind in kinds_of(relative=relative)
    ]
    blend, correction = _choose(paths, design=design, target=target)
    number = np.concatenate([np.full(len(f.valid), i) for i, f in enumerate(folds)])
    return blend, OutOfFold(
        rows=rows, fold=number, design=design, predicted=design.structure + correction
    )


@dataclass(frozen=True)
class _Case:
    """A fold, ready: what trees learn from, and what they are asked."""

    train: Table
    learn: Design
    valid: Table
    asked: Design


@dataclass(frozen=True)
class _Path:
    """What trees of one kind do out of fold, at the best number of them."""

    kind: Kind
    rounds: int
    correction: FloatArray


def _case(table: Table, fold: Fold, *, before: Sequence[Sums], habit: Habit) -> _Case:
    """Give a fold its inputs: history as it was known before the fold."""
    habit = replace(habit, root=table.root(fold.train))
    train, valid = table.take(fold.learn), table.take(fold.valid)
    learn = train.design(habit, [sums.take(fold.learn) for sums in before])
    tables = table.tables(fold.train)
    sums = [known.at(code) for known, code in zip(tables, valid.codes, strict=True)]
    return _Case(train, learn, valid, valid.design(habit, sums))


def _path(
    kind: Kind,
    cases: Sequence[_Case],
    *,
    design: Design,
    target: FloatArray,
    seed: int,
    threads: int,
) -> _Path:
    """Grow the trees of every fold side by side, until more of them do not help."""
    growing = [
        begin_trees(kind, table=case.train, design=case.learn, seed=seed, threads=threads)
        for case in cases
    ]
    units = [amount_scale(kind, case.valid.volumes) for case in cases]
    correction = np.zeros(len(target))
    best, least, waited, grown = _Path(kind, 0, correction), np.inf, 0, 0
    for rounds in CHECKPOINTS:
        parts = [
            np.asarray(
                grow(trees, rounds - grown).predict(
                    case.asked.matrix, start_iteration=grown, num_iteration=rounds - grown,
                    num_threads=1,
                )
            )
            * unit
            for trees, case, unit in zip(growing, cases, units, strict=True)
        ]  # fmt: skip
        correction, grown = correction + np.concatenate(parts), rounds
        # The number of trees is sought with the shares it would get: a correction that helps rows
        # without history must not lose for what it does to rows whose cost is known.
        error = _shares_of(correction, design=design, target=target)[1]
        waited += 1
        if error < least:
            best, least, waited = _Path(kind, rounds, correction), error, 0
        if waited == PATIENCE:
            break
    return best


def _choose(
    paths: Sequence[_Path], *, design: Design, target: FloatArray
) -> tuple[Blend, FloatArray]:
    """Choose one kind, or two averaged, and their shares, by the error out of fold."""
    tried: list[tuple[float, Blend, FloatArray]] = []
    for way in [*((path,) for path in paths), *combinations(paths, 2)]:
        correction = np.mean([path.correction for path in way], axis=0)
        shares, error = _shares_of(correction, design=design, target=target)
        blend = Blend(
            kinds=tuple(path.kind for path in way),
            rounds=tuple(path.rounds for path in way),
            shares=tuple(float(share) for share in shares),
        )
        tried.append((error, blend, correction * shares[design.state]))
    _, blend, correction = min(tried, key=lambda found: found[0])
    return blend, correction


def _shares_of(
    correction: FloatArray, *, design: Design, target: FloatArray
) -> tuple[FloatArray, float]:
    """Choose how much of a correction counts in each state; give its error as well."""
    gap = target - design.structure
    shares = np.zeros(STATES)
    error = mixed_error(target, design.structure)
    for state in range(STATES):
        here = np.where(design.state == state, correction, 0.0)
        others = correction * np.where(design.state == state, 0.0, shares[design.state])
        if not here.any():
            continue
        for share in SHARES[1:]:
            now = mixed_error(target, target - gap + others + share * here)
            if now < error:
                shares[state], error = share, now
    return shares, error
