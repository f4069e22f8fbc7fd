"""Tells which channels the history tells nothing of, and why."""

from __future__ import annotations

import numpy as np

from core.encoding import FloatArray
from training.recipes.budget_history import History

_LEAST_VARIATION = 0.05
_MOST_CORRELATION = 0.95
# Of the 90 % interval of the return, high over low; before any history it is above 15.
_MOST_SPAN = 8.0
_LOW, _HIGH = 0.05, 0.95


def reasons_of(history: History, brought: FloatArray) -> list[str | None]:
    """Say for each channel why its effect is not identified; nothing where it is.

    Parameters
    ----------
    history
        ``n`` weeks.
    brought
        Shape ``(d, k)``: what each channel brought over the history, by draw.
    """
    spread = history.spend.std(axis=0)
    variation = spread / np.maximum(history.spend.mean(axis=0), 1e-12)
    moves = variation >= _LEAST_VARIATION
    together = _correlations(history.spend)
    low, high = np.quantile(brought, [_LOW, _HIGH], axis=0)
    spans = high / np.maximum(low, 1e-12)
    reasons: list[str | None] = []
    for place, _ in enumerate(history.channels):
        other = int(together[place].argmax())
        if not moves[place]:
            reasons.append(
                f"its spend hardly changed: by {variation[place]:.1%} of its mean, "
                f"{_LEAST_VARIATION:.0%} are needed"
            )
        elif together[place, other] > _MOST_CORRELATION:
            reasons.append(
                f"its spend moves with that of {history.channels[other]}: correlation "
                f"{together[place, other]:.3f}, at most {_MOST_CORRELATION:g} is told apart"
            )
        elif spans[place] > _MOST_SPAN:
            reasons.append(
                f"its past return is known within a factor of {min(spans[place], 1e6):.0f} only, "
                f"{_MOST_SPAN:g} is the most"
            )
        else:
            reasons.append(None)
    return reasons


def _correlations(spend: FloatArray) -> FloatArray:
    """Correlate the channels with each other, shape ``(k, k)``; 0 on the diagonal."""
    centred = spend - spend.mean(axis=0)
    sizes = np.sqrt((centred**2).sum(axis=0))
    scaled = centred / np.where(sizes > 1e-9 * (np.abs(spend).sum(axis=0) + 1e-300), sizes, np.inf)
    found: FloatArray = np.abs(scaled.T @ scaled)
    np.fill_diagonal(found, 0.0)
    return found
