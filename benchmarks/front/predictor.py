"""The benchmark's model behind the product's own predictor interface."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from bentos.booster import Booster
from bentos.predictor import Drivers, Predictor, RowPredictor
from core.artifact import Artifact
from core.encoding import Columns


class BoosterResult(BaseModel):
    """What the booster says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prediction: float = Field(description="The booster's number, no unit.")


class BoosterPredictor(RowPredictor):
    """Twenty numbers in, one number out."""

    MODEL = "churn"
    RESULT = BoosterResult
    RANK_BY: ClassVar[str | None] = "prediction"

    def load(self, artifact: Artifact) -> None:
        """Load the booster."""
        self.booster = Booster.load(artifact.path("booster.txt"))

    def score(self, columns: Columns) -> dict[str, npt.NDArray[Any]]:
        """Answer."""
        return {"prediction": self.booster.raw(self.encoder.encode(columns))}

    def drivers(self, columns: Columns) -> Drivers:
        """Give the booster's own contributions."""
        parts = self.booster.contributions(self.encoder.encode(columns))
        total: npt.NDArray[np.float64] = parts.sum(axis=1)
        return Drivers(self.encoder.names, parts[:, -1], parts[:, :-1], total, "amount")


def booster_predictor(_: str) -> type[Predictor]:
    """Give what the catalog gives, with the booster's predictor for every name."""
    return BoosterPredictor
