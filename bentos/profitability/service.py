"""The profitability bento: ``bentoml serve bentos.profitability.service:Profitability``."""

from __future__ import annotations

from typing import Any

import bentoml

from bentos.front import Front
from bentos.fronted import Fronted
from bentos.lone import Lone
from bentos.serving_options import MAX_BATCH_SIZE, MAX_LATENCY_MS, service_options

LONE = Lone("profitability")


@bentoml.service(name="profitability", service_class=Fronted, **service_options())
class Profitability:
    """What margin will this client or engagement bring?"""

    def __init__(self) -> None:
        LONE.start()

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH_SIZE, max_latency_ms=MAX_LATENCY_MS)
    def predict(self, rows: list[Any]) -> list[dict[str, Any]]:
        """Answer each row on its own: an answer, or a problem."""
        return LONE.answer(rows)

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH_SIZE, max_latency_ms=MAX_LATENCY_MS)
    def explain(self, rows: list[Any]) -> list[dict[str, Any]]:
        """Answer each row on its own, with its drivers."""
        return LONE.answer(rows, explain=True)

    @bentoml.on_shutdown
    def close(self) -> None:
        """Stop following the champion."""
        LONE.stop()


# mypy sees the class; the decorator made a Service of it.
Profitability.add_asgi_middleware(Front, lone=LONE)  # type: ignore[attr-defined]
