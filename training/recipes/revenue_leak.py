"""Trains ``revenue_leak``: peers from every row, weights and trees from the audited ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bentos.predictor import ENCODER
from bentos.revenue_leak.bill import Gaps, Roles, measure, read_bill
from bentos.revenue_leak.evidence import sum_terms, tree_terms
from bentos.revenue_leak.peers import Chain, Standing
from bentos.revenue_leak.predictor import look_up
from core.artifact import Draft
from core.config import ModelConfig
from core.encoding import Columns, Encoder, FloatArray
from training.options import RecipeOptions, read_options
from training.recipes.revenue_figures import figures
from training.recipes.revenue_measures import evaluate, losses
from training.recipes.revenue_peers import learn_chain
from training.recipes.revenue_sum import (
    IntArray,
    Sum,
    assign_folds,
    fit_line,
    fit_sum,
    stack_sum,
)
from training.recipes.revenue_trees import TreeOptions, fit_trees
from training.split import Split

__all__ = ["evaluate", "figures", "fit", "losses"]

FOLDS = 5
# Fewer leaks, or fewer sound records, than this cannot set weights: theory does.
LEAST_OF_A_CLASS = 20
# A category with more levels tells by its leak history; one with fewer is read as it is.
MOST_PLAIN_LEVELS = 24
# Up to so many labelled rows one core grows the trees faster than two that wait for each other.
ONE_CORE_ROWS = 50_000
# Rows' worth of trust in the overall share of leaks when a level's own is judged.
HISTORY_PRIOR_ROWS = 10.0
# Without labels: log-odds by which an approved deviation is less suspect. Some 70 % of the sound
# deviations carry a mark and some 8 % of the leaks: log(.08 / .70) - log(.92 / .30) is -3.3.
APPROVED_LOG_ODDS = -3.0


class Options(RecipeOptions):
    """What ``training.options`` of the config may set.

    Parameters
    ----------
    sides
        Without labels: ``under``, only records that lie below their fair bill are suspected, or
        ``both``, where a reported price that is too high is suspect as well.
    leak_share
        Without labels: the share of leaks that the mean probability is set to.
    leaves, learning_rate, most_trees, leaf_rows, leaf_penalty
        Of the trees.
    threads
        Cores that LightGBM may use on a large table; on a small one they would wait for each other.
    """

    sides: Literal["under", "both"] = "under"
    leak_share: float = Field(default=0.04, gt=0, lt=0.5)
    leaves: int = Field(default=16, ge=2)
    learning_rate: float = Field(default=0.04, gt=0, le=1)
    most_trees: int = Field(default=600, ge=1)
    leaf_rows: int = Field(default=20, ge=1)
    leaf_penalty: float = Field(default=3.0, ge=0)
    threads: int = Field(default=1, ge=1)

    def of_trees(self, rows: int, *, seed: int) -> TreeOptions:
        """Give those that concern the trees, for a table of so many labelled rows."""
        return TreeOptions(
            leaves=self.leaves,
            learning_rate=self.learning_rate,
            most_trees=self.most_trees,
            leaf_rows=self.leaf_rows,
            leaf_penalty=self.leaf_penalty,
            threads=self.threads if rows > ONE_CORE_ROWS else 1,
            seed=seed,
        )


@dataclass(frozen=True)
class _Table:
    """Training rows, measured against peers that they have no vote in."""

    gaps: Gaps
    coded: Mapping[str, FloatArray]
    plain: tuple[str, ...]
    categories: tuple[str, ...]
    keys: tuple[str, ...]
    sizes: Mapping[str, int]
    approval: str | None


def fit(split: Split, config: ModelConfig, draft: Draft) -> None:
    """Train on the rows before the test and write the model's files.

    Peers, weights and trees use the training and the calibration rows alike; what they say of a
    row that they saw is never used: the calibration line is fitted to out-of-fold log-odds.

    Parameters
    ----------
    split
        Rows; a target that is NaN is a record nobody audited, which still is a peer.
    config
        The model's config.
    draft
        The artifact's folder.

    Raises
    ------
    ConfigError
        A role or an option is wrong.
    """
    options = read_options(config, Options)
    roles = Roles.of(config)
    columns = {
        name: np.concatenate((split.train.columns[name], split.calibration.columns[name]))
        for name in config.features
    }
    target = np.concatenate((split.train.target, split.calibration.target))
    encoder = Encoder.fit(config.features, columns)
    draft.write_json(ENCODER, encoder.to_json())
    table, chains = _measure(columns, encoder, roles)
    draft.write_arrays("peers.npz", **_peer_arrays(chains))
    labelled = np.flatnonzero(~np.isnan(target))
    leaks = int(target[labelled].sum())
    if min(leaks, labelled.size - leaks) < LEAST_OF_A_CLASS:
        model = _fit_by_theory(table, options, draft)
    else:
        model = _fit_by_labels(table, target, options, draft, seed=config.training.seed)
    draft.write_json(
        "model.json",
        {
            **model,
            "plain": list(table.plain),
            "chains": {name: _levels(chain) for name, chain in chains.items()},
        },
    )


def _measure(columns: Columns, encoder: Encoder, roles: Roles) -> tuple[_Table, dict[str, Chain]]:
    """Learn the peers and set the rows against them."""
    matrix = encoder.encode(columns)
    coded = {name: matrix[:, i] for i, name in enumerate(encoder.names)}
    bill = read_bill(columns, roles)
    chains: dict[str, Chain] = {}
    standings: dict[str, Standing] = {}
    for name, values in (("price", bill.log_price), ("size", bill.log_size)):
        chains[name], standings[name] = learn_chain(values, codes=coded, levels=roles.price_levels)
    rest = bill.log_price - standings["price"].center
    for party in roles.parties:
        name = f"price_of_{party}"
        chains[name], standings[name] = learn_chain(
            rest, codes=coded, levels=roles.party_levels(party)
        )
        rest = rest - standings[name].center
    many = {n for n, known in encoder.levels.items() if len(known) > MOST_PLAIN_LEVELS}
    plain = tuple(name for name in encoder.names if name not in many)
    table = _Table(
        gaps=measure(bill, standings),
        coded=coded,
        plain=plain,
        categories=tuple(f"input_{name}" for name in plain if name in encoder.levels),
        keys=tuple(name for name in encoder.names if name in many),
        sizes={name: len(encoder.levels[name]) for name in many},
        approval=roles.approval,
    )
    return table, chains


def _fit_by_theory(table: _Table, options: Options, draft: Draft) -> dict[str, object]:
    """Weigh the evidence of the gaps by theory; the mean probability is the stated share."""
    terms = sum_terms(table.gaps, rates={}, approval=table.approval)
    prices = len(table.gaps.spreads)
    sides = ("under", "over") if options.sides == "both" else ("under",)
    weights = {
        f"evidence:{name}_{side}": 1.0 / prices if name in table.gaps.spreads else 1.0
        for name in (*table.gaps.spreads, "quantity", "discount", "minimum")
        for side in sides
    }
    # A record without the role has no such term: the weight then meets nothing.
    weights["approved"] = APPROVED_LOG_ODDS
    plain = stack_sum(terms.names, weights, intercept=0.0)
    margin = plain.margin(terms.matrix)
    fitted = Sum(
        _intercept_for(margin, options.leak_share), plain.weights, terms.matrix.mean(axis=0)
    )
    _write_sum(draft, fitted)
    draft.write_arrays("history.npz", none=np.zeros(0))
    return {"scale": 1.0, "offset": 0.0, "trees": False, "history": [], "labelled": False}


def _fit_by_labels(
    table: _Table, target: FloatArray, options: Options, draft: Draft, *, seed: int
) -> dict[str, object]:
    """Weigh the gaps by what audits found, then let trees add what the sum leaves over."""
    labelled = np.flatnonzero(~np.isnan(target))
    known = target[labelled]
    folds = assign_folds(known, count=FOLDS, seed=seed)
    history, rates = _learn_history(table, labelled, known, folds)
    draft.write_arrays("history.npz", **(history or {"none": np.zeros(0)}))
    gaps = _take(table.gaps, labelled)
    terms = sum_terms(gaps, rates=rates, approval=table.approval)
    fitted, margin = fit_sum(terms.matrix, target=known, folds=folds)
    _write_sum(draft, fitted)
    del terms
    features = tree_terms(
        gaps, rates=rates, plain={name: table.coded[name][labelled] for name in table.plain}
    )
    text, margin, judged = fit_trees(
        features.matrix,
        target=known,
        start=margin,
        folds=folds,
        names=features.names,
        categories=table.categories,
        options=options.of_trees(len(known), seed=seed),
    )
    draft.write_text("trees.txt", text)
    # Dealt anew: on a very large table the judged rows are all of one fold.
    deal = assign_folds(known[judged], count=FOLDS, seed=seed)
    scale, offset = fit_line(margin[judged], target=known[judged], folds=deal)
    return {
        "scale": scale,
        "offset": offset,
        "trees": True,
        "history": list(history),
        "labelled": True,
    }


def _learn_history(
    table: _Table, labelled: IntArray, target: FloatArray, folds: IntArray
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Learn how often each level leaked: for rows to come, and out of fold for the rows here."""
    history: dict[str, FloatArray] = {}
    rates: dict[str, FloatArray] = {}
    for name in table.keys:
        codes, size = table.coded[name][labelled], table.sizes[name]
        history[name] = _log_odds_by_level(codes, target, size)
        rate = np.zeros(len(target))
        for fold in np.unique(folds):
            held = folds == fold
            rate[held] = look_up(_log_odds_by_level(codes[~held], target[~held], size), codes[held])
        rates[name] = rate
    return history, rates


def _log_odds_by_level(codes: FloatArray, target: FloatArray, size: int) -> FloatArray:
    """Log-odds of a leak by level less the overall ones, drawn to 0 where few rows speak."""
    known = ~np.isnan(codes)
    places = codes[known].astype(np.int64)
    count = np.bincount(places, minlength=size)
    leaks = np.bincount(places, weights=target[known], minlength=size)
    share = float(target.mean())
    rate = (leaks + HISTORY_PRIOR_ROWS * share) / (count + HISTORY_PRIOR_ROWS)
    return np.asarray(np.log(rate / (1 - rate)) - np.log(share / (1 - share)), dtype=np.float64)


def _intercept_for(margin: FloatArray, share: float) -> float:
    """Give the intercept that makes the mean probability the stated share, by bisection."""
    low, high = -60.0, 60.0
    for _ in range(80):
        middle = (low + high) / 2
        if float((1.0 / (1.0 + np.exp(-(margin + middle)))).mean()) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _take(gaps: Gaps, rows: IntArray) -> Gaps:
    """Give the gaps of some rows."""
    return Gaps(
        fair=gaps.fair[rows],
        ratios={name: values[rows] for name, values in gaps.ratios.items()},
        spreads={name: values[rows] for name, values in gaps.spreads.items()},
        context={name: values[rows] for name, values in gaps.context.items()},
        approved=gaps.approved[rows],
    )


def _write_sum(draft: Draft, fitted: Sum) -> None:
    draft.write_arrays(
        "sum.npz",
        weights=fitted.weights,
        means=fitted.means,
        intercept=np.array([fitted.intercept]),
    )


def _peer_arrays(chains: Mapping[str, Chain]) -> dict[str, npt.NDArray[np.generic]]:
    """Gather the arrays of all chains."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for name, chain in chains.items():
        arrays.update(chain.to_arrays(name))
    return arrays


def _levels(chain: Chain) -> list[list[str]]:
    """Names of the keys of each level, coarsest first."""
    return [list(level.features) for level in chain.levels]
