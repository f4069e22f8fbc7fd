"""Trains ``demand``: every series gets the method that its own past speaks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from bentos.demand.panel import SERIES
from bentos.demand.predictor import DemandPredictor
from bentos.predictor import Predictor
from core.artifact import Draft
from core.config import ModelConfig
from core.encoding import FloatArray
from core.errors import ConfigError, TrainingRefused
from training.frame import Frame
from training.options import RecipeOptions, read_options
from training.progress import tell_note, tell_share
from training.recipes.demand_calendar import Calendars, calendars_of
from training.recipes.demand_effects import Effects, find_effects, without_effects
from training.recipes.demand_figures import figures
from training.recipes.demand_interval import Spread, spread_of
from training.recipes.demand_measures import evaluate, losses
from training.recipes.demand_search import (
    Job,
    Study,
    choose,
    naive_scale,
    paths_of_all,
    study_all,
)
from training.recipes.demand_series import Refused, Series, local_times, series_of
from training.recipes.demand_writing import Choices, read_choices, write_panel
from training.split import Split

__all__ = ["answer", "evaluate", "figures", "fit", "losses", "refit"]

Outputs = dict[str, npt.NDArray[Any]]
_LEVEL = 0.95
_MOST_TOLD = 5


class Options(RecipeOptions):
    """What ``training.options`` of the config may set.

    Parameters
    ----------
    max_horizon_steps
        Most steps ahead that the release answers.
    windows
        Origins in the past at which the methods are tried.
    trust_windows
        How many windows' worth the other series' errors count when a method is chosen.
    with_prophet
        Whether Prophet competes.
    processes
        How many series are studied at once.
    timezone
        Calendar of the steps, an IANA name such as Europe/Berlin.
    holidays_countries
        ISO 3166 codes, comma between; the first is the training's. Daily series only.
    """

    max_horizon_steps: int = Field(default=24, ge=1, le=1000)
    windows: int = Field(default=3, ge=1, le=20)
    trust_windows: float = Field(default=12.0, ge=0)
    with_prophet: bool = True
    processes: int = Field(default=2, ge=1, le=64)
    timezone: str = "UTC"
    holidays_countries: str = ""

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("no such time zone; use an IANA name such as UTC") from error
        return name


def fit(split: Split, config: ModelConfig, draft: Draft) -> None:
    """Study every series at origins in its past, choose its method, and write its forecast.

    Parameters
    ----------
    split
        Rows of series; the test is never seen.
    config
        The model's config, with the options above.
    draft
        The artifact that is being written.

    Raises
    ------
    TrainingRefused
        No series can be used, or the test is longer than the horizon.
    """
    options = read_options(config, Options)
    steps = config.split.test_steps or 0
    if steps > options.max_horizon_steps:
        raise ConfigError(
            f"{options.max_horizon_steps} is less than split.test_steps, {steps}; a test needs a "
            "forecast as long",
            key="training.options.max_horizon_steps",
        )
    panel, refused = _panel(_joined([split.train, split.calibration]), config, options)
    _tell_refused(refused)
    calendars = calendars_of(options.holidays_countries, panel, options.max_horizon_steps)
    effects = find_effects(panel, calendars.usual)
    plain = _plain(panel, effects, calendars)
    window = steps or max(2, options.max_horizon_steps // 2)
    jobs = [_job(s, plain[s.name], horizon=window, options=options) for s in panel]
    studies = study_all(
        jobs, processes=options.processes,
        tell=lambda done, count: tell_share(done, count, what="series tried at origins"),
    )  # fmt: skip
    chosen = choose(studies, trust_windows=options.trust_windows)
    _tell_failures(studies)
    spreads = _spreads(panel, studies, chosen, options)
    errors = {s.name: s.error(chosen[s.name]) if s.residuals else None for s in studies}
    choices = Choices(chosen, errors, spreads)
    _write(_Table(panel, refused, effects, calendars), choices, config, draft)


def refit(split: Split, config: ModelConfig, draft: Draft) -> None:
    """Forecast again from the end of the whole history, by the methods chosen before it.

    Parameters
    ----------
    split
        All of its rows are used.
    config
        The model's config.
    draft
        Holds what ``fit`` wrote; it is replaced.
    """
    options = read_options(config, Options)
    choices = read_choices(draft)
    rows = _joined([split.train, split.calibration, split.test])
    panel, refused = _panel(rows, config, options)
    calendars = calendars_of(options.holidays_countries, panel, options.max_horizon_steps)
    effects = find_effects(panel, calendars.usual)
    _write(_Table(panel, refused, effects, calendars), choices, config, draft)


def answer(predictor: Predictor, split: Split) -> Outputs:
    """Forecast the test of a split from the end of its training rows.

    Returns
    -------
    dict
        ``value``, ``low``, ``high`` (95 %), ``naive`` (the seasonal naive), ``scale`` (of MASE)
        and ``step`` (1 for the first), each of shape ``(n,)``.
    """
    if not isinstance(predictor, DemandPredictor):
        raise TypeError(f"{predictor.MODEL} forecasts no demand")
    zone = ZoneInfo(str(predictor.config.training.options.get("timezone", "UTC")))
    past, _ = series_of(_joined([split.train, split.calibration]), zone)
    known = {series.name: series for series in past}
    test, times = split.test, local_times(split.test, zone)
    fields = ("value", "low", "high", "naive", "scale", "step")
    outputs: Outputs = {name: np.full(len(test), np.nan) for name in fields}
    names = test.entity.astype(str)
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        rows = rows[np.argsort(times[rows])]
        series = predictor.panel.series.get(name)
        if series is None or name not in known:
            continue
        ahead = np.searchsorted(series.times(predictor.panel.horizon), times[rows])
        steps = int(ahead[-1]) + 1
        question = {"horizon_steps": steps, "interval_level": _LEVEL,
                    "regressors": _future(test, rows, ahead, steps)}  # fmt: skip
        forecast = predictor.forecast(series, question)
        for field in ("value", "low", "high"):
            outputs[field][rows] = getattr(forecast, field)[ahead]
        outputs["naive"][rows] = _naive(known[name], ahead)
        outputs["scale"][rows] = naive_scale(known[name].values, known[name].kind.season)
        outputs["step"][rows] = ahead + 1
    return outputs


def _panel(
    rows: Frame, config: ModelConfig, options: Options
) -> tuple[list[Series], list[Refused]]:
    panel, refused = series_of(rows, ZoneInfo(options.timezone))
    if not panel:
        first = refused[0]
        raise TrainingRefused(
            config.model, f"no series can be used. The first, {first.name!r}, {first.reason}."
        )
    return panel, refused


def _joined(parts: Sequence[Frame]) -> Frame:
    """Put frames together."""
    first = parts[0]
    rows = [part for part in parts if len(part)]
    return Frame(
        columns={n: np.concatenate([p.columns[n] for p in rows]) for n in first.columns},
        target=np.concatenate([p.target for p in rows]),
        amount=None,
        entity=np.concatenate([p.entity for p in rows]),
        as_of=np.concatenate([p.as_of for p in rows if p.as_of is not None]),
        part=None,
        row_numbers=np.concatenate([p.row_numbers for p in rows]),
    )


def _plain(
    panel: Sequence[Series], effects: Effects, calendars: Calendars
) -> dict[str, FloatArray]:
    return {s.name: without_effects(s, effects, calendars.usual) for s in panel}


def _job(series: Series, values: FloatArray, *, horizon: int, options: Options) -> Job:
    return Job(
        series.name, series.kind, series.times, values, horizon, options.windows,
        options.with_prophet,
    )  # fmt: skip


def _spreads(
    panel: Sequence[Series],
    studies: Sequence[Study],
    chosen: Mapping[str, str],
    options: Options,
) -> dict[str, Spread]:
    """Make the tables of errors of each kind of step, the most frequent first."""
    kinds = Counter(series.kind.name for series in panel)
    kind_of = {series.name: series.kind.name for series in panel}
    return {
        kind: spread_of(
            [s for s in studies if kind_of[s.name] == kind], chosen,
            horizon=options.max_horizon_steps,
            trust_windows=options.trust_windows,
        )
        for kind, _ in kinds.most_common()
    }  # fmt: skip


@dataclass(frozen=True)
class _Table:
    """The series of a table, and what acts on them."""

    panel: Sequence[Series]
    refused: Sequence[Refused]
    effects: Effects
    calendars: Calendars


def _write(table: _Table, choices: Choices, config: ModelConfig, draft: Draft) -> None:
    """Forecast every series by its method and write the artifact's files."""
    options = read_options(config, Options)
    plain = _plain(table.panel, table.effects, table.calendars)
    horizon = options.max_horizon_steps
    jobs = [_job(s, plain[s.name], horizon=horizon, options=options) for s in table.panel]
    paths = paths_of_all(
        [(job, choices.methods.get(job.name, "seasonal_naive")) for job in jobs],
        processes=options.processes,
        tell=lambda done, count: tell_share(done, count, what="series forecast"),
    )
    write_panel(
        draft, jobs, paths, panel=table.panel, refused=table.refused, choices=choices,
        effects=table.effects, calendars=table.calendars, regressors=tuple(config.features),
    )  # fmt: skip


def _future(
    test: Frame, rows: npt.NDArray[np.int64], ahead: npt.NDArray[np.int64], steps: int
) -> dict[str, list[float]]:
    """Give what was known of the test's steps."""
    known = {}
    for name, values in test.columns.items():
        laid = np.zeros(steps)
        laid[ahead] = np.nan_to_num(values[rows])
        known[name] = laid.tolist()
    return known


def _naive(series: Series, ahead: npt.NDArray[np.int64]) -> FloatArray:
    """Repeat the last season."""
    season = series.kind.season if len(series.values) >= series.kind.season else 1
    return series.values[len(series.values) - season + ahead % season]


def _tell_refused(refused: Sequence[Refused]) -> None:
    for found in refused[:_MOST_TOLD]:
        tell_note(f"series {found.name!r} {found.reason}; it is answered by the others' shape")
    if len(refused) > _MOST_TOLD:
        tell_note(f"and {len(refused) - _MOST_TOLD:,} more series; {SERIES} names them all")


def _tell_failures(studies: Sequence[Study]) -> None:
    failed = [study for study in studies if study.failure]
    for found in failed[:_MOST_TOLD]:
        tell_note(f"series {found.name!r} could not be studied: {found.failure}")
