"""What is said of a record, or of the points of a series."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UnusualFeature(_Frozen):
    """A value that makes a record unusual, beside what is usual."""

    feature: str = Field(description="Name of the feature.")
    value: float | bool | str | None = Field(description="The value that was sent.")
    usual_low: float | None = Field(
        description="Lower end of what nine in ten training records hold; null for a category."
    )
    usual_high: float | None = Field(description="Upper end of it; null for a category.")
    usual_levels: list[str] | None = Field(
        description="Most frequent levels of a category; null for a number."
    )
    contribution: float = Field(description="What it adds to the strength of the evidence.")


class JudgedPoint(_Frozen):
    """One judged point of a series."""

    # Strict JSON has times as texts; the predictor writes them so.
    time: Annotated[AwareDatetime, Field(strict=False)] = Field(description="When.")
    value: float = Field(description="What was measured.")
    expected: float = Field(description="What the points before it let expect.")
    low: float = Field(description="Lower end of what one point may be at the false-alarm rate.")
    high: float = Field(description="Upper end of it.")
    score: float = Field(
        ge=0,
        le=1,
        description="High for an unusual point; falls with the p-value, .54 at one of .01.",
    )
    p_value: float = Field(ge=0, le=1, description="Share of usual points as unusual as this one.")
    is_anomaly: bool = Field(description="Whether the p-value is at most the false-alarm rate.")


_EXAMPLE: dict[str, Any] = {
    "score": 0.81,
    "p_value": 0.0004,
    "is_anomaly": True,
    "false_alarm_rate": 0.01,
    "unusual_features": [
        {
            "feature": "hours",
            "value": 31.0,
            "usual_low": 2.5,
            "usual_high": 12.0,
            "usual_levels": None,
            "contribution": 6.2,
        }
    ],
    "points": None,
}


class AnomalyResult(_Frozen):
    """How unusual a record is; of a window, how unusual its most unusual judged point is."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    score: float = Field(ge=0, le=1, description="High for unusual; rises with the evidence.")
    p_value: float = Field(
        ge=0, le=1, description="Share of usual records, or points, that are as unusual."
    )
    is_anomaly: bool = Field(description="Whether the p-value is at most the false-alarm rate.")
    false_alarm_rate: float = Field(
        gt=0, lt=0.5, description="Share of usual records, or points, that is flagged."
    )
    unusual_features: list[UnusualFeature] = Field(
        description="What makes a record unusual, the strongest first; empty for points."
    )
    points: list[JudgedPoint] | None = Field(
        description="The judged points, oldest first; null for a record."
    )
