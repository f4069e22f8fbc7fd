"""Ray Serve with `@serve.batch`, one replica."""

from __future__ import annotations

import os
import signal
from typing import Any

import lightgbm
import numpy as np
import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(
    num_replicas=1,
    max_ongoing_requests=1024,
    logging_config={"enable_access_log": False, "log_level": "WARNING"},
)
class Model:
    """Answers rows that Ray gathered."""

    def __init__(self) -> None:
        self.booster = lightgbm.Booster(model_file=os.environ["BOOSTER"])

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.002)
    async def answer(self, rows: list[list[float]]) -> list[float]:
        """Answer a batch."""
        found: list[float] = self.booster.predict(np.array(rows), num_threads=1).tolist()
        return found

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Answer one request."""
        body = await request.json()
        return {"prediction": await self.answer(body["row"])}


if __name__ == "__main__":
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=os.environ["RAY_TEMP"]
    )
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    deployed: Any = Model  # what the decorator makes of it, which has no types
    serve.run(deployed.bind(), route_prefix="/predict")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
