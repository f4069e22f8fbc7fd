"""Turns gaps into what the two parts of the model read: terms of a sum, features of trees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from bentos.revenue_leak.bill import Gaps
from core.encoding import FloatArray

# Spread of a recorded quantity, discount or minimum round the agreed one when nothing leaks: they
# are mostly equal, so this is a rounding's worth.
CLERICAL_SPREAD = 0.02
# Degrees of freedom of the noise, and how many times as wide leaks lie (Student's t for both).
NOISE_FREEDOM = 5.0
LEAK_WIDTH = 6.0
# A gap of less than this is a rounding.
LEAST_GAP = 0.01


@dataclass(frozen=True)
class Terms:
    """Columns that are read together, each with the name a person sees among the reasons.

    Parameters
    ----------
    matrix
        Shape ``(n, k)``, C order.
    names
        The ``k`` columns.
    reasons
        For each column, the reason it is counted under.
    """

    matrix: FloatArray
    names: tuple[str, ...]
    reasons: tuple[str, ...]


REASONS: Mapping[str, str] = {
    "price": "price_against_peers",
    "bill": "bill_against_fair",
    "quantity": "quantity_against_due",
    "discount": "discount_against_agreed",
    "minimum": "bill_against_minimum",
    "size": "size_against_peers",
    "fair": "fair_bill",
    "plain": "bill_against_plain_rate",
}


def sum_terms(gaps: Gaps, *, rates: Mapping[str, FloatArray], approval: str | None) -> Terms:
    """Give the terms of the additive part: each gap below and above, on several scales.

    Parameters
    ----------
    gaps
        Of ``n`` records.
    rates
        Log-odds of past leaks, less the overall ones, by the category they belong to.
    approval
        Name of the feature that marks approvals, if there is one.
    """
    ratio, spread = _sides(gaps.ratios), _sides(gaps.spreads)
    root = np.sqrt(np.minimum(ratio, 3.0))
    clerical = ratio[:, _clerical_places(tuple(gaps.ratios))] / CLERICAL_SPREAD
    parts = [
        root,
        np.minimum(ratio, 0.05),
        np.minimum(ratio, 0.3),
        (ratio > LEAST_GAP).astype(np.float64),
        np.minimum(spread, 3.0),
        np.minimum(spread, 8.0),
        np.log1p(spread),
        likelihood_ratio(spread),
        likelihood_ratio(clerical),
    ]
    if approval is not None:
        parts += [gaps.approved[:, None], root * gaps.approved[:, None]]
    parts += [values[:, None] for values in rates.values()]
    names, reasons = _sum_names(tuple(gaps.ratios), tuple(gaps.spreads), tuple(rates), approval)
    return Terms(np.concatenate(parts, axis=1), names, reasons)


def tree_terms(
    gaps: Gaps, *, rates: Mapping[str, FloatArray], plain: Mapping[str, FloatArray]
) -> Terms:
    """Give the features of the trees: gaps, what they are judged by, history, and the inputs.

    Parameters
    ----------
    gaps
        Of ``n`` records.
    rates
        See ``sum_terms``.
    plain
        Inputs as they are, by feature: numbers, and codes of categories with few levels.
    """
    groups = (gaps.ratios, gaps.spreads, gaps.context, rates, plain)
    names, reasons = _tree_names(*(tuple(group) for group in groups))
    return Terms(_stacked([v for group in groups for v in group.values()]), names, reasons)


def likelihood_ratio(spreads: FloatArray) -> FloatArray:
    """Log-likelihood ratio of a leak for a gap of so many spreads, 0 at no gap, bounded above.

    Both noise and leaks are Student's t, leaks ``LEAK_WIDTH`` times as wide: ordinary noise has
    fat tails, so the ratio must not run to infinity as it does with two normals.
    """
    power = (NOISE_FREEDOM + 1.0) / 2.0
    square = spreads**2 / NOISE_FREEDOM
    return power * (np.log1p(square) - np.log1p(square / LEAK_WIDTH**2))


@cache
def _sum_names(
    ratios: tuple[str, ...], spreads: tuple[str, ...], rates: tuple[str, ...], approval: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and reasons of the terms of the sum: the same for every row, so made once."""
    ratio, spread = _sided(ratios), _sided(spreads)
    clerical = [ratio[i] for i in _clerical_places(ratios)]
    blocks = {
        "root": ratio, "little": ratio, "much": ratio, "any": ratio, "spreads": spread,
        "many_spreads": spread, "log_spreads": spread, "evidence": [*spread, *clerical],
    }  # fmt: skip
    named = [(f"{kind}:{name}", _reason(name)) for kind, group in blocks.items() for name in group]
    if approval is not None:
        named += [("approved", approval), *((f"approved:{name}", approval) for name in ratio)]
    named += [(f"history:{name}", name) for name in rates]
    return tuple(name for name, _ in named), tuple(reason for _, reason in named)


@cache
def _tree_names(
    ratios: tuple[str, ...],
    spreads: tuple[str, ...],
    context: tuple[str, ...],
    rates: tuple[str, ...],
    plain: tuple[str, ...],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and reasons of the features of the trees: made once."""
    named = [
        *((f"{name}_gap", _reason(name)) for name in ratios),
        *((f"{name}_in_spreads", _reason(name)) for name in spreads),
        *((name, _reason(name)) for name in context),
        *((f"history_{name}", name) for name in rates),
        *((f"input_{name}", name) for name in plain),
    ]
    return tuple(name for name, _ in named), tuple(reason for _, reason in named)


@cache
def _clerical_places(ratios: tuple[str, ...]) -> list[int]:
    """Columns, among the ratios' two sides, of the gaps that a clerk's slip makes."""
    under = [i for i, name in enumerate(ratios) if name in {"quantity", "discount", "minimum"}]
    return [*under, *(i + len(ratios) for i in under)]


def _sided(names: Iterable[str]) -> list[str]:
    """Names of the columns that ``_sides`` gives."""
    known = tuple(names)
    return [f"{name}_{side}" for side in ("under", "over") for name in known]


def _sides(columns: Mapping[str, FloatArray]) -> FloatArray:
    """Part gaps into what lies under and what lies over; 0 where a gap is unknown.

    A discount above the agreed one lowers the bill, so it counts as under.
    """
    under = -_stacked(list(columns.values()))
    for i, name in enumerate(columns):
        if name == "discount":
            under[:, i] *= -1.0
    # fmax takes the number where the other is NaN.
    return np.concatenate((np.fmax(under, 0.0), np.fmax(-under, 0.0)), axis=1)


def _stacked(columns: Sequence[FloatArray]) -> FloatArray:
    """Put columns side by side, C order; quicker than ``column_stack`` for one row."""
    matrix = np.empty((len(columns[0]), len(columns)))
    for i, values in enumerate(columns):
        matrix[:, i] = values
    return matrix


def _reason(name: str) -> str:
    """Name under which a column stands among the reasons."""
    if name.startswith("slip_"):
        return name
    if name.startswith("price_of_"):
        for end in ("_under", "_over", "_level", "_spread", "_peers"):
            name = name.removesuffix(end)
        return f"{name}_against_peers"
    return REASONS[name.partition("_")[0]]
