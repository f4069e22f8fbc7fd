"""A tiny but real model: releases on disk that are opened, checked and served as any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from bentos.predictor import ENCODER, RANGES, Drivers, Predictor, RowPredictor
from bentos.release import POINTER, Identity, Pointer
from core import clock
from core.artifact import RELEASE, Artifact, DataFacts, Draft, manifest_sha256
from core.config import ModelConfig
from core.encoding import Columns, Encoder
from core.errors import AnswerRefused

CONTENT: dict[str, Any] = {
    "model": "churn",
    "title": "Will this client leave?",
    "description": "A tiny stand-in.",
    "source": {"kind": "csv", "path": "clients.csv"},
    "entity": "client_id",
    "as_of": "as_of",
    "target": {"column": "left", "description": "Left within 90 days.", "positive": "yes"},
    "features": {
        "tenure_months": {
            "type": "integer", "description": "Months as a client", "unit": "months",
            "minimum": 0, "maximum": 600, "example": 12,
        },
        "hours": {
            "type": "number", "description": "Hours worked", "unit": "hours", "minimum": 0,
            "nullable": True, "example": 10.5,
        },
        "is_active": {"type": "boolean", "description": "Whether active", "example": True},
        "plan": {
            "type": "category", "description": "The plan", "categories": ["basic", "pro"],
        },
        "region": {"type": "category", "description": "The region", "example": "north"},
    },
    "split": {"rule": "time", "test_share": 0.2},
    "gate": {"metric": "auc_score"},
    "serving": {"max_batch_rows": 50},
}  # fmt: skip

SPANS = {"tenure_months": [1.0, 120.0], "hours": [0.0, 200.0]}


class TinyResult(BaseModel):
    """What the tiny model says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probability: float = Field(ge=0, le=1, description="Probability, 0 to 1.")
    band: str = Field(description="low or high.")


class TinyPredictor(RowPredictor):
    """A weighted sum through a sigmoid; fails on tenure 13, to be a poison row."""

    MODEL = "churn"
    HEADLINE = "probability"
    FORETELLS = "probability"
    RESULT = TinyResult
    RANK_BY: ClassVar[str | None] = "probability"

    def load(self, artifact: Artifact) -> None:
        """Read the weights."""
        arrays = artifact.read_arrays("weights.npz")
        self.weights, self.base = arrays["weights"], float(arrays["base"][0])

    def check(self, row: Mapping[str, Any]) -> None:
        """Refuse tenure 15, as if no history were near it."""
        if row.get("tenure_months") == 15:
            raise AnswerRefused("no history near a tenure of 15; ask for another")

    def score(self, columns: Columns) -> dict[str, npt.NDArray[Any]]:
        """Answer."""
        tenure = columns.get("tenure_months", np.zeros(1))
        if (tenure == 13).any():
            raise ZeroDivisionError("poison")
        chance = 1 / (1 + np.exp(-(self.base + self._parts(columns).sum(axis=1))))
        chance[tenure == 14] = np.inf
        return {"probability": chance, "band": np.where(chance > 0.5, "high", "low")}

    def drivers(self, columns: Columns) -> Drivers:
        """Give the parts."""
        parts = self._parts(columns)
        base = np.full(len(parts), self.base)
        total = base + parts.sum(axis=1)
        return Drivers(self.encoder.names, base, parts, total, "log-odds")

    def _parts(self, columns: Columns) -> npt.NDArray[np.float64]:
        parts: npt.NDArray[np.float64] = np.nan_to_num(self.encoder.encode(columns)) * self.weights
        return parts


@dataclass(frozen=True)
class Shelf:
    """The releases of the tiny model under a folder."""

    root: Path

    @property
    def model_folder(self) -> Path:
        """The folder of the model."""
        return self.root / "churn"

    def write(
        self,
        version: str,
        *,
        base: float = -1.0,
        content: Mapping[str, Any] | None = None,
        spans: Mapping[str, list[float]] | None = None,
    ) -> Path:
        """Write one version, not yet the champion."""
        config = ModelConfig.model_validate({**CONTENT, **(content or {})})
        folder = self.root / config.model / version
        write_artifact(folder, config, base=base, spans=SPANS if spans is None else spans)
        identity = Identity(
            model=config.model,
            version=version,
            run_id=f"run-{version}",
            registered_at=clock.now(),
            manifest_sha256=manifest_sha256(folder),
        )
        (folder / RELEASE).write_text(identity.model_dump_json())
        return folder

    def point(self, version: str, *, digest: str | None = None) -> None:
        """Make a version the champion."""
        digest = digest or manifest_sha256(self.model_folder / version)
        draft = self.model_folder / f".{POINTER}.tmp"
        draft.write_text(Pointer(version=version, manifest_sha256=digest).model_dump_json())
        draft.replace(self.model_folder / POINTER)


def write_artifact(
    folder: Path, config: ModelConfig, *, base: float, spans: Mapping[str, list[float]]
) -> None:
    """Write an artifact of the tiny model."""
    draft = Draft(folder)
    known = {"plan": ["basic", "pro"], "region": ["north", "south"]}
    levels = {name: found for name, found in known.items() if name in config.features}
    draft.write_json(ENCODER, Encoder(tuple(config.features), levels).to_json())
    draft.write_json(RANGES, spans)
    weights = dict(zip(CONTENT["features"], (-0.01, 0.02, -0.5, 0.3, 0.1), strict=True))
    own = np.array([weights.get(name, 0.0) for name in config.features])
    draft.write_arrays("weights.npz", weights=own, base=[base])
    facts = DataFacts(
        digest="0" * 64, source="clients.csv", rows_train=60, rows_calibration=20, rows_test=20,
        entities=100, first=None, last=None, left_out=0,
    )  # fmt: skip
    draft.finish(config, data=facts, versions={"septet": "0"}, metrics={"auc_score": 0.8})


def tiny_type(_: str) -> type[Predictor]:
    """Give what the catalog gives, with the tiny predictor for every name."""
    return TinyPredictor
