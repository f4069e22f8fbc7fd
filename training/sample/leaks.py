"""How lines leak: which kinds a line can have, their sizes, and how likely a leak is once seen.

The posterior is the share of the leaking part in the mixture that made the lines, given all that
the line shows: no model that sees the same columns can rank better on average (Bayes' rule).
"""

from __future__ import annotations

import math

import numpy as np

from training.sample.clients import Floats
from training.sample.lines import Lines

KINDS = ("unbilled_hours", "stale_rate", "excess_discount", "wrong_tier", "no_minimum", "wrong_fx")
KIND_WEIGHTS = np.array([3.0, 4.0, 2.0, 1.5, 5.0, 2.0])
NOISE, NOISE_FREEDOM = 0.015, 5
LEAK_SHARE, BENIGN_SHARE = 0.04, 0.07
CODE_IF_BENIGN, CODE_IF_LEAK, CODE_ELSE = 0.7, 0.08, 0.004
# Sizes are LEAST_SIZE + SIZE_SPAN x a beta variable, by its two shapes.
LEAST_SIZE, SIZE_SPAN = 0.02, 0.28
LEAK_SHAPES, BENIGN_SHAPES = (3.0, 2.5), (1.0, 5.0)
_DISCOUNTS = np.array([0.05, 0.1, 0.15])
_LEAST_FX, _FX_SPAN = 0.02, 0.1
_GRID = np.linspace(0.005, 0.995, 60)
_T_SCALE = math.gamma((NOISE_FREEDOM + 1) / 2) / (
    math.sqrt(NOISE_FREEDOM * math.pi) * math.gamma(NOISE_FREEDOM / 2)
)


def leak_share(lines: Lines) -> Floats:
    """Probability of a leak before the line is seen: juniors and uplift clauses leak more."""
    factor = 1 + 0.8 * lines.junior_biller + 0.7 * (lines.uplift > 0)
    # 1.42 is the factor's mean over the firm, so that the share is LEAK_SHARE over all lines.
    share: Floats = LEAK_SHARE * factor / 1.42
    return share


def kind_sizes(random: np.random.Generator, lines: Lines) -> tuple[Floats, Floats]:
    """Size of each kind of leak on each line, and whether the line can have it: (m, kinds)."""
    count = len(lines.row)
    spread = random.beta(*LEAK_SHAPES, count)
    below = lines.plain_amount < lines.minimum
    short = lines.short_ratio
    tier_wrong = (lines.tier_discount > 0) & (lines.tier_applies == 0) & ~below
    sizes = np.column_stack([
        LEAST_SIZE + SIZE_SPAN * spread,
        lines.uplift / (1 + lines.uplift),
        random.choice(_DISCOUNTS, size=count),
        lines.tier_discount,
        short,
        _LEAST_FX + _FX_SPAN * random.random(count),
    ])  # fmt: skip
    possible = np.column_stack([
        np.ones(count),
        (lines.uplift > 0) & (lines.uplift_age < 6) & ~below,
        np.ones(count),
        tier_wrong,
        short > 0.02,
        np.abs(lines.fx - 1) > 0.05,
    ]).astype(float)  # fmt: skip
    return sizes, possible


def leak_posterior(
    lines: Lines, *, log_gap: Floats, coded: np.ndarray, share: Floats, possible: Floats
) -> Floats:
    """Give P(leak | the line), by Bayes' rule on the mixture that made it.

    Parameters
    ----------
    lines
        ``m`` lines.
    log_gap
        Shape ``(m,)``: logarithm of billed over due amount.
    coded
        Shape ``(m,)``: whether the line has an approval code.
    share
        Shape ``(m,)``: probability of a leak before the line is seen.
    possible
        Shape ``(m, kinds)``: 1 where the line can leak that way.

    Returns
    -------
    array
        Shape ``(m,)``, 0 to 1.
    """
    weights = KIND_WEIGHTS * possible
    weights /= weights.sum(axis=1, keepdims=True)
    spread_sizes = LEAST_SIZE + SIZE_SPAN * _GRID
    densities = np.column_stack([
        _blurred(log_gap, spread_sizes, _beta_shape(*LEAK_SHAPES)),
        _noise_density(log_gap, lines.uplift / (1 + lines.uplift)),
        _blurred(log_gap, _DISCOUNTS, np.ones(len(_DISCOUNTS))),
        _noise_density(log_gap, lines.tier_discount),
        _noise_density(log_gap, lines.short_ratio),
        _blurred(log_gap, _LEAST_FX + _FX_SPAN * _GRID, np.ones(len(_GRID))),
    ])  # fmt: skip
    leak = share * (weights * densities).sum(axis=1)
    leak *= np.where(coded, CODE_IF_LEAK, 1 - CODE_IF_LEAK)
    benign = BENIGN_SHARE * _blurred(log_gap, spread_sizes, _beta_shape(*BENIGN_SHAPES))
    benign *= np.where(coded, CODE_IF_BENIGN, 1 - CODE_IF_BENIGN)
    sound = (1 - share - BENIGN_SHARE) * _noise_density(log_gap, np.zeros(1))
    sound *= np.where(coded, CODE_ELSE, 1 - CODE_ELSE)
    posterior: Floats = leak / (leak + benign + sound)
    return posterior


def _beta_shape(first: float, second: float) -> Floats:
    """Beta density on the grid, up to its constant: only the proportions are used."""
    shape: Floats = _GRID ** (first - 1) * (1 - _GRID) ** (second - 1)
    return shape


def _noise_density(log_gap: Floats, size: Floats) -> Floats:
    """Density of a logarithmic gap when the line is cut by ``size``: Student's t."""
    standard = (log_gap - np.log1p(-size)) / NOISE
    power = (NOISE_FREEDOM + 1) // 2
    density: Floats = _T_SCALE / NOISE / (1 + standard * standard / NOISE_FREEDOM) ** power
    return density


def _blurred(log_gap: Floats, sizes: Floats, weights: Floats) -> Floats:
    """Density of a gap when the size is one of several, by their weights."""
    total = np.zeros(len(log_gap))
    for size, weight in zip(sizes, weights / weights.sum(), strict=True):
        total += weight * _noise_density(log_gap, np.array([size]))
    return total
