"""Answers ``anomaly``: is this record, or this point of a series, unusual?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from bentos.anomaly.context import Context
from bentos.anomaly.discovery import discover
from bentos.anomaly.forest import Forest
from bentos.anomaly.result import AnomalyResult
from bentos.anomaly.series import judge
from bentos.anomaly.task import PointsTask
from bentos.anomaly.usual import ForestShare, Usual
from bentos.booster import Booster
from bentos.predictor import Drivers, RowPredictor
from core.artifact import Artifact
from core.encoding import Columns, FloatArray, rows_to_columns
from core.task import Task

_MOST_NAMED = 3
_LEAST_SHARE = 0.1
_LEAST_P = 1e-12
_EVEN = 4.0  # evidence at which a score is one half
_FALSE_DISCOVERIES = 0.1


class AnomalyPredictor(RowPredictor):
    """How unusual a record is, or the latest points of a window of a series.

    Right where the training records are mostly in order: unusual is what differs from them, in a
    value, or in how values go together. It fails on what is wrong in every record, cannot tell a
    rare good thing from a bad one, and a series is judged by the window alone: a fault that fills
    it is usual there.

    A record's evidence is ``a f + b c``: ``f`` is minus the logarithm of the share of training
    records with a higher isolation forest score, ``c`` the strongest evidence that a value does
    not fit the rest of its record (residuals of robust linear expectations, rare pairs of levels).
    Where enough records were labelled, trees learned from them judge all of that. The p-value is
    the share of calibration records with as much evidence, with an exponential tail.

    A point's surprise is the largest of four, each held against its own past: its residual from the
    level and the season before it, a restless run, a lifeless run, a season that stays away. Its
    p-value is the rank among the points before, and beyond them an exponential tail.

    Parameters
    ----------
    artifact
        An opened artifact of this model.

    Returns
    -------
    score
        0 to 1, high for unusual.
    p_value
        0 to 1: share of usual records, or points, as unusual.
    is_anomaly
        Whether the p-value is at most the false-alarm rate.

    Raises
    ------
    RowInvalid
        A window is too short, or its steps are uneven.

    References
    ----------
    Liu, Ting & Zhou (2008), Isolation forest. Huber (1964), Robust estimation of a location
    parameter. Benjamini & Hochberg (1995), Controlling the false discovery rate. Laxhammar &
    Falkman (2014), Online learning and sequential anomaly detection.

    Examples
    --------
    >>> AnomalyPredictor.TASKS[0].MARK
    'points'
    """

    MODEL: ClassVar[str] = "anomaly"
    HEADLINE = "score"
    RESULT: ClassVar[type[BaseModel]] = AnomalyResult
    RANK_BY: ClassVar[str | None] = "score"
    TASKS: ClassVar[tuple[type[Task], ...]] = (PointsTask,)

    def load(self, artifact: Artifact) -> None:
        """Read forest, context, calibration and what is usual."""
        facts = artifact.read_json("mixture.json")
        self._rate = float(facts["false_alarm_rate"])
        self._forest_weight = float(facts["forest_weight"])
        self._context_weight = float(facts["context_weight"])
        self._base_log_odds = float(facts["base_log_odds"])
        self.forest = Forest.load(artifact.path("forest.txt"))
        self.context = Context.from_arrays(artifact.read_arrays("context.npz"))
        self._labelled = Booster.load(artifact.path("trees.txt")) if facts["is_labelled"] else None
        usual = artifact.read_arrays("usual.npz")
        self.usual = Usual.from_arrays(usual)
        self._forest_share = ForestShare(self.forest, usual["forest_grid"])
        self._evidence_grid = usual["evidence_grid"]
        self._below = np.linspace(0.0, float(facts["core_share"]), len(self._evidence_grid))
        self._tail = float(usual["tail"][0])
        self._levels_usual: dict[str, list[str]] = facts["levels"]

    def score(self, columns: Columns) -> dict[str, npt.NDArray[Any]]:
        """Answer ``n`` records: evidence, score, p-value and flag, each of shape ``(n,)``."""
        evidence = self.evidence(self.encoder.encode(columns))
        p_value = self._p_value(evidence)
        return {
            "score": evidence / (evidence + _EVEN),
            "p_value": p_value,
            "is_anomaly": p_value <= self._rate,
            "evidence": evidence,
        }

    def evidence(self, matrix: FloatArray) -> FloatArray:
        """Give the strength of the evidence against encoded records, shape ``(n,)``, 0 up."""
        share = self._forest_share.of(self.usual.filled(matrix))
        if self._labelled is None:
            strength = self._context_weight * self.context.strength(matrix)
            evidence: FloatArray = strength - self._forest_weight * np.log(share)
            return evidence
        known = np.concatenate(
            [matrix, -np.log(share)[:, None], self.context.evidence(matrix)], axis=1
        )
        told: FloatArray = np.logaddexp(0.0, self._labelled.raw(known) - self._base_log_odds)
        return told

    def drivers(self, columns: Columns) -> Drivers:
        """Share the evidence out: what would be gone if a value were a usual one."""
        matrix = self.encoder.encode(columns)
        count, width = matrix.shape
        total = self.evidence(matrix)
        gone = np.empty((count, width))
        for column in range(width):
            tame = matrix.copy()
            tame[:, column] = np.nan
            gone[:, column] = np.maximum(total - self.evidence(tame), 0.0)
        base = self.evidence(np.full((1, width), np.nan))[0]
        sums = gone.sum(axis=1, keepdims=True)
        shares = np.where(sums > 0, gone / np.where(sums > 0, sums, 1.0), 1.0 / width)
        parts = shares * (total - base)[:, None]
        return Drivers(
            self.encoder.names, np.full(count, base), parts, base + parts.sum(axis=1),
            scale="evidence",
        )  # fmt: skip

    def predict(
        self, rows: Sequence[Mapping[str, Any]], *, explain: bool = False
    ) -> list[dict[str, Any]]:
        """Answer validated rows: records, and windows of points."""
        records = [row for row in rows if row.get("points") is None]
        answers = iter(self._judge_records(records, explain=explain))
        return [
            next(answers) if row.get("points") is None else self._judge_window(row, explain=explain)
            for row in rows
        ]

    @classmethod
    def summarise(cls, results: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        """Choose among a batch's records so that a tenth of the chosen may be false."""
        p_values = np.array([result["p_value"] for result in results])
        found = discover(p_values, _FALSE_DISCOVERIES)
        return {
            "false_discovery_ratio": _FALSE_DISCOVERIES,
            "flagged": np.flatnonzero(found.is_flagged).tolist(),
            "p_value_threshold": found.p_value_threshold,
        }

    def _judge_records(
        self, rows: Sequence[Mapping[str, Any]], *, explain: bool
    ) -> list[dict[str, Any]]:
        if not rows:
            return []
        columns = rows_to_columns(rows, self.features)
        scores = self.score(columns)
        flagged = np.flatnonzero(scores["is_anomaly"]) if not explain else np.arange(len(rows))
        reasons = (
            self.drivers({n: v[flagged] for n, v in columns.items()}) if len(flagged) else None
        )
        place_of = {int(row): place for place, row in enumerate(flagged)}
        answers: list[dict[str, Any]] = []
        for i, row in enumerate(rows):
            named: list[dict[str, Any]] = []
            answer: dict[str, Any] = {}
            if reasons is not None and i in place_of:
                said = reasons.explanation(place_of[i])
                named = self._unusual(row, said["contributions"]) if scores["is_anomaly"][i] else []
                answer = {"drivers": said} if explain else {}
            result = {
                "score": float(scores["score"][i]), "p_value": float(scores["p_value"][i]),
                "is_anomaly": bool(scores["is_anomaly"][i]), "false_alarm_rate": self._rate,
                "unusual_features": named, "points": None,
            }  # fmt: skip
            answers.append({"result": result, "flags": self.flags(row), **answer})
        return answers

    def _unusual(
        self, row: Mapping[str, Any], contributions: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Name the strongest features with what is usual beside them."""
        strongest = contributions[0]["contribution"]
        named = []
        for part in contributions[:_MOST_NAMED]:
            name = part["feature"]
            if part["contribution"] <= 0 or part["contribution"] < _LEAST_SHARE * strongest:
                break
            place = self.encoder.names.index(name)
            is_level = name in self.encoder.levels
            named.append(
                {
                    "feature": name,
                    "value": row.get(name),
                    "usual_low": None if is_level else float(self.usual.low[place]),
                    "usual_high": None if is_level else float(self.usual.high[place]),
                    "usual_levels": self._levels_usual[name] if is_level else None,
                    "contribution": part["contribution"],
                }
            )
        return named

    def _judge_window(self, row: Mapping[str, Any], *, explain: bool) -> dict[str, Any]:
        """Judge the latest points of a window."""
        points, rate = row["points"], row["false_alarm_rate"] or self._rate
        values = np.array([point.value for point in points])
        judged = judge(values, season=row["season_steps"] or 1, rate=rate)
        asked = range(len(points) - row["judge_last"], len(points))
        listed = []
        for place in asked:
            p_value = float(np.clip(judged.p_value[place], _LEAST_P, 1.0))
            listed.append(
                {
                    "time": points[place].time.isoformat(),
                    "value": points[place].value,
                    "expected": float(judged.expected[place]),
                    "low": float(judged.low[place]),
                    "high": float(judged.high[place]),
                    "score": -math.log(p_value) / (_EVEN - math.log(p_value)),
                    "p_value": p_value,
                    "is_anomaly": p_value <= rate,
                }
            )
        worst = min(listed, key=lambda point: point["p_value"])
        result = {
            "score": worst["score"], "p_value": worst["p_value"],
            "is_anomaly": worst["is_anomaly"], "false_alarm_rate": rate,
            "unusual_features": [], "points": listed,
        }  # fmt: skip
        answer: dict[str, Any] = {"result": result, "flags": []}
        if explain:
            answer["drivers"] = {
                "scale": "amount", "base": worst["expected"], "total": worst["value"],
                "contributions": [
                    {"feature": "residual", "contribution": worst["value"] - worst["expected"]}
                ],
            }  # fmt: skip
        return answer

    def _p_value(self, evidence: FloatArray) -> FloatArray:
        """Share of calibration records with as much evidence, with an exponential tail."""
        grid = self._evidence_grid
        below = np.interp(evidence, grid, self._below)
        beyond = np.exp(-np.maximum(evidence - grid[-1], 0.0) / self._tail)
        p_value: FloatArray = np.maximum((1.0 - below) * beyond, _LEAST_P)
        return p_value


PREDICTOR = AnomalyPredictor
