"""The platform itself, with the benchmark's model in the place of the catalog's.

Wired as ``services.platform`` wires it; what differs is the model, and how many
processes serve.
"""

from __future__ import annotations

import os

import bentoml

from benchmarks.front.predictor import booster_predictor
from bentos.fronted import Fronted
from bentos.serving_options import service_options
from services.app import create_app
from services.docs import docs_files
from services.gate import Gate
from services.runtime import Runtime

RUNTIME = Runtime(("churn",), kind_of=booster_predictor)
OPTIONS = service_options() | {"workers": int(os.environ.get("SEPTET_BENCH_WORKERS", "1"))}

APP = create_app(RUNTIME, docs_files=docs_files())


@bentoml.service(name="septet", service_class=Fronted, **OPTIONS)
@bentoml.asgi_app(APP, path="/", name="platform")
class Platform:
    """Answers with the benchmark's model."""

    def __init__(self) -> None:
        RUNTIME.start()

    @bentoml.on_shutdown
    def close(self) -> None:
        """Stop following the champion."""
        RUNTIME.stop()


# mypy sees the class; the decorator made a Service of it.
Platform.add_asgi_middleware(Gate, runtime=RUNTIME, routes=APP.routes)  # type: ignore[attr-defined]
