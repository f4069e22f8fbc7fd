"""A hand-written FastAPI handler: no key, no limits, no log. Run by uvicorn with uvloop."""

from __future__ import annotations

import os
from typing import Any

import lightgbm
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, create_model

NAMES = tuple(f"number_{i}" for i in range(20))
FIELDS: dict[str, Any] = {"client_id": (str, ...)} | dict.fromkeys(NAMES, (float, ...))
Row: Any = create_model("Row", **FIELDS)


class Answer(BaseModel):
    """What is answered."""

    prediction: float


app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
booster = lightgbm.Booster(model_file=os.environ["BOOSTER"])


async def predict(row: Row) -> Answer:
    """Answer one row."""
    matrix = np.array([[getattr(row, name) for name in NAMES]])
    return Answer(prediction=float(booster.predict(matrix, num_threads=1)[0]))


predict.__annotations__ = {"row": Row, "return": Answer}
app.post("/predict")(predict)
