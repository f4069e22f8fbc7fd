"""What a forecast says."""

from __future__ import annotations

from typing import Annotated, Literal

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


class DemandResult(_Frozen):
    """A forecast of one series."""

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
