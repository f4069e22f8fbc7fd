"""What the pricing model answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Binding = Literal[
    "lowest_price",
    "highest_price",
    "largest_change_ratio",
    "least_margin_ratio",
    "margin_floor_ratio",
    "cost",
    "history",
]


class CurvePoint(BaseModel):
    """The curve at one price."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    price_amount: float = Field(description="The price.")
    response: float = Field(description="Chance to win (0 to 1), or expected volume, there.")
    response_low: float = Field(description="Lower end of its interval.")
    response_high: float = Field(description="Upper end of its interval.")
    revenue_amount: float = Field(description="Price x response.")
    profit_amount: float = Field(description="(Price - cost) x response.")


_EXAMPLE: dict[str, Any] = {
    "recommended_price_amount": 54060.91,
    "win_probability": 0.294,
    "win_probability_low": 0.21,
    "win_probability_high": 0.394,
    "expected_volume": None,
    "expected_volume_low": None,
    "expected_volume_high": None,
    "revenue_amount": 15891.71,
    "revenue_low_amount": 11376.18,
    "revenue_high_amount": 21304.98,
    "profit_amount": 7954.81,
    "profit_low_amount": 5694.5,
    "profit_high_amount": 10664.49,
    "current_profit_amount": 6368.89,
    "profit_uplift_amount": 1585.92,
    "profit_uplift_low_amount": -737.16,
    "profit_uplift_high_amount": 3909.0,
    "profit_uplift_ratio": 0.249,
    "elasticity_ratio": -1.998,
    "elasticity_low_ratio": -3.589,
    "elasticity_high_ratio": -1.112,
    "binding_limit": None,
    "is_price_variation_enough": True,
    "level": 0.9,
    "curve": None,
}


class PricingResult(BaseModel):
    """The price that serves the objective best within the limits, and what it brings."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [_EXAMPLE]}
    )

    recommended_price_amount: float = Field(description="The price, in the unit of the price.")
    win_probability: float | None = Field(
        description="Chance to win at that price, 0 to 1; null for a model of volume."
    )
    win_probability_low: float | None = Field(
        description="Lower end of the interval of that chance; null for a model of volume."
    )
    win_probability_high: float | None = Field(
        description="Upper end of the interval of that chance; null for a model of volume."
    )
    expected_volume: float | None = Field(
        description="Mean volume at that price; null for a model of wins."
    )
    expected_volume_low: float | None = Field(
        description="Lower end of the interval that holds the volume; null for a model of wins."
    )
    expected_volume_high: float | None = Field(
        description="Upper end of the interval that holds the volume; null for a model of wins."
    )
    revenue_amount: float = Field(description="Expected revenue: price x chance or volume.")
    revenue_low_amount: float = Field(description="Lower end of its interval.")
    revenue_high_amount: float = Field(description="Upper end of its interval.")
    profit_amount: float = Field(
        description="Expected profit: (price - cost) x chance or volume; below 0 for a loss."
    )
    profit_low_amount: float = Field(description="Lower end of its interval.")
    profit_high_amount: float = Field(description="Upper end of its interval.")
    current_profit_amount: float = Field(description="Expected profit at the current price.")
    profit_uplift_amount: float = Field(
        description="Expected profit less that at the current price; may be below 0 where the "
        "limits or the objective force it."
    )
    profit_uplift_low_amount: float = Field(description="Lower end of its interval.")
    profit_uplift_high_amount: float = Field(description="Upper end of its interval.")
    profit_uplift_ratio: float | None = Field(
        description="Uplift over the profit at the current price; null where that is not above 0."
    )
    elasticity_ratio: float = Field(
        le=0,
        description="Change of the response in percent when the recommended price rises by 1 %.",
    )
    elasticity_low_ratio: float = Field(le=0, description="Lower end of its interval.")
    elasticity_high_ratio: float = Field(le=0, description="Upper end of its interval.")
    binding_limit: Binding | None = Field(
        description="Limit that the price lies at: one of the request's, the cost, or the edge of "
        "the prices that history holds; null when it lies between them."
    )
    is_price_variation_enough: bool = Field(
        description="Whether history's prices varied enough for the curve to be trusted; when "
        "false, try prices by chance before a large move."
    )
    level: float = Field(ge=0, le=1, description="Share that the intervals are to hold, 0 to 1.")
    curve: list[CurvePoint] | None = Field(
        description="The curve over the prices that history holds, when asked for."
    )
