"""What a forecast says."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Method = Literal[
    "seasonal_naive", "ets", "theta", "ets_theta", "mstl", "mstl_theta", "harmonic",
    "ets_harmonic", "prophet", "ets_theta_prophet", "mstl_prophet", "croston", "mean", "pooled",
]  # fmt: skip


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Components(_Frozen):
    """Additive parts of one step: their sum is its value."""

    trend: float = Field(description="Level and trend.")
    season: float = Field(description="Season.")
    holidays: float = Field(description="Holidays; 0 but for daily series of a release with any.")
    regressors: float = Field(description="The known future regressors.")


class Step(_Frozen):
    """One step of the forecast."""

    # Strict JSON has times as texts; the predictor writes them so.
    time: Annotated[AwareDatetime, Field(strict=False)] = Field(description="When the step begins.")
    value: float = Field(description="Expected demand, in the target's unit.")
    low: float = Field(description="Lower end of the interval.")
    high: float = Field(description="Upper end of the interval.")
    components: Components = Field(description="What the value is made of.")


_EXAMPLE: dict[str, Any] = {
    "method": "ets_harmonic",
    "is_new_series": False,
    "fallback_reason": None,
    "interval_level": 0.9,
    "season_steps": 12,
    "cross_validated_error": 0.88,
    "steps": [
        {
            "time": "2026-01-01T00:00:00+00:00",
            "value": 694.36,
            "low": 629.93,
            "high": 758.79,
            "components": {"trend": 712.74, "season": -18.38, "holidays": 0.0, "regressors": 0.0},
        },
        {
            "time": "2026-02-01T00:00:00+00:00",
            "value": 688.74,
            "low": 620.15,
            "high": 757.33,
            "components": {"trend": 712.74, "season": -24.0, "holidays": 0.0, "regressors": 0.0},
        },
    ],
}


class DemandResult(_Frozen):
    """A forecast of one series."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    method: Method = Field(description="What forecasts this series, chosen by cross-validation.")
    is_new_series: bool = Field(
        description="Whether the release has no model of this series: the panel's shape is used."
    )
    fallback_reason: str | None = Field(
        description="Why a series of the training table has no model of its own; null for others."
    )
    interval_level: float = Field(
        ge=0.5, le=0.99, description="Share of outcomes that the interval is to hold."
    )
    season_steps: int = Field(ge=1, description="Steps of a season; 1 for none.")
    cross_validated_error: float | None = Field(
        description="Mean absolute error of the method over that of the seasonal naive (MASE), at "
        "origins in the past; null without a model of its own."
    )
    steps: list[Step] = Field(description="One a step, in order.")
