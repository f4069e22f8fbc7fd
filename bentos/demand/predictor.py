"""Answers ``demand``: how much of this will be asked for?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BaseModel

from bentos.demand.panel import Known, Panel, read_panel
from bentos.demand.result import DemandResult
from bentos.demand.steps import texts_of
from bentos.demand.task import DemandTask
from bentos.predictor import Drivers, Predictor
from core.artifact import Artifact
from core.encoding import FloatArray
from core.errors import FieldProblem, RowInvalid, meant
from core.task import Task

_PARTS = ("season", "holidays", "regressors")


@dataclass(frozen=True)
class Forecast:
    """One series ahead, every array of shape ``(h,)``.

    Parameters
    ----------
    trend, season, holidays, regressors
        The additive parts.
    value, low, high
        Their sum, and its interval.
    """

    trend: FloatArray
    season: FloatArray
    holidays: FloatArray
    regressors: FloatArray
    value: FloatArray
    low: FloatArray
    high: FloatArray


class DemandPredictor(Predictor):
    """Demand per step, with an interval and the parts it is made of.

    Right for series whose past tells of their future: the method of each was chosen by its errors
    at origins in the past. It fails at a break that no past shows (a new competitor, a lost
    framework contract), and for a series without a history, which gets the shape of the others
    (``is_new_series``). Promotions and other known regressors count as they did on average.

    The value is ``(trend + season) x exp(effects of holidays and regressors)``, or their sum for a
    series that is not positive throughout. The path is that of exponential smoothing, of Theta, of
    a decomposition or of Prophet, or their mean; Prophet's is evaluated from its parameters, the
    others' are stored. The interval is ``value +- q(level) sigma growth(step)``: ``q`` and
    ``growth`` are those of cross-validated errors of the panel, ``sigma`` of the series (split
    conformal in its form). Nothing is sampled.

    Parameters
    ----------
    artifact
        An opened artifact of this model.

    Returns
    -------
    steps
        One a step: time, value, low, high and components, in the target's unit.

    Raises
    ------
    RowInvalid
        The horizon is beyond the release's, or known future regressors are missing.

    References
    ----------
    Taylor & Letham (2018), Forecasting at scale. Hyndman et al. (2002), A state space framework for
    automatic forecasting. Fiorucci et al. (2016), Models for optimising the theta method.
    Makridakis & Hibon (2000), The M3-competition. Vovk et al. (2005), Algorithmic learning.

    Examples
    --------
    >>> DemandPredictor.TASKS[0].model_fields["horizon_steps"].is_required()
    True
    """

    MODEL: ClassVar[str] = "demand"
    HEADLINE = "steps.value"
    FORETELLS = "steps.value"
    STEPS = "steps.time"
    RESULT: ClassVar[type[BaseModel]] = DemandResult
    TASKS: ClassVar[tuple[type[Task], ...]] = (DemandTask,)

    def load(self, artifact: Artifact) -> None:
        """Read the panel."""
        self.panel: Panel = read_panel(artifact)
        self._zone = ZoneInfo(str(artifact.config.training.options.get("timezone", "UTC")))

    def check(self, row: Mapping[str, Any]) -> None:
        """Refuse what this release has no forecast for."""
        problems = [*self._wrong_keys(row), *self._wrong_regressors(row)]
        if problems:
            raise RowInvalid(problems)

    def predict(
        self, rows: Sequence[Mapping[str, Any]], *, explain: bool = False
    ) -> list[dict[str, Any]]:
        """Answer validated rows, one series each."""
        return [self._answer(row, explain=explain) for row in rows]

    def forecast(self, series: Known, row: Mapping[str, Any]) -> Forecast:
        """Give a series ahead.

        Parameters
        ----------
        series
            What is known of it.
        row
            A row that keeps to the contract, and that ``check`` let pass.
        """
        steps = row["horizon_steps"]
        trend, season = _base(series, steps)
        if series.is_nonnegative:
            trend = trend + np.maximum(-(trend + season), 0.0)
        base = trend + season
        days = np.zeros(steps)
        if series.group.kind.name == "day":
            times = series.times(steps)
            days = self.panel.holidays.log_factor(times, row.get("holidays_country"))
        known = self._known_future(row, series, steps)
        if series.is_multiplicative:
            holidays = base * np.expm1(days)
            regressors = (base + holidays) * np.expm1(known)
            factor = np.exp(days + known)
        else:
            holidays, regressors, factor = np.zeros(steps), known, np.ones(steps)
        value = base + holidays + regressors
        group = series.group
        width = np.interp(row["interval_level"], group.levels, group.quantiles)
        half = width * series.sigma * group.growth[:steps] * factor
        low = value - half
        if series.is_nonnegative:
            low = np.maximum(low, 0.0)
        return Forecast(trend, season, holidays, regressors, value, low, value + half)

    def _answer(self, row: Mapping[str, Any], *, explain: bool) -> dict[str, Any]:
        """Answer one row."""
        series = self.panel.series.get(row.get(self.config.entity) or "")
        is_new = series is None
        if series is None:
            series = self._stranger(row.get("recent_values"))
        ahead = self.forecast(series, row)
        times = texts_of(series.times(row["horizon_steps"]), self._zone)
        columns = [values.tolist() for values in vars(ahead).values()]
        steps = [
            {
                "time": time, "value": value, "low": low, "high": high,
                "components": {
                    "trend": trend, "season": season, "holidays": off, "regressors": known,
                },
            }
            for time, trend, season, off, known, value, low, high in zip(
                times, *columns, strict=True
            )
        ]  # fmt: skip
        result = {
            "method": series.method,
            "is_new_series": is_new,
            "fallback_reason": series.reason,
            "interval_level": float(row["interval_level"]),
            "season_steps": series.group.kind.season,
            "cross_validated_error": series.error,
            "steps": steps,
        }
        answer: dict[str, Any] = {"result": result, "flags": []}
        if explain:
            answer["drivers"] = _drivers(ahead).explanation(0)
        return answer

    def _stranger(self, recent: Sequence[float] | None) -> Known:
        """Make up a series that the release does not know: the panel's shape at its level."""
        group = next(iter(self.panel.groups.values()))
        level = group.level
        if recent:
            # The steps just before the first forecast step have the season's last places.
            season = group.kind.season
            places = (np.arange(len(recent)) - len(recent)) % season
            index = group.index[places]
            level = float(np.median(np.array(recent) / np.maximum(index, 1e-9)))
        count, horizon = len(self.panel.regressors), self.panel.horizon
        return Known(
            method="pooled", group=group, last=group.last,
            trend=np.full(horizon, level), season=level * (group.index[:horizon] - 1),
            curve=None, curve_share=0.0, sigma=abs(level) * group.sigma,
            effects=np.zeros(count), is_multiplicative=True, is_nonnegative=level >= 0,
            error=None, reason=None,
        )  # fmt: skip

    def _known_future(self, row: Mapping[str, Any], series: Known, steps: int) -> FloatArray:
        given = row.get("regressors") or {}
        total = np.zeros(steps)
        for name, effect in zip(self.panel.regressors, series.effects.tolist(), strict=True):
            if name in given:
                total += effect * np.array(given[name], dtype=np.float64)
        return total

    def _wrong_keys(self, row: Mapping[str, Any]) -> Iterator[FieldProblem]:
        """Name a horizon or a country that the release does not hold, or a missing series."""
        steps, most = row["horizon_steps"], self.panel.horizon
        if not row.get(self.config.entity) and not row.get("recent_values"):
            yield FieldProblem(
                self.config.entity, "is missing",
                "name the series, or send recent_values of a new one",
            )  # fmt: skip
        if steps > most:
            yield FieldProblem(
                "horizon_steps", f"is {steps}", f"1 to {most} is allowed in this release; raise "
                "training.options.max_horizon_steps and train again for more",
            )  # fmt: skip
        country, known = row.get("holidays_country"), self.panel.holidays.days
        if country is not None and country not in known:
            allowed = ", ".join(known) or "none; name countries in training.options"
            yield FieldProblem("holidays_country", f"is {country!r}", f"known here: {allowed}")

    def _wrong_regressors(self, row: Mapping[str, Any]) -> Iterator[FieldProblem]:
        """Name regressors that are unknown, missing or of another length than the horizon."""
        given, wanted = row.get("regressors") or {}, self.panel.regressors
        for name in given:
            if name not in wanted:
                listed = ", ".join(wanted) or "none"
                hint = meant(name, list(wanted)) or f"known here: {listed}"
                yield FieldProblem(f"regressors.{name}", "is not a regressor of this model", hint)
        series = self.panel.series.get(row.get(self.config.entity) or "")
        uses = series is not None and bool(np.any(series.effects))
        for name in wanted:
            values = given.get(name)
            if values is None and uses and not self.config.features[name].nullable:
                yield FieldProblem(
                    f"regressors.{name}", "is missing",
                    "this series depends on it: send one known value a step",
                )  # fmt: skip
            elif values is not None and len(values) != row["horizon_steps"]:
                yield FieldProblem(
                    f"regressors.{name}", f"has {len(values)} values",
                    f"{row['horizon_steps']} are needed, one a step",
                )  # fmt: skip


def _base(series: Known, steps: int) -> tuple[FloatArray, FloatArray]:
    """Give trend and season before effects."""
    trend, season = series.trend[:steps], series.season[:steps]
    if series.curve is None:
        return trend, season
    share = series.curve_share
    line, wave = series.curve.parts(series.times(steps))
    if share == 1.0:
        return line, wave
    return (1 - share) * trend + share * line, (1 - share) * season + share * wave


def _drivers(ahead: Forecast) -> Drivers:
    """Give the parts of the mean over the horizon."""
    parts = np.array([[float(getattr(ahead, name).mean()) for name in _PARTS]])
    base = np.array([float(ahead.trend.mean())])
    return Drivers(_PARTS, base, parts, base + parts.sum(axis=1), scale="amount")


PREDICTOR = DemandPredictor
