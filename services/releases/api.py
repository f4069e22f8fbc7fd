"""The models over HTTP: which there are, what they are, how they are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fastapi import APIRouter

from bentos.catalog import model_name
from core.errors import ModelUnknown, NoChampion
from core.refusals import ModelUnhealthy, ModelUnreachable
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
        return models_page(runtime.champions)

    @router.get(
        "/{model}/info",
        summary="What a model is",
        responses=route_errors(ModelUnknown, NoChampion, ModelUnreachable),
    )
    async def info(model: str) -> InfoPage:
        """Tell version, training data, metrics, features and template of the champion."""
        name = model_name(model)
        return info_page(runtime.champions.champion(name), runtime.champions.refusal(name))

    @router.get(
        "/{model}/health",
        summary="Whether a model answers",
        responses=route_errors(ModelUnknown, NoChampion, ModelUnhealthy, ModelUnreachable),
    )
    async def health(model: str) -> HealthPage:
        """Let the champion answer its own example now."""
        name = model_name(model)
        started = time.perf_counter()
        version, result = await runtime.example(name)
        return HealthPage(
            model=name,
            version=version,
            healthy=True,
            latency_ms=(time.perf_counter() - started) * 1000,
            result=result,
            refused=refused_page(runtime.champions.refusal(name)),
        )

    return router
