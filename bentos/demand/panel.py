"""What a demand release holds of its series, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bentos.demand.curve import ProphetCurve
from bentos.demand.steps import STEPS, StepKind, Times, following
from core.artifact import Artifact
from core.encoding import FloatArray

SERIES, PATHS, CURVES, GROUPS, HOLIDAYS = (
    "series.json", "paths.npz", "curves.npz", "groups.npz", "holidays.json",
)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """What all series of one kind of step share.

    Parameters
    ----------
    kind
        The step.
    last
        Local time of the latest step of any of them.
    growth
        Shape ``(H,)``: by how much an error grows with the step ahead.
    levels, quantiles
        Shape ``(q,)``: interval levels, and how many standard errors hold that share.
    index
        Season of a typical series over the next steps, relative to its level; as long as the
        horizon and one season at least.
    level, sigma
        Median level, and typical error relative to a series' level.
    """

    kind: StepKind
    last: np.datetime64
    growth: FloatArray
    levels: FloatArray
    quantiles: FloatArray
    index: FloatArray
    level: float
    sigma: float


@dataclass(frozen=True)
class Known:
    """One series that the release has a model of, or knows that it cannot have one of.

    Parameters
    ----------
    method
        What forecasts it.
    group
        Its kind of step.
    last
        Local time of its last step.
    trend, season
        Shape ``(H,)``: parts of the path of every method but Prophet, before effects.
    curve, curve_share
        Prophet's curve, and its share of the forecast, 0 to 1.
    sigma
        Standard error one step ahead.
    effects
        Shape ``(k,)``: what each regressor does, as a logarithm where the series multiplies.
    is_multiplicative
        Whether effects multiply.
    is_nonnegative
        Whether no forecast may fall below zero.
    error
        Cross-validated MASE; nothing without a model of its own.
    reason
        Why it has none.
    """

    method: str
    group: Group
    last: np.datetime64
    trend: FloatArray
    season: FloatArray
    curve: ProphetCurve | None
    curve_share: float
    sigma: float
    effects: FloatArray
    is_multiplicative: bool
    is_nonnegative: bool
    error: float | None
    reason: str | None

    def times(self, steps: int) -> Times:
        """Give the local times of the next steps."""
        return following(self.last, self.group.kind, steps)


@dataclass(frozen=True)
class Holidays:
    """Days off, by country and name, and what they do to a daily series.

    Parameters
    ----------
    days
        Country -> name -> days since 1970.
    effects
        Name -> logarithm of the factor.
    default
        The country of the training; nothing without one.
    """

    days: Mapping[str, Mapping[str, frozenset[int]]] = field(default_factory=dict)
    effects: Mapping[str, float] = field(default_factory=dict)
    default: str | None = None

    def log_factor(self, times: Times, country: str | None) -> FloatArray:
        """Give the logarithm of the factor of each day, shape ``(n,)``; 0 on a usual day."""
        total = np.zeros(len(times))
        table = self.days.get(country or self.default or "", {})
        days = times.astype("datetime64[D]").astype(np.int64).tolist()
        for name, found in table.items():
            effect = self.effects.get(name, 0.0)
            for place, day in enumerate(days):
                if day in found:
                    total[place] += effect
        return total


@dataclass(frozen=True)
class Panel:
    """All series of a release.

    Parameters
    ----------
    series
        By name.
    groups
        By kind of step; the first is the usual one.
    regressors
        Names of the known future regressors, in the order of the effects.
    horizon
        Most steps ahead.
    holidays
        Days off.
    """

    series: Mapping[str, Known]
    groups: Mapping[str, Group]
    regressors: tuple[str, ...]
    horizon: int
    holidays: Holidays


def read_panel(artifact: Artifact) -> Panel:
    """Read the panel of an artifact."""
    listed = artifact.read_json(SERIES)
    arrays, curves = artifact.read_arrays(PATHS), artifact.read_arrays(CURVES)
    shared = artifact.read_arrays(GROUPS)
    groups = {name: _group(name, shared) for name in listed["groups"]}
    series = {}
    for place, facts in enumerate(listed["series"]):
        name = facts["name"]
        share = float(facts["curve_share"])
        series[name] = Known(
            method=facts["method"],
            group=groups[facts["step"]],
            last=np.datetime64(facts["last"], "s"),
            trend=arrays["trend"][place],
            season=arrays["season"][place],
            curve=ProphetCurve.from_arrays(curves, str(place)) if share > 0 else None,
            curve_share=share,
            sigma=float(arrays["sigma"][place]),
            effects=arrays["effects"][place],
            is_multiplicative=facts["is_multiplicative"],
            is_nonnegative=facts["is_nonnegative"],
            error=facts["error"],
            reason=facts["reason"],
        )
    days = artifact.read_json(HOLIDAYS)
    table = {
        country: {name: frozenset(found) for name, found in named.items()}
        for country, named in days["days"].items()
    }
    return Panel(
        series=series,
        groups=groups,
        regressors=tuple(listed["regressors"]),
        horizon=int(listed["horizon"]),
        holidays=Holidays(table, days["effects"], days["default"]),
    )


def _group(name: str, shared: Mapping[str, Any]) -> Group:
    level, sigma = shared[f"{name}.typical"].tolist()
    return Group(
        kind=STEPS[name],
        last=np.datetime64(int(shared[f"{name}.last"][0]), "s"),
        growth=shared[f"{name}.growth"],
        levels=shared[f"{name}.levels"],
        quantiles=shared[f"{name}.quantiles"],
        index=shared[f"{name}.index"],
        level=level,
        sigma=sigma,
    )
