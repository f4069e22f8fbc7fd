"""The models over HTTP: which there are, what they are, how they are."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from fastapi import APIRouter

from bentos.catalog import model_name
from bentos.release import self_prediction
from core.errors import ArtifactCorrupt, ModelUnknown, NoChampion
from core.refusals import ModelUnhealthy
from services.openapi.problems import route_errors
from services.releases.pages import (
    HealthPage,
    InfoPage,
    ModelsPage,
    info_page,
    models_page,
    refused_page,
)

if TYPE_CHECKING:
    from bentos.release import Release
    from services.runtime import Runtime


def releases_router(runtime: Runtime) -> APIRouter:
    """Build the routes that tell of the models.

    Parameters
    ----------
    runtime
        What the process holds.
    """
    router = APIRouter(prefix="/models", tags=["models"])

    @router.get("", summary="All models")
    async def models() -> ModelsPage:
        """List every model, its version, and whether it answers."""
        return models_page(runtime.holder)

    @router.get(
        "/{model}/info",
        summary="What a model is",
        responses=route_errors(ModelUnknown, NoChampion),
    )
    async def info(model: str) -> InfoPage:
        """Tell version, training data, metrics, features and template of the champion."""
        name = model_name(model)
        return info_page(runtime.holder.champion(name), runtime.holder.refusal(name))

    @router.get(
        "/{model}/health",
        summary="Whether a model answers",
        responses=route_errors(ModelUnknown, NoChampion, ModelUnhealthy),
    )
    async def health(model: str) -> HealthPage:
        """Let the champion answer its own example now."""
        name = model_name(model)
        release = runtime.holder.champion(name)
        started = time.perf_counter()
        result = await asyncio.to_thread(check_health, release)
        return HealthPage(
            model=name,
            version=release.version,
            healthy=True,
            latency_ms=(time.perf_counter() - started) * 1000,
            result=result,
            refused=refused_page(runtime.holder.refusal(name)),
        )

    return router


def check_health(release: Release) -> dict[str, object]:
    """Let a release answer its own example.

    Raises
    ------
    ModelUnhealthy
        It does not, or not as it may.
    """
    try:
        return self_prediction(release)
    except ArtifactCorrupt as error:
        raise ModelUnhealthy(release.model, release.version, error.fault) from error
    except Exception as error:
        fault = f"{type(error).__name__}"
        raise ModelUnhealthy(release.model, release.version, fault) from error
