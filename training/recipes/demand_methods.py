"""The methods that compete for a series, from StatsForecast and Prophet."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bentos.demand.curve import ProphetCurve
from bentos.demand.steps import StepKind, Times
from core.encoding import FloatArray

# What a name on the answer stands for: the mean of these parts.
PARTS: Mapping[str, tuple[str, ...]] = {
    "seasonal_naive": ("seasonal_naive",),
    "ets": ("ets",),
    "theta": ("theta",),
    "ets_theta": ("ets", "theta"),
    "mstl": ("mstl",),
    "mstl_theta": ("mstl", "theta"),
    "harmonic": ("harmonic",),
    "ets_harmonic": ("ets", "harmonic"),
    "prophet": ("prophet",),
    "ets_theta_prophet": ("ets", "theta", "prophet"),
    "mstl_prophet": ("mstl", "prophet"),
    "croston": ("croston",),
    "mean": ("mean",),
}
_SEASONAL = (
    "seasonal_naive", "ets", "theta", "ets_theta", "harmonic", "ets_harmonic", "prophet",
    "ets_theta_prophet",
)  # fmt: skip
_LONG_SEASON = (
    "seasonal_naive", "theta", "mstl", "mstl_theta", "harmonic", "prophet", "mstl_prophet",
)  # fmt: skip
_INTERMITTENT = ("seasonal_naive", "croston", "mean", "ets")
# StatsForecast's ETS knows no season longer than this.
_LONGEST_ETS_SEASON = 24
_INTERMITTENT_SHARE = 0.3
_YEAR_DAYS = 365
_DAY = 86_400
_HARMONICS, _BEND_RIDGE, _SEASON_RIDGE, _FADE = 3, 100.0, 1.0, 0.4
_MOST_GROWTH = 2.0  # on the log scale, above the largest value there was
CHANGE_PRIOR = 0.1  # Prophet's default of .05 bends too little on the public panels


def candidates(values: FloatArray, kind: StepKind, *, with_prophet: bool) -> tuple[str, ...]:
    """Name the methods that suit a series."""
    if np.mean(values == 0) > _INTERMITTENT_SHARE:
        return _INTERMITTENT
    long = kind.season > _LONGEST_ETS_SEASON or len(_seasons(kind, len(values))) > 1
    names = _LONG_SEASON if long else _SEASONAL
    return tuple(name for name in names if with_prophet or "prophet" not in name)


def part_path(
    part: str, values: FloatArray, times: Times, kind: StepKind, horizon: int
) -> FloatArray:
    """Forecast one part of a method.

    Parameters
    ----------
    part
        One of the parts named in ``PARTS``.
    values, times
        Shape ``(n,)``: the past, without effects.
    kind
        What a step is.
    horizon
        Steps ahead.

    Returns
    -------
    ndarray of shape (horizon,)
        Finite: where a library gives none, the last season stands in.
    """
    if part == "prophet":
        from bentos.demand.steps import following  # noqa: PLC0415 - this part alone needs it

        ahead = following(times[-1], kind, horizon)
        return fit_prophet(values, times, kind).value(ahead)
    season = kind.season if len(values) >= 2 * kind.season else 1
    if part == "harmonic":
        return harmonic_path(values, _seasons(kind, len(values)), horizon)
    if part == "mean":
        return np.full(horizon, float(values[-2 * kind.season :].mean()))
    if np.ptp(values) == 0:
        return np.full(horizon, values[-1])
    model = _model(part, values, season, kind)
    path = np.asarray(model.forecast(values, h=horizon)["mean"], dtype=np.float64)
    if np.all(np.isfinite(path)):
        return path
    naive = _model("seasonal_naive", values, season, kind).forecast(values, h=horizon)
    return np.asarray(naive["mean"], dtype=np.float64)


def _model(part: str, values: FloatArray, season: int, kind: StepKind) -> Any:
    """Build StatsForecast's model of a part."""
    from statsforecast import models  # noqa: PLC0415 - takes a second to import

    if part == "seasonal_naive":
        return models.SeasonalNaive(season)
    if part == "ets":
        return models.AutoETS(season_length=season if season <= _LONGEST_ETS_SEASON else 1)
    if part == "theta":
        form = "multiplicative" if np.all(values > 0) else "additive"
        return models.DynamicOptimizedTheta(season_length=season, decomposition_type=form)
    if part == "croston":
        return models.CrostonSBA()
    if part != "mstl":
        raise ValueError(f"no such part: {part}")
    seasons = list(_seasons(kind, len(values)))
    return models.MSTL(seasons, trend_forecaster=models.AutoETS(model="ZZN"))


def _seasons(kind: StepKind, count: int) -> tuple[int, ...]:
    """Give the seasons that so many steps can tell, the shortest first; (1,) for none."""
    if kind.name == "day" and count >= 2 * _YEAR_DAYS:
        return kind.season, _YEAR_DAYS
    return (kind.season if count >= 2 * kind.season else 1,)


def harmonic_path(values: FloatArray, seasons: Sequence[int], horizon: int) -> FloatArray:
    """Regress on a bending trend and a few harmonics (Young, Pedregal & Tych 1999), by ridge.

    In logarithms where the series is positive. The last error fades from step to step.

    Parameters
    ----------
    values
        Shape ``(n,)``.
    seasons
        Steps of each season, the shortest first; the trend may bend every half of the longest.
    horizon
        Steps ahead.
    """
    count, longest = len(values), max(seasons[-1], 2)
    logs = np.log(values) if np.all(values > 0) else values / (np.abs(values).max() or 1.0)
    clock = np.arange(count + horizon)
    columns, ridge = [np.ones(len(clock)), clock / longest], [0.0, 0.0]
    apart = max(longest // 2, 4)
    for knot in range(apart, count - apart, apart):
        columns.append(np.maximum(clock - knot, 0) / longest)
        ridge.append(_BEND_RIDGE)
    for season in seasons:
        for order in range(1, min(_HARMONICS, (season - 1) // 2) + 1):
            angle = 2 * np.pi * order * clock / season
            columns += [np.sin(angle), np.cos(angle)]
            ridge += [_SEASON_RIDGE * order**2] * 2
    design = np.array(columns).T
    known = design[:count]
    weights = np.linalg.solve(known.T @ known + np.diag(ridge) + 1e-9, known.T @ logs)
    fading = (logs[-1] - known[-1] @ weights) * _FADE ** np.arange(1, horizon + 1)
    path: FloatArray = design[count:] @ weights + fading
    if np.all(values > 0):
        path = np.exp(np.minimum(path, logs.max() + _MOST_GROWTH))
    else:
        path = path * (np.abs(values).max() or 1.0)
    return path


def fit_prophet(values: FloatArray, times: Times, kind: StepKind) -> ProphetCurve:
    """Fit Prophet and take its curve out of it.

    Parameters
    ----------
    values, times
        Shape ``(n,)``.
    kind
        What a step is: it says which seasons there can be.
    """
    return curve_of(fitted_prophet(values, times, kind))


def fitted_prophet(values: FloatArray, times: Times, kind: StepKind) -> Any:
    """Fit Prophet, quietly and without its sampled intervals."""
    import pandas as pd  # noqa: PLC0415 - Prophet alone wants a frame
    from prophet import Prophet  # noqa: PLC0415 - takes seconds to import

    # By its first fit cmdstanpy sets its own level anew: a level would not silence it.
    logging.getLogger("cmdstanpy").disabled = True
    logging.getLogger("prophet").setLevel(logging.CRITICAL)
    days = float((times[-1] - times[0]).astype("timedelta64[s]").astype(np.int64)) / _DAY
    a_year = {"hour": 0, "day": 10, "week": 10, "month": 5, "quarter": 1, "year": 0}[kind.name]
    model = Prophet(
        yearly_seasonality=a_year if days >= 2 * _YEAR_DAYS and a_year else False,
        weekly_seasonality=3 if kind.name in {"hour", "day"} else False,
        daily_seasonality=4 if kind.name == "hour" else False,
        seasonality_mode="multiplicative" if np.all(values >= 0) else "additive",
        changepoint_prior_scale=CHANGE_PRIOR,
        n_changepoints=min(25, max(len(values) // 3, 1)),
        uncertainty_samples=0,
    )
    model.fit(pd.DataFrame({"ds": times.astype("datetime64[ns]"), "y": values}), seed=1)
    return model


def curve_of(model: Any) -> ProphetCurve:
    """Take the point forecast's parameters out of a fitted Prophet model."""
    seasons = list(model.seasonalities.values())
    return ProphetCurve(
        start=int(model.start.value),
        span=int(model.t_scale.value),
        scale=float(model.y_scale),
        slope=float(model.params["k"][0][0]),
        offset=float(model.params["m"][0][0]),
        changepoints=np.asarray(model.changepoints_t, dtype=np.float64),
        deltas=np.asarray(model.params["delta"][0], dtype=np.float64),
        periods=np.array([float(season["period"]) for season in seasons]),
        orders=np.array([int(season["fourier_order"]) for season in seasons], dtype=np.int64),
        betas=np.asarray(model.params["beta"][0], dtype=np.float64),
        is_multiplicative=model.seasonality_mode == "multiplicative",
    )
