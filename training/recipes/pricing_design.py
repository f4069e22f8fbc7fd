"""Chooses the columns that a context is turned into, and the blocks that are shrunk together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bentos.pricing.design import Design
from core.encoding import Encoder, FloatArray

IntArray = npt.NDArray[np.int64]
MOST_LEVELS = 80
LEAST_LEVEL_ROWS = 5
BEND_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
# A number that spans more than this factor counts by its logarithm, as money and hours do.
WIDE = 20.0


@dataclass(frozen=True)
class Context:
    """A design with the blocks of its columns.

    Parameters
    ----------
    design
        Turns encoded features into columns.
    blocks
        Shape ``(k + 1,)``: number of the block of each column, 0 for the constant. The columns of
        a block (a feature's line, its bends, its levels) are shrunk together.
    """

    design: Design
    blocks: IntArray


def choose_context(
    encoder: Encoder, matrix: FloatArray, *, left_out: Sequence[str] = ()
) -> Context:
    """Choose the columns from the training rows.

    Parameters
    ----------
    encoder
        Of the features.
    matrix
        Shape ``(n, p)``: encoded training rows.
    left_out
        Features that are no context: the price.
    """
    used = [i for i, name in enumerate(encoder.names) if name not in left_out]
    numbers = [i for i in used if i not in encoder.categorical and _varies(matrix[:, i])]
    raw = matrix[:, numbers]
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.array([_is_wide(raw[:, i]) for i in range(len(numbers))], dtype=np.bool_)
        raw = np.where(logs, np.log(raw), raw)
    low = np.nanmin(raw, axis=0) if numbers else np.empty(0)
    high = np.nanmax(raw, axis=0) if numbers else np.empty(0)
    middle = np.nanmean(raw, axis=0) if numbers else np.empty(0)
    spread = np.nanstd(raw, axis=0) if numbers else np.empty(0)
    values = (raw - middle) / spread
    bends = [(i, knot) for i in range(len(numbers)) for knot in _knots(values[:, i])]
    gaps = [i for i in range(len(numbers)) if np.isnan(raw[:, i]).any()]
    levels = [(i, code) for i in used if i in encoder.categorical
              for code in _levels(matrix[:, i])]  # fmt: skip
    owner = [-1, *numbers, *(numbers[i] for i, _ in bends), *(numbers[i] for i in gaps),
             *(i for i, _ in levels)]  # fmt: skip
    design = Design(
        numbers=np.array(numbers, dtype=np.int64), logs=logs, low=low, high=high, middle=middle,
        spread=spread, bends=np.array([i for i, _ in bends], dtype=np.int64),
        knots=np.array([knot for _, knot in bends]), gaps=np.array(gaps, dtype=np.int64),
        level_of=np.array([i for i, _ in levels], dtype=np.int64),
        codes=np.array([code for _, code in levels]),
        centre=np.zeros(len(owner)), owner=np.array(owner, dtype=np.int64),
    )  # fmt: skip
    centre = design.columns_of(matrix).mean(axis=0)
    centre[0] = 0.0
    kinds = np.repeat(np.arange(5), [1, len(numbers), len(bends), len(gaps), len(levels)])
    _, blocks = np.unique((design.owner + 1) * 5 + kinds, return_inverse=True)
    return Context(replace(design, centre=centre), np.asarray(blocks, dtype=np.int64))


def _varies(values: FloatArray) -> bool:
    known = values[~np.isnan(values)]
    return bool(known.size and known.min() < known.max())


def _is_wide(values: FloatArray) -> bool:
    low, high = np.nanquantile(values, [0.01, 0.99])
    return bool(np.nanmin(values) > 0 and high > WIDE * low) or bool(
        np.nanmin(values) > 0 and np.nanmax(values) > 4 * low and high > 4 * low
    )


def _knots(values: FloatArray) -> list[float]:
    """Give the places where a line may bend: inner values that stand apart."""
    known = values[~np.isnan(values)]
    found = np.unique(np.quantile(known, BEND_SHARES))
    return [float(k) for k in found if known.min() < k < known.max()]


def _levels(codes: FloatArray) -> list[float]:
    """Give the levels with enough rows, the most frequent first when there are too many."""
    found, counts = np.unique(codes[~np.isnan(codes)], return_counts=True)
    enough = counts >= LEAST_LEVEL_ROWS
    order = np.argsort(-counts[enough], kind="stable")[:MOST_LEVELS]
    return [float(code) for code in np.sort(found[enough][order])]
