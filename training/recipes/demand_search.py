"""Rolling origins: how each method would have done on a series' own past."""

from __future__ import annotations

import multiprocessing
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from bentos.demand.steps import StepKind, Times
from core.encoding import FloatArray
from training.recipes.demand_methods import PARTS, candidates, part_path

# With fewer series than this, starting processes (ten seconds of imports each) takes longer than
# they save; a path alone is done in a tenth of a study's time.
_WORTH_PROCESSES, _WORTH_FOR_PATHS = 24, 200
# Prophet goes on while it is within this of the best; given up, it counts as so much worse.
_CLOSE, _GIVEN_UP = 1.0, 1.15
J = TypeVar("J")
R = TypeVar("R")


@dataclass(frozen=True)
class Job:
    """What a process is given: one series without effects.

    Parameters
    ----------
    name, kind, times, values
        The series.
    horizon, windows
        Steps ahead, and how many origins.
    with_prophet
        Whether Prophet competes.
    """

    name: str
    kind: StepKind
    times: Times
    values: FloatArray
    horizon: int
    windows: int
    with_prophet: bool


@dataclass(frozen=True)
class Study:
    """What was seen at the origins of one series.

    Parameters
    ----------
    name
        Of the series.
    scale
        In-sample error of the seasonal naive: errors are divided by it.
    residuals
        Method -> shape ``(windows, steps)``; empty where the series is too short for an origin.
    family
        Methods that competed, joined: series of one family learn from each other.
    failure
        Why the methods failed; nothing when they did not.
    """

    name: str
    scale: float
    residuals: Mapping[str, FloatArray]
    family: str
    failure: str | None = None

    def error(self, method: str) -> float:
        """Mean absolute scaled error of a method over all origins and steps."""
        found = self.residuals[method]
        return float(np.abs(found).mean() / self.scale)


def naive_scale(values: FloatArray, season: int) -> float:
    """Mean absolute error of the seasonal naive within the series (Hyndman & Koehler 2006)."""
    lag = season if len(values) > season else 1
    error = float(np.abs(values[lag:] - values[:-lag]).mean())
    return error or float(np.abs(values).mean()) or 1.0


def study(job: Job) -> Study:
    """Forecast from origins in the past by every method that suits the series."""
    values, season = job.values, job.kind.season
    names = candidates(values, job.kind, with_prophet=job.with_prophet)
    scale = naive_scale(values, season)
    origins = _origins(len(values), season, job.horizon, job.windows)
    if not origins:
        return Study(job.name, scale, {}, "+".join(names))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            residuals = _residuals(job, names, origins)
    except (ValueError, ArithmeticError, RuntimeError, IndexError, np.linalg.LinAlgError) as error:
        # One series must not stop the others: it is answered by its last season, and told.
        return Study(job.name, scale, {}, "+".join(names), f"{type(error).__name__}: {error}")
    return Study(job.name, scale, residuals, "+".join(names))


def study_all(
    jobs: Sequence[Job], *, processes: int, tell: Callable[[int, int], None]
) -> list[Study]:
    """Study all series, in processes of their own where that pays.

    Parameters
    ----------
    jobs
        One a series.
    processes
        How many at most.
    tell
        Told how many are done, and of how many.
    """
    return list(_told(_each(study, jobs, processes=processes), len(jobs), tell))


def paths_of_all(
    jobs: Sequence[tuple[Job, str]], *, processes: int, tell: Callable[[int, int], None]
) -> list[dict[str, FloatArray]]:
    """Forecast each series by the parts of its method, but Prophet's, which is kept as a curve."""
    processes = processes if len(jobs) >= _WORTH_FOR_PATHS else 1
    return list(_told(_each(_paths, jobs, processes=processes), len(jobs), tell))


def choose(studies: Sequence[Study], *, trust_windows: float) -> dict[str, str]:
    """Choose each series' method by its own errors, shrunk to those of its family.

    With two or three origins the best of five methods is often best by luck: its own error counts
    as many windows as it has, the family's mean as many as ``trust_windows``.

    Parameters
    ----------
    studies
        One a series.
    trust_windows
        Weight of the family.
    """
    families: dict[str, list[Study]] = defaultdict(list)
    for found in studies:
        families[found.family].append(found)
    usual = {family: _usual_errors(members) for family, members in families.items()}
    chosen = {}
    for found in studies:
        if not found.residuals:
            known = usual[found.family]
            known = {} if found.failure else known
            chosen[found.name] = min(known, key=known.__getitem__, default="seasonal_naive")
            continue
        own = {name: found.error(name) for name in found.residuals}
        level = own["seasonal_naive"] or 1.0
        windows = len(next(iter(found.residuals.values())))
        weight = windows / (windows + trust_windows)
        shared = usual[found.family]
        scores = {
            name: weight * own[name] / level + (1 - weight) * shared.get(name, np.inf)
            for name in own
            if name in shared
        }
        chosen[found.name] = min(scores, key=scores.__getitem__)
    return chosen


def _usual_errors(members: Sequence[Study]) -> dict[str, float]:
    """Geometric mean over a family of each method's error against the seasonal naive's.

    A method that was given up on a series counts there as it looked then: some way behind.
    """
    ratios: dict[str, list[float]] = defaultdict(list)
    studied = [member for member in members if member.residuals]
    names = {name for member in studied for name in member.residuals}
    for member in studied:
        own = {name: max(member.error(name), 1e-9) for name in member.residuals}
        behind = _GIVEN_UP * min(own.values())
        for name in sorted(names):
            ratios[name].append(own.get(name, behind) / own["seasonal_naive"])
    return {name: float(np.exp(np.mean(np.log(found)))) for name, found in ratios.items()}


def _origins(count: int, season: int, horizon: int, windows: int) -> list[int]:
    """Give how many points lie before each origin, the latest first."""
    # Less than three cycles hide a season from most methods: an origin there would judge them
    # by a history shorter than the one they will be given.
    cycles = 3 if count >= 3 * season + horizon else 2
    least = max(cycles * season, 8) if count >= cycles * season + horizon else max(count // 2, 4)
    stride = max(min(horizon, (count - least - horizon) // max(windows - 1, 1)), 1)
    found = [count - horizon - window * stride for window in range(windows)]
    return [origin for origin in found if origin >= least]


def _residuals(job: Job, names: Sequence[str], origins: Sequence[int]) -> dict[str, FloatArray]:
    """Forecast at each origin; Prophet goes on only while it keeps close to the others."""
    parts = dict.fromkeys(part for name in names for part in PARTS[name])
    paths: dict[str, list[FloatArray]] = {part: [] for part in parts}
    plain = [part for part in parts if part != "prophet"]
    tried = list(names)
    for place, origin in enumerate(origins):
        past, when = job.values[:origin], job.times[:origin]
        for part in plain:
            paths[part].append(part_path(part, past, when, job.kind, job.horizon))
        if "prophet" in parts and any("prophet" in name for name in tried):
            paths["prophet"].append(part_path("prophet", past, when, job.kind, job.horizon))
            if place == 0 and not _is_close(job, tried, paths, origin):
                tried = [name for name in tried if "prophet" not in name]
    truth = np.array([job.values[origin : origin + job.horizon] for origin in origins])
    return {name: truth - np.mean([paths[part] for part in PARTS[name]], axis=0) for name in tried}


def _is_close(
    job: Job, names: Sequence[str], paths: Mapping[str, Sequence[FloatArray]], origin: int
) -> bool:
    """Tell whether any method with Prophet in it is near the best of the others."""
    truth = job.values[origin : origin + job.horizon]
    errors = {
        name: float(np.abs(truth - np.mean([paths[p][0] for p in PARTS[name]], axis=0)).mean())
        for name in names
    }
    others = min(error for name, error in errors.items() if "prophet" not in name)
    return min(error for name, error in errors.items() if "prophet" in name) <= _CLOSE * others


def _paths(given: tuple[Job, str]) -> dict[str, FloatArray]:
    """Forecast a series by the parts of its method."""
    job, method = given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            part: part_path(part, job.values, job.times, job.kind, job.horizon)
            for part in PARTS[method]
            if part != "prophet"
        }


def _each(work: Callable[[J], R], jobs: Sequence[J], *, processes: int) -> Iterator[R]:
    """Do all jobs in order, here or in fresh processes."""
    if processes < 2 or len(jobs) < _WORTH_PROCESSES:  # noqa: PLR2004 - one is this one
        yield from map(work, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(work, jobs, chunksize=max(1, len(jobs) // (processes * 8)))


def _told(done: Iterator[R], count: int, tell: Callable[[int, int], None]) -> Iterator[R]:
    for number, result in enumerate(done, 1):
        tell(number, count)
        yield result
