"""Behaviour of the platform as a whole: ``configs/platform.yaml``."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.access_config import KeysConfig, LockoutConfig
from core.config import Name
from core.document import read_document


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )


class Limits(_Frozen):
    """Limits of a request, whatever its model."""

    body_bytes: int = Field(default=8 * 2**20, ge=1024)
    header_bytes: int = Field(default=32 * 2**10, ge=1024)
    json_depth: int = Field(default=16, ge=2, le=100)


class Releases(_Frozen):
    """How often releases are looked for."""

    watch_seconds: float = Field(default=2.0, gt=0, le=60, description="Worker asks MLflow.")
    poll_seconds: float = Field(default=1.0, gt=0, le=60, description="Servers ask the disk.")


class Processes(_Frozen):
    """Which processes hold the models."""

    topology: Literal["colocated", "distributed"] = Field(
        default="colocated",
        description="In the platform's own process, or each in a bento of its own (SEPTET_BENTOS).",
    )
    batching: Literal["platform", "bentoml"] = Field(
        default="bentoml",
        description="Who gathers single rows on their way: BentoML's queue in each bento, after "
        "this platform; or this platform alone, which is sooner for one platform.",
    )


class Spooling(_Frozen):
    """How predictions are kept until the worker has moved them to the log."""

    durability: Literal["process", "disk"] = Field(
        default="process",
        description="An answer is sent once its record outlives the process, or the machine.",
    )
    segment_bytes: int = Field(
        default=16 * 2**20, ge=2**16, le=2**30, description="Size of a file of the spool."
    )
    rotate_seconds: float = Field(
        default=2.0, gt=0, le=3600, description="The worker gets what is older than this."
    )
    most_bytes: int = Field(
        default=2 * 2**30, ge=2**20, description="All files of the spool together, at most."
    )
    when_full: Literal["refuse", "go_on"] = Field(
        default="refuse",
        description="Refuse predictions that cannot be kept, or answer them without a record.",
    )


class History(_Frozen):
    """How the worker keeps what was predicted."""

    move_seconds: float = Field(
        default=1.0, gt=0, le=3600, description="The worker looks into the spool this often."
    )
    tidy_seconds: float = Field(
        default=60.0, gt=0, le=86_400, description="It puts small files together this often."
    )
    keep_days: int | None = Field(
        default=1095, ge=1, description="Predictions older than this are deleted; null keeps all."
    )
    masks: dict[Name, dict[Name, Literal["drop", "hash"]]] = Field(
        default_factory=dict,
        description="By model and column: leave an input out, or keep a keyed hash in its place.",
    )
    samples: dict[Name, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=dict,
        description="By model, the share of predictions that is kept; all without it.",
    )


class Tier(_Frozen):
    """How much the callers of one tier may ask, each."""

    requests_per_minute: int = Field(ge=1, le=100_000_000)
    rows_per_minute: int = Field(ge=1, le=10_000_000_000)
    burst_per_second: int = Field(ge=1, le=1_000_000, description="Of each serving process.")
    concurrent: int = Field(ge=1, le=4096, description="At once, of each serving process.")


_TIERS = {
    "standard": Tier(
        requests_per_minute=6_000, rows_per_minute=600_000, burst_per_second=500, concurrent=64
    ),
    "bulk": Tier(
        requests_per_minute=600_000,
        rows_per_minute=60_000_000,
        burst_per_second=20_000,
        concurrent=256,
    ),
}


class Access(_Frozen):
    """Who is let in, and from where."""

    address_requests_per_minute: int = Field(
        default=1_000_000, ge=10, description="Most requests of one address, whatever its keys."
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="Networks whose X-Forwarded-For is believed."
    )
    hosts: tuple[str, ...] = Field(
        default=(), description="Host names that are answered; empty answers to any."
    )
    cors_origins: tuple[str, ...] = Field(
        default=(), description="Origins whose pages may call with a key."
    )
    keys: KeysConfig = KeysConfig()
    lockout: LockoutConfig = LockoutConfig()

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for network in given:
            ip_network(network)
        return given


class PlatformConfig(_Frozen):
    """Behaviour of the platform as a whole."""

    limits: Limits = Limits()
    releases: Releases = Releases()
    access: Access = Access()
    serving: Processes = Processes()
    spool: Spooling = Spooling()
    history: History = History()
    tiers: dict[Name, Tier] = Field(default_factory=lambda: dict(_TIERS), min_length=1)


def load_platform_config(path: Path) -> PlatformConfig:
    """Read the platform's YAML file.

    Raises
    ------
    ConfigError
        Anything unknown, missing or contradictory, with file, line and key.
    """
    return read_document(path).parse(PlatformConfig)
