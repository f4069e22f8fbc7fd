"""What a forecast is asked with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from core.task import Task

MOST_STEPS = 1000
_Name = Annotated[str, Field(min_length=1, max_length=128)]


class DemandTask(Task):
    """A horizon, and what is known of the future."""

    ASKS_FEATURES: ClassVar[bool] = False
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"horizon_steps": 6}

    horizon_steps: int = Field(
        ge=1,
        le=MOST_STEPS,
        description="How many steps ahead; the release holds training.options.max_horizon_steps.",
    )
    interval_level: float = Field(
        default=0.9,
        ge=0.5,
        le=0.99,
        description="Share of outcomes that the interval is to hold, 0.5 to 0.99.",
    )
    regressors: dict[_Name, list[float]] | None = Field(
        default=None,
        description="Known future values by regressor, one a step; needed where a series has any.",
    )
    holidays_country: str | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="Country whose holidays count, ISO 3166, such as DE; null for the usual one.",
    )
    recent_values: list[float] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_STEPS,
        description="Latest values of a series the release does not know, oldest first.",
    )
