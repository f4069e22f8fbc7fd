"""The inputs of the profitability model's trees, the same in training and serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bentos.profitability.history import SIGNS_PER_LEVEL, Habit, Volumes, stand
from core.config import ModelConfig
from core.encoding import FloatArray


@dataclass(frozen=True)
class Design:
    """Inputs of ``n`` rows.

    Parameters
    ----------
    matrix
        Shape ``(n, p + 3 + signs)``: the features, then the expected ratio, the structural amount,
        the scale per unit, then the signs of history.
    structure
        Shape ``(n,)``: revenue less scale x ratio, in money.
    ratio, steps
        Shapes ``(n,)`` and ``(n, levels)``: what history says.
    state
        Shape ``(n,)``: unseen, doubtful, or alike.
    """

    matrix: FloatArray
    structure: FloatArray
    ratio: FloatArray
    steps: FloatArray
    state: npt.NDArray[np.int64]

    def take(self, rows: npt.NDArray[np.int64]) -> Design:
        """Give some of the rows."""
        return Design(
            matrix=self.matrix[rows],
            structure=self.structure[rows],
            ratio=self.ratio[rows],
            steps=self.steps[rows],
            state=self.state[rows],
        )

    @classmethod
    def stack(cls, parts: Sequence[Design]) -> Design:
        """Put rows under rows."""
        return cls(
            matrix=np.concatenate([p.matrix for p in parts]),
            structure=np.concatenate([p.structure for p in parts]),
            ratio=np.concatenate([p.ratio for p in parts]),
            steps=np.concatenate([p.steps for p in parts]),
            state=np.concatenate([p.state for p in parts]),
        )


def design_of(
    matrix: FloatArray, *, habit: Habit, facts: Sequence[FloatArray], volumes: Volumes
) -> Design:
    """Build the inputs of rows.

    Parameters
    ----------
    matrix
        Encoded features, of shape ``(n, p)``.
    habit
        How history is read.
    facts
        For each level, the facts of each row's key.
    volumes
        The sizes of the rows.
    """
    standing = stand(habit, facts, volumes)
    structure = volumes.revenue - volumes.scale * standing.ratio
    derived = np.stack([standing.ratio, structure, volumes.scale / volumes.quantity], axis=1)
    return Design(
        matrix=np.concatenate([matrix, derived, standing.signs], axis=1),
        structure=structure,
        ratio=standing.ratio,
        steps=standing.steps,
        state=standing.state,
    )


def owners_of(config: ModelConfig, levels: Sequence[str]) -> list[int]:
    """Say which feature answers for each column of the matrix: its position among the features.

    What was derived is put down to the feature it came from, so that reasons name inputs only.
    """
    names = list(config.features)
    size = next((config.role(r)[0] for r in ("revenue", "cost") if config.role(r)), names[0])
    finest = levels[-1] if levels else size
    quantity = config.role("quantity")[0] if config.role("quantity") else size
    derived = [finest, size, quantity]
    signs = [level for level in levels for _ in range(SIGNS_PER_LEVEL)]
    return [*range(len(names)), *(names.index(name) for name in (*derived, *signs))]
