"""Answers ``churn``: will this client leave within the horizon?"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from bentos.booster import Booster
from bentos.churn.spline import SplineLogit
from bentos.predictor import Drivers, RowPredictor
from core.artifact import Artifact
from core.encoding import Columns, FloatArray

_MOST_LOG_ODDS = 500.0
_BANDS = np.array(["low", "medium", "high"])


_EXAMPLE: dict[str, Any] = {"probability": 0.07, "risk_band": "low"}


class ChurnResult(BaseModel):
    """What the model says of one client."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [_EXAMPLE]}
    )

    probability: float = Field(
        ge=0, le=1, description="Probability that the client leaves within the horizon, 0 to 1."
    )
    risk_band: Literal["low", "medium", "high"] = Field(
        description="Band of the probability: the bounds stand in the config's options."
    )


class ChurnPredictor(RowPredictor):
    """Calibrated probability that a client leaves within the horizon.

    Right for clients like those it was trained on, whose inputs were known at the as-of time: then
    of a hundred clients with probability .2 some twenty leave. It fails silently when the business
    changes (a new contract type, a price step nobody had before): inputs outside of the training
    range are flagged, and drift of the rest is what the reports watch. A probability is no cause:
    the drivers say what the model weighed, not what would keep the client.

    The log-odds are ``a + b * (w * mean of the trees' log-odds + (1 - w) * spline logit)``; the
    weight ``w`` and the calibration ``a``, ``b`` (Platt 1999) are chosen by cross-validation.

    Parameters
    ----------
    artifact
        An opened artifact of this model.

    Returns
    -------
    probability
        From 0 to 1, shape ``(n,)``.
    risk_band
        ``low``, ``medium`` or ``high``, shape ``(n,)``.

    Raises
    ------
    ConfigError
        The config names a role; this model has none.

    References
    ----------
    Niculescu-Mizil & Caruana (2005), Predicting good probabilities with supervised learning.
    Platt (1999), Probabilistic outputs for support vector machines.
    Harrell (2001), Regression modeling strategies, section 2.4.
    Lundberg et al. (2020), From local explanations to global understanding with trees.

    Examples
    --------
    >>> ChurnResult(probability=0.2, risk_band="medium").risk_band
    'medium'
    """

    MODEL: ClassVar[str] = "churn"
    HEADLINE = "probability"
    FORETELLS = "probability"
    RESULT: ClassVar[type[BaseModel]] = ChurnResult

    def load(self, artifact: Artifact) -> None:
        """Read the blend, the trees and the spline logit."""
        blend = artifact.read_json("blend.json")
        self._trees_share = float(blend["trees_share"])
        self._shift, self._slope = float(blend["shift"]), float(blend["slope"])
        self._bounds = (float(blend["medium_from"]), float(blend["high_from"]))
        self._trees_count = int(blend["trees"])
        self._trees = Booster.load_sum(
            [artifact.path(f"trees_{i}.txt") for i in range(self._trees_count)]
        )
        self._spline = SplineLogit.from_arrays(artifact.read_arrays("spline.npz"))

    def score(self, columns: Columns) -> dict[str, npt.NDArray[Any]]:
        """Answer ``n`` rows."""
        log_odds = self._log_odds(self.encoder.encode(columns))
        # Inputs far outside of anything seen may leave what exp can hold.
        probability = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -_MOST_LOG_ODDS, _MOST_LOG_ODDS)))
        places = np.searchsorted(self._bounds, probability, side="right")
        return {"probability": probability, "risk_band": _BANDS[places]}

    def drivers(self, columns: Columns) -> Drivers:
        """Give what each feature adds to the log-odds."""
        matrix = self.encoder.encode(columns)
        trees = self._trees.contributions(matrix) / self._trees_count
        share, spline_share = self._trees_share, 1 - self._trees_share
        parts = self._slope * (share * trees[:, :-1] + spline_share * self._spline.effects(matrix))
        level = share * trees[:, -1] + spline_share * self._spline.intercept
        base = self._shift + self._slope * level
        total = self._log_odds(matrix)
        return Drivers(self.encoder.names, base, parts, total, scale="log-odds")

    def _log_odds(self, matrix: FloatArray) -> FloatArray:
        trees = self._trees.raw(matrix) / self._trees_count
        spline = self._spline.log_odds(matrix)
        blended = self._trees_share * trees + (1 - self._trees_share) * spline
        log_odds: FloatArray = self._shift + self._slope * blended
        return log_odds


PREDICTOR = ChurnPredictor
