"""The panel of a demand artifact, written and read again by the recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bentos.demand.panel import CURVES, GROUPS, HOLIDAYS, PATHS, SERIES
from bentos.demand.steps import StepKind
from core.artifact import Draft
from core.encoding import FloatArray
from training.recipes.demand_calendar import Calendars
from training.recipes.demand_effects import Effects, multiplies
from training.recipes.demand_interval import LEVELS, Spread
from training.recipes.demand_methods import PARTS, fit_prophet
from training.recipes.demand_search import Job, naive_scale
from training.recipes.demand_series import Refused, Series

_CYCLES = 5
_SEASONLESS = frozenset({"croston", "mean"})
_LATEST = 12


@dataclass(frozen=True)
class Choices:
    """What was learned at the origins.

    Parameters
    ----------
    methods
        Series -> its method.
    errors
        Series -> its cross-validated MASE; nothing where no origin fits in.
    spreads
        Kind of step -> its tables of errors, the most frequent kind first.
    """

    methods: Mapping[str, str]
    errors: Mapping[str, float | None]
    spreads: Mapping[str, Spread]


def read_choices(draft: Draft) -> Choices:
    """Read from a draft what was chosen when it was written."""
    content = json.loads(draft.path("choices.json").read_text(encoding="utf-8"))
    spreads = {
        kind: Spread(
            growth=np.array(found["growth"]), quantiles=np.array(found["quantiles"]),
            usual=found["usual"], sigmas=found["sigmas"],
        )
        for kind, found in content["spreads"]
    }  # fmt: skip
    return Choices(content["methods"], content["errors"], spreads)


def write_panel(
    draft: Draft,
    jobs: Sequence[Job],
    paths: Sequence[Mapping[str, FloatArray]],
    *,
    panel: Sequence[Series],
    refused: Sequence[Refused],
    choices: Choices,
    effects: Effects,
    calendars: Calendars,
    regressors: tuple[str, ...],
) -> None:
    """Write the files that ``bentos.demand.panel.read_panel`` reads.

    Parameters
    ----------
    draft
        The artifact.
    jobs, paths
        One a series: its plain past, and the paths of its method's parts.
    panel, refused
        The series that were fitted, and those that could not be.
    choices, effects, calendars
        What was learned.
    regressors
        Names of the regressors.
    """
    groups = _groups(jobs, choices)
    listed: list[dict[str, Any]] = []
    trends, seasons, sigmas, betas = [], [], [], []
    curves: dict[str, npt.NDArray[Any]] = {}
    for place, (series, job, found) in enumerate(zip(panel, jobs, paths, strict=True)):
        method = choices.methods.get(series.name, "seasonal_naive")
        trend, season, share = _path(job, method, found)
        if share:
            curves |= fit_prophet(job.values, job.times, job.kind).to_arrays(str(place))
        spread = choices.spreads[series.kind.name]
        scale = naive_scale(job.values, job.kind.season)
        trends.append(trend)
        seasons.append(season)
        sigmas.append(spread.sigmas.get(series.name, spread.usual * scale))
        betas.append(effects.regressors[series.name])
        listed.append(_facts(series, method, share, choices.errors.get(series.name)))
    first = next(iter(groups))
    for left_out in refused:
        typical, horizon = groups[first], jobs[0].horizon
        trends.append(np.full(horizon, left_out.level))
        seasons.append(left_out.level * (typical["index"][:horizon] - 1))
        sigmas.append(abs(left_out.level) * typical["typical"][1])
        betas.append(np.zeros(len(regressors)))
        listed.append(_facts_of_refused(left_out, first))
    content = {"series": listed, "groups": list(groups), "regressors": list(regressors),
               "horizon": jobs[0].horizon}  # fmt: skip
    draft.write_json(SERIES, content)
    draft.write_arrays(
        PATHS, trend=np.array(trends), season=np.array(seasons), sigma=np.array(sigmas),
        effects=np.array(betas).reshape(len(listed), len(regressors)),
    )  # fmt: skip
    draft.write_arrays(CURVES, **curves)
    draft.write_arrays(
        GROUPS, **{f"{n}.{key}": found for n, g in groups.items() for key, found in g.items()}
    )
    _write_holidays(draft, calendars, effects)
    _write_choices(draft, choices)


def _path(
    job: Job, method: str, found: Mapping[str, FloatArray]
) -> tuple[FloatArray, FloatArray, float]:
    """Give trend and season of the stored path, and Prophet's share of the forecast."""
    parts = PARTS[method]
    share = parts.count("prophet") / len(parts)
    if share == 1.0:
        return np.zeros(job.horizon), np.zeros(job.horizon), share
    path = np.mean([found[part] for part in parts if part != "prophet"], axis=0)
    season = np.zeros(job.horizon)
    if method not in _SEASONLESS:
        season = season_ahead(job.values, job.kind, job.horizon)
    return path - season, season, share


def season_ahead(values: FloatArray, kind: StepKind, horizon: int) -> FloatArray:
    """Give the usual season of the next steps, around zero, by classical decomposition."""
    season = kind.season
    if season == 1 or len(values) < 2 * season:
        return np.zeros(horizon)
    recent = values[-_CYCLES * season :]
    smooth = np.convolve(recent, np.ones(season) / season, mode="valid")
    if season % 2 == 0:
        smooth = (smooth[1:] + smooth[:-1]) / 2
    margin = season // 2
    apart = recent[margin : margin + len(smooth)] - smooth
    # Counted from the end, so that the first step ahead is place 0.
    places = (np.arange(len(apart)) + margin - len(recent)) % season
    index = np.array([np.median(apart[places == place]) for place in range(season)])
    index -= index.mean()
    return index[np.arange(horizon) % season]


def _groups(jobs: Sequence[Job], choices: Choices) -> dict[str, dict[str, FloatArray]]:
    """Give what all series of one kind of step share."""
    groups = {}
    for kind, spread in choices.spreads.items():
        members = [job for job in jobs if job.kind.name == kind]
        if not members:
            continue
        levels = [float(np.median(job.values[-_LATEST:])) for job in members]
        # A season at least: recent values of a new series are told apart by their places in it.
        horizon = max(members[0].horizon, members[0].kind.season)
        shapes = [
            season_ahead(job.values, job.kind, horizon) / level
            for job, level in zip(members, levels, strict=True)
            if level > 0
        ]
        index = 1 + (np.median(shapes, axis=0) if shapes else np.zeros(horizon))
        apart = [
            naive_scale(job.values, job.kind.season) / abs(level)
            for job, level in zip(members, levels, strict=True)
            if level
        ]
        last = max(job.times[-1] for job in members).astype("datetime64[s]").astype(np.int64)
        groups[kind] = {
            "growth": spread.growth, "levels": LEVELS, "quantiles": spread.quantiles,
            "index": index, "last": np.array([last]),
            "typical": np.array([float(np.median(levels)), float(np.median(apart or [1.0]))]),
        }  # fmt: skip
    return groups


def _facts(series: Series, method: str, share: float, error: float | None) -> dict[str, Any]:
    return {
        "name": series.name, "method": method, "step": series.kind.name,
        "last": str(series.times[-1].astype("datetime64[s]")), "curve_share": share,
        "is_multiplicative": multiplies(series),
        "is_nonnegative": bool(np.all(series.values >= 0)), "error": error,
        "reason": None, "filled": series.filled,
    }  # fmt: skip


def _facts_of_refused(left_out: Refused, step: str) -> dict[str, Any]:
    return {
        "name": left_out.name, "method": "pooled", "step": step,
        "last": str(left_out.last.astype("datetime64[s]")), "curve_share": 0.0,
        "is_multiplicative": True, "is_nonnegative": left_out.level >= 0, "error": None,
        "reason": left_out.reason, "filled": 0,
    }  # fmt: skip


def _write_holidays(draft: Draft, calendars: Calendars, effects: Effects) -> None:
    days = {
        country: {name: sorted(found) for name, found in named.items()}
        for country, named in calendars.days.items()
    }
    content = {"days": days, "effects": effects.holidays, "default": calendars.default}
    draft.write_json(HOLIDAYS, content)


def _write_choices(draft: Draft, choices: Choices) -> None:
    spreads = [
        [
            kind,
            {"growth": s.growth.tolist(), "quantiles": s.quantiles.tolist(), "usual": s.usual,
             "sigmas": dict(s.sigmas)},
        ]
        for kind, s in choices.spreads.items()
    ]  # fmt: skip
    content = {"methods": choices.methods, "errors": choices.errors, "spreads": spreads}
    draft.write_json("choices.json", content)
