"""What a lone bento tells the platform of its release: everything but the artifact, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict

from bentos.holder import Refusal
from bentos.predictor import Predictor
from bentos.release import Identity, Release, ReleaseFacts
from core.artifact import Manifest
from core.config import ModelConfig
from core.contract import Contract
from core.errors import ConfigError

PATH = "/release"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RefusedSheet(_Part):
    """The last release that was not taken; the fields of ``Refusal``."""

    version: str | None
    reason: str
    refused_at: datetime


class FactsSheet(_Part):
    """The release that answers."""

    config: ModelConfig
    manifest: Manifest
    identity: Identity
    loaded_at: datetime


class Sheet(_Part):
    """What ``GET /release`` of a lone bento answers.

    The result type, the ranking and the summary are not told: both processes run the same
    checkout, so that the predictor class stands for them on both sides.
    """

    release: FactsSheet | None
    refused: RefusedSheet | None

    @classmethod
    def of(cls, release: Release | None, refusal: Refusal | None) -> Self:
        """Write down what is held.

        Parameters
        ----------
        release
            What answers, if anything does.
        refusal
            The last release that was not taken, if there is one.
        """
        facts = refused = None
        if release is not None:
            facts = FactsSheet(
                config=release.contract.config,
                manifest=release.manifest,
                identity=release.identity,
                loaded_at=release.loaded_at,
            )
        if refusal is not None:
            refused = RefusedSheet(
                version=refusal.version, reason=refusal.reason, refused_at=refusal.refused_at
            )
        return cls(release=facts, refused=refused)

    def facts(self, kind: type[Predictor]) -> ReleaseFacts | None:
        """Give what is known of the release.

        Parameters
        ----------
        kind
            The predictor class of the model that is wanted.

        Raises
        ------
        ConfigError
            It is a release of another model, or not with the config it was trained with.
        """
        told = self.release
        if told is None:
            return None
        for name in (told.config.model, told.manifest.model, told.identity.model):
            if name != kind.MODEL:
                raise ConfigError(f"it serves a model of {name!r}, not of {kind.MODEL!r}")
        if told.config.digest() != told.manifest.config_digest:
            raise ConfigError("its config is not the one that its release was trained with")
        return ReleaseFacts(
            kind=kind,
            contract=Contract(told.config, kind.TASKS),
            manifest=told.manifest,
            identity=told.identity,
            loaded_at=told.loaded_at,
        )

    def refusal(self) -> Refusal | None:
        """Give the last release that was not taken."""
        told = self.refused
        if told is None:
            return None
        return Refusal(version=told.version, reason=told.reason, refused_at=told.refused_at)
