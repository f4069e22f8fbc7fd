"""The platform as one BentoML service: every model in one process, behind the gate.

``bentoml serve services.platform:Platform``
"""

from __future__ import annotations

import bentoml

from bentos.fronted import Fronted
from bentos.serving_options import service_options
from core.settings import load_settings
from services.app import create_app
from services.docs import docs_files
from services.gate import Gate
from services.runtime import Runtime

RUNTIME = Runtime()


APP = create_app(RUNTIME, docs_files=docs_files())


@bentoml.service(
    name="septet", service_class=Fronted, **service_options(workers=load_settings().workers)
)
@bentoml.asgi_app(APP, path="/", name="platform")
class Platform:
    """Answers for every model of the catalog."""

    def __init__(self) -> None:
        RUNTIME.start()

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Refuse what no process could start with, once, before they are started."""
        load_settings().shared_limits()

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Stop following the champions."""
        await RUNTIME.close()


# mypy sees the class; the decorator made a Service of it.
Platform.add_asgi_middleware(Gate, runtime=RUNTIME)  # type: ignore[attr-defined]
