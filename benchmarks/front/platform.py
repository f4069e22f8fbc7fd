"""The platform itself, with the benchmark's model in the place of the catalog's.

Wired as ``services.platform`` wires it; what differs is the model.
"""

from __future__ import annotations

import os

import bentoml

from benchmarks.front.predictor import booster_predictor
from bentos.catalog import predictor_type
from bentos.fronted import Fronted
from bentos.serving_options import service_options
from core.settings import load_settings
from services.app import create_app
from services.docs import docs_files
from services.gate import Gate
from services.runtime import Runtime

KIND_OF = predictor_type if "SEPTET_BENCH_MODEL" in os.environ else booster_predictor
RUNTIME = Runtime(("churn",), kind_of=KIND_OF)
APP = create_app(RUNTIME, docs_files=docs_files())


@bentoml.service(
    name="septet", service_class=Fronted, **service_options(workers=load_settings().workers)
)
@bentoml.asgi_app(APP, path="/", name="platform")
class Platform:
    """Answers with the benchmark's model."""

    def __init__(self) -> None:
        RUNTIME.start()

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Refuse what no process could start with, once, before they are started."""
        load_settings().shared_limits()

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Stop following the champion."""
        await RUNTIME.close()


# mypy sees the class; the decorator made a Service of it.
Platform.add_asgi_middleware(Gate, runtime=RUNTIME)  # type: ignore[attr-defined]
