"""Stock BentoML: a batchable service, and a composite that calls it through `depends`."""

from __future__ import annotations

import os

import bentoml
import lightgbm
import numpy as np

OPTIONS = {"workers": 1, "logging": {"access": {"enabled": False}}}


@bentoml.service(name="model", **OPTIONS)
class Model:
    """Predicts what BentoML gathered."""

    def __init__(self) -> None:
        self.booster = lightgbm.Booster(model_file=os.environ["BOOSTER"])

    @bentoml.api(batchable=True, max_batch_size=128, max_latency_ms=60_000)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Answer rows of shape ``(n, 20)``."""
        return np.asarray(self.booster.predict(rows, num_threads=1))


@bentoml.service(name="front", **OPTIONS)
class Front:
    """Hands each request to the model's own process."""

    model = bentoml.depends(Model)

    @bentoml.api
    async def predict(self, rows: np.ndarray) -> np.ndarray:
        """Answer rows of shape ``(n, 20)``."""
        answer: np.ndarray = await self.model.to_async.predict(rows)
        return answer
