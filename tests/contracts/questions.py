"""What a caller would ask each model about the sample firm."""

from collections.abc import Callable, Sequence
from typing import Any

from training.frame import Frame

Asked = dict[str, Any]
Ask = Callable[[Frame, Sequence[Asked]], list[Asked]]


def questions(model: str, frame: Frame, rows: Sequence[Asked]) -> list[Asked]:
    """Turn rows of the training table into questions.

    Parameters
    ----------
    model
        Which model is asked.
    frame
        ``n`` rows of its training table.
    rows
        The same rows as a caller would send their features.
    """
    ask = ASKS.get(model)
    return list(rows) if ask is None else ask(frame, rows)


ASKS: dict[str, Ask] = {}
