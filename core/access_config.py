"""How keys are followed, and when a network that sends wrong ones is locked out."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )


class LockoutConfig(_Frozen):
    """When a network that sends keys that do not open is answered with 429."""

    failures: int = Field(default=20, ge=1, le=1000, description="Failures that lock.")
    window_seconds: float = Field(default=60.0, gt=0, le=3600, description="Within this time.")
    lock_seconds: float = Field(
        default=60.0, gt=0, le=86_400, description="The first lock; each further one is doubled."
    )
    most_lock_seconds: float = Field(
        default=3600.0,
        gt=0,
        le=86_400,
        description="Longest lock, and the quiet time after which a network begins anew.",
    )
    most_networks: int = Field(
        default=4096, ge=16, le=1_000_000, description="Networks remembered, the latest ones."
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.lock_seconds > self.most_lock_seconds:
            raise ValueError("lock_seconds must not be above most_lock_seconds")
        return self


class KeysConfig(_Frozen):
    """How keys are followed, and how much of the audit may wait."""

    poll_seconds: float = Field(
        default=1.0, gt=0, le=2, description="Serving processes ask for changed keys this often."
    )
    audit_queue: int = Field(
        default=1000, ge=1, le=100_000, description="Audit entries that wait at most."
    )
