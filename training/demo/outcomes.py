"""What then really happens, and when the firm comes to know it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from core.config import Target

# Of what is due: so many are never told, so many are first told wrong.
_NEVER, _CORRECTED = 0.08, 0.04
_LATE_DAYS, _CORRECTION_DAYS = 4.0, 7
_WRONG = 0.9
# Where the config has no horizon somebody looks, after so many days.
_LOOKED_AT_DAYS = 14


@dataclass(frozen=True, slots=True)
class Truth:
    """What the firm's table says really happened; nothing where nobody will ever know.

    Parameters
    ----------
    value
        Of the target: 1 for yes, 0 for no, or a number.
    amount
        The true amount, where the model's target has one.
    """

    value: float | None = None
    amount: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is told of one prediction, or of one step of an entity.

    Parameters
    ----------
    told_on
        On which day.
    is_correction
        Whether it puts right what was told before; it must come in a later request.
    content
        Fields of the outcome, but what it is about where that is a prediction.
    """

    told_on: date
    is_correction: bool
    content: dict[str, Any]


def outcomes_of(
    truth: Truth, target: Target, *, begin: date, random: np.random.Generator
) -> list[Outcome]:
    """Plan what is told of one prediction or step: nothing, once, or once more to put it right.

    Parameters
    ----------
    truth
        What happened.
    target
        Of the model's config.
    begin
        Day as of which it was predicted, or on which the step begins.
    random
        Of this prediction.
    """
    never, corrected, late = random.random(), random.random(), random.exponential(_LATE_DAYS)
    if truth.value is None or never < _NEVER:
        return []
    horizon = _LOOKED_AT_DAYS if target.horizon_days is None else target.horizon_days
    happened = begin + timedelta(days=horizon)
    told_on = happened + timedelta(days=1 + int(late))
    right = _content(truth, target, happened)
    if corrected >= _CORRECTED:
        return [Outcome(told_on, is_correction=False, content=right)]
    wrong = _content(_mistaken(truth, target), target, happened)
    again_on = told_on + timedelta(days=_CORRECTION_DAYS)
    return [
        Outcome(told_on, is_correction=False, content=wrong),
        Outcome(again_on, is_correction=True, content=right),
    ]


def _mistaken(truth: Truth, target: Target) -> Truth:
    value = truth.value or 0.0
    if target.positive is not None:
        return Truth(1.0 - value, truth.amount)
    return Truth(round(_WRONG * value, 2), truth.amount)


def _content(truth: Truth, target: Target, happened: date) -> dict[str, Any]:
    value = truth.value or 0.0
    content: dict[str, Any] = {"value": bool(value) if target.positive is not None else value}
    if truth.amount is not None:
        content["amount"] = truth.amount
    return content | {"happened_at": text_of(happened)}


def text_of(day: date) -> str:
    """Write the begin of a day, UTC, as requests have it."""
    return f"{day}T00:00:00Z"
