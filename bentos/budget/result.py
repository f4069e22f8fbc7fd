"""What the answer to a budget says."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChannelShare(_Frozen):
    """What one channel gets, and what that brings."""

    channel: str = Field(description="The channel, as the training table names it.")
    amount: float = Field(ge=0, description="What it gets over the period.")
    expected_return_amount: float = Field(
        description="What that brings over the period, in the target's unit."
    )
    low_amount: float = Field(description="Lower end of the 90 % interval of the return.")
    high_amount: float = Field(description="Upper end of it.")
    marginal_return_ratio: float = Field(
        description="What one unit more of spend would bring; equal among channels at no limit."
    )
    current_amount: float = Field(description="What it gets over the period today.")
    is_identified: bool = Field(
        description="Whether the history tells what this channel does; if not, its curve is mostly "
        "that of the other channels."
    )
    reason: str | None = Field(description="Why the history does not tell; null where it does.")
    binding: Literal["least", "most", "fixed"] | None = Field(
        description="The limit that holds the amount; null where none does."
    )


class CurvePoint(_Frozen):
    """What steady spend brings."""

    amount: float = Field(description="Spend over the period.")
    expected_return_amount: float = Field(description="What it brings over the period.")
    low_amount: float = Field(description="Lower end of the 90 % interval.")
    high_amount: float = Field(description="Upper end of it.")


class ChannelCurve(_Frozen):
    """The response curve of a channel."""

    channel: str = Field(description="The channel.")
    most_seen_amount: float = Field(
        description="Highest weekly spend of the history times the weeks; beyond it the curve is "
        "an extrapolation."
    )
    points: list[CurvePoint] = Field(description="In order of the amount.")


_EXAMPLE: dict[str, Any] = {
    "channels": [
        {
            "channel": "search_amount",
            "amount": 580.0,
            "expected_return_amount": 1283.6,
            "low_amount": 962.1,
            "high_amount": 1640.2,
            "marginal_return_ratio": 1.735,
            "current_amount": 900.0,
            "is_identified": True,
            "reason": None,
            "binding": None,
        },
        {
            "channel": "events_amount",
            "amount": 920.0,
            "expected_return_amount": 2486.7,
            "low_amount": 1758.9,
            "high_amount": 3310.4,
            "marginal_return_ratio": 1.735,
            "current_amount": 600.0,
            "is_identified": True,
            "reason": None,
            "binding": None,
        },
    ],
    "total_amount": 1500.0,
    "expected_return_amount": 3770.3,
    "low_amount": 2721.0,
    "high_amount": 4950.6,
    "uplift_amount": 214.9,
    "uplift_low_amount": 36.2,
    "uplift_high_amount": 421.7,
    "optimality_gap_ratio": 0.0001,
    "curves": None,
    "notes": [],
}


class BudgetResult(_Frozen):
    """A split of the budget, beside today's."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    channels: list[ChannelShare] = Field(description="One a channel, in the order of the config.")
    total_amount: float = Field(
        description="Sum of the amounts: the total asked for, or less where least_return_ratio "
        "forbids to spend it all."
    )
    expected_return_amount: float = Field(description="What the split brings over the period.")
    low_amount: float = Field(description="Lower end of the 90 % interval of the return.")
    high_amount: float = Field(description="Upper end of it.")
    uplift_amount: float = Field(
        description="Return of the split less that of today's proportions with the same total."
    )
    uplift_low_amount: float = Field(description="Lower end of the 90 % interval of the uplift.")
    uplift_high_amount: float = Field(description="Upper end of it.")
    optimality_gap_ratio: float = Field(
        ge=0,
        description="By how much the best split of the same total could be better at most, by the "
        "same curves: a proven bound.",
    )
    curves: list[ChannelCurve] | None = Field(description="Where with_curves asked for them.")
    notes: list[str] = Field(description="What a reader should know of this answer.")
