"""What well-known forecasters reach on the series of demand: fitted in the same run."""

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from prophet import Prophet
from statsforecast import models

from training.split import Split

Floats = npt.NDArray[np.float64]
Path = tuple[Floats, Floats, Floats]
NAIVE, ETS, THETA, PROPHET = "SeasonalNaive", "AutoETS", "Theta", "Prophet"
THETA_ETS, THETA_MSTL = "median(Theta, ETS)", "median(Theta, MSTL)"
LEVEL = 0.95
_MISS = 1 - LEVEL


@dataclass(frozen=True)
class Given:
    """One series: what a forecaster sees, and what came.

    Parameters
    ----------
    name
        Its id.
    times, past
        Shape ``(n,)``: the steps before the test.
    ahead, future
        Shape ``(h,)``: the steps of the test.
    rows, past_rows
        Places of the steps in the test and in the training frame.
    season
        Steps of a season.
    """

    name: str
    times: npt.NDArray[np.datetime64]
    past: Floats
    ahead: npt.NDArray[np.datetime64]
    future: Floats
    rows: npt.NDArray[np.int64]
    past_rows: npt.NDArray[np.int64]
    season: int

    @property
    def scale(self) -> float:
        """In-sample error of the seasonal naive (Hyndman & Koehler 2006)."""
        lag = self.season if len(self.past) > self.season else 1
        return float(np.abs(self.past[lag:] - self.past[:-lag]).mean()) or 1.0


def given_of(split: Split, *, season: int) -> list[Given]:
    """Take the series out of a split, in the order of their names."""
    train, test = split.train, split.test
    assert train.as_of is not None
    assert test.as_of is not None
    known, asked = train.entity.astype(str), test.entity.astype(str)
    found = []
    for name in np.unique(asked):
        before, after = np.flatnonzero(known == name), np.flatnonzero(asked == name)
        before = before[np.argsort(train.as_of[before])]
        after = after[np.argsort(test.as_of[after])]
        found.append(
            Given(
                str(name), train.as_of[before], train.target[before], test.as_of[after],
                test.target[after], after, before, season,
            )
        )  # fmt: skip
    return found


def measures(given: Given, path: Path) -> dict[str, float]:
    """Measure one series: MASE, sMAPE (0 to 200), coverage and MSIS of 95 %."""
    said, low, high = path
    truth = given.future
    missed = np.abs(truth - said)
    beyond = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    size = np.maximum(np.abs(truth) + np.abs(said), 1e-12)
    return {
        "mase": float(missed.mean() / given.scale),
        "smape": float(np.mean(200 * missed / size)),
        "coverage": float(np.mean((truth >= low) & (truth <= high))),
        "msis": float(np.mean(high - low + 2 / _MISS * beyond) / given.scale),
    }


def measured(
    given: list[Given], paths: Mapping[str, Path] | Callable[[Given], Path]
) -> dict[str, Floats]:
    """Measure every series; an array of shape ``(series,)`` for each metric."""
    made = paths if callable(paths) else lambda one: paths[one.name]
    each = [measures(one, made(one)) for one in given]
    return {metric: np.array([found[metric] for found in each]) for metric in each[0]}


def ours_of(given: list[Given], outputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, Path]:
    """Take our forecasts of each series out of the answers on the test."""
    fields = ("value", "low", "high")
    return {
        one.name: (outputs[fields[0]][one.rows], outputs[fields[1]][one.rows],
                   outputs[fields[2]][one.rows])
        for one in given
    }  # fmt: skip


def naive(given: Given) -> Path:
    """Repeat the last season, with its normal interval."""
    return _forecast(models.SeasonalNaive(_season(given)), given)


def ets(given: Given) -> Path:
    """Fit exponential smoothing, its form by AICc (Hyndman et al. 2002)."""
    return _forecast(models.AutoETS(season_length=_season(given)), given)


def theta(given: Given) -> Path:
    """Fit the optimised Theta method (Fiorucci et al. 2016)."""
    form = "multiplicative" if np.all(given.past > 0) else "additive"
    model = models.OptimizedTheta(season_length=_season(given), decomposition_type=form)
    return _forecast(model, given)


def mstl(given: Given) -> Path:
    """Decompose by LOESS and smooth the trend (Bandara et al. 2021)."""
    return _forecast(models.MSTL([_season(given)]), given)


def mean_of(one: Path, two: Path) -> Path:
    """Give the mean of two forecasts: the median of two."""
    low, said, high = ((one[i] + two[i]) / 2 for i in (1, 0, 2))
    return said, low, high


def prophet(given: Given) -> Path:
    """Fit Prophet as it comes (Taylor & Letham 2018)."""
    for name in ("prophet", "cmdstanpy"):
        logging.getLogger(name).disabled = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Prophet(interval_width=LEVEL, uncertainty_samples=200)
        model.fit(pd.DataFrame({"ds": given.times, "y": given.past}), seed=1)
        # Its intervals are drawn from numpy's global generator.
        np.random.seed(1)  # noqa: NPY002
        said = model.predict(pd.DataFrame({"ds": given.ahead}))
    low, high = said["yhat_lower"].to_numpy(), said["yhat_upper"].to_numpy()
    return said["yhat"].to_numpy(), low, high


def _season(given: Given) -> int:
    return given.season if len(given.past) >= 2 * given.season else 1


def _forecast(model: Any, given: Given) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        level = round(100 * LEVEL)
        said = model.forecast(given.past, h=len(given.future), level=[level])
    low, high = said[f"lo-{level}"], said[f"hi-{level}"]
    return (
        np.asarray(said["mean"], np.float64), np.asarray(low, np.float64),
        np.asarray(high, np.float64),
    )  # fmt: skip
