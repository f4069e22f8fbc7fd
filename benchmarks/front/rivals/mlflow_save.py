"""Saves the booster as an MLflow model, for `mlflow models serve`."""

from __future__ import annotations

import os
import sys

import lightgbm
import mlflow.lightgbm  # noqa: TID251 - a rival's own way

if __name__ == "__main__":
    mlflow.lightgbm.save_model(
        lightgbm.Booster(model_file=os.environ["BOOSTER"]),
        path=sys.argv[1],
        pip_requirements=["lightgbm"],
    )
