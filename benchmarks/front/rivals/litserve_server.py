"""LitServe with its own batching, one worker on the CPU."""

from __future__ import annotations

import os

import lightgbm
import litserve
import numpy as np


class BoosterApi(litserve.LitAPI):  # type: ignore[misc]  # not in our environment
    """Answers rows that LitServe gathered."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's own signature
        """Load the model in the worker."""
        self.booster = lightgbm.Booster(model_file=os.environ["BOOSTER"])

    def decode_request(self, request) -> np.ndarray:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Take one row; LitServe gives plain JSON where no type is named."""
        return np.array(request["row"])

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Answer a batch."""
        return np.asarray(self.booster.predict(x, num_threads=1))

    def encode_response(self, output: float) -> dict[str, float]:
        """Give one number."""
        return {"prediction": float(output)}


if __name__ == "__main__":
    api = BoosterApi(max_batch_size=32, batch_timeout=0.002, api_path="/predict")
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=1, fast_queue=True, timeout=60
    )
    server.run(
        host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", num_api_servers=1,
        generate_client_file=False, access_log=False,
    )  # fmt: skip
