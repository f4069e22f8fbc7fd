"""A hand-written FastAPI handler around the product's own `answer_row`: no key, no limits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from bentos.answering import answer_row
from bentos.catalog import predictor_type
from bentos.release import open_release, read_pointer

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


def _open() -> Any:
    folder = Path(os.environ["SEPTET_HOME"]) / "releases" / "churn"
    pointer = read_pointer(folder)
    if pointer is None:
        raise SystemExit(f"{folder} has no champion")
    return open_release(folder / pointer.version, pointer=pointer, kind=predictor_type("churn"))


release = _open()


@app.post("/predict", response_model=None)
async def predict(row: dict[str, Any]) -> dict[str, Any]:
    """Answer one row."""
    return answer_row(release, row)
