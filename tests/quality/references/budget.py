"""Media mix models as anyone would fit them: linear, and Hill curves by least squares."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, least_squares, minimize, nnls
from scipy.signal import lfilter

from core.config import ModelConfig
from training.recipes.budget_history import History, history_of
from training.split import Split

Floats = npt.NDArray[np.float64]
LINEAR, HILL = "linear regression", "Hill curves, least squares"
_STARTS = 4


@dataclass(frozen=True)
class Fitted:
    """What a reference says.

    Parameters
    ----------
    brought
        Shape ``(n, k)``: contribution of each channel in each training week.
    predicted
        Shape ``(weeks,)``: outcome of all weeks, test included.
    steady
        Weekly spend ``(k,)`` to what it brings a week.
    """

    brought: Floats
    predicted: Floats
    steady: Callable[[Floats], float]


def histories(split: Split, config: ModelConfig) -> tuple[History, History]:
    """Give the training weeks, and all weeks."""
    past = [split.train, split.calibration]
    return history_of(past, config), history_of([*past, split.test], config)


def base(history: History, weeks: int) -> Floats:
    """Give level, trend, two harmonics of the year and the controls."""
    run = np.arange(len(history)) / weeks
    angle = 2 * np.pi * history.times.astype("datetime64[D]").astype(int) / 365.25
    waves = [wave(j * angle) for j in (1, 2) for wave in (np.sin, np.cos)]
    return np.column_stack([np.ones(len(run)), run, *waves, history.controls])


def linear(past: History, longer: History) -> Fitted:
    """Regress the outcome on spend as it is."""
    columns = np.column_stack([longer.spend, base(longer, len(past))])
    count = past.spend.shape[1]
    found, *_ = np.linalg.lstsq(columns[: len(past)], past.outcome, rcond=None)
    worth = found[:count]
    return Fitted(past.spend * worth, columns @ found, lambda spend: float(spend @ worth))


def hill(past: History, longer: History, *, seed: int = 7) -> Fitted:
    """Fit adstock and Hill curves by least squares, the linear part by non-negative ones."""
    count, weeks = past.spend.shape[1], len(past)
    usual = np.maximum(past.spend.mean(axis=0), 1e-12)
    columns = base(longer, weeks)
    both = np.hstack([columns, -columns])
    size = np.abs(past.outcome).mean()

    def shares(values: Floats, spend: Floats) -> Floats:
        carry, half, shape = values.reshape(3, count)
        held = np.column_stack(
            [lfilter([1 - c], [1, -c], spend[:, k]) for k, c in enumerate(carry)]
        )
        powered = np.maximum(held, 0) ** shape
        share: Floats = powered / (powered + (half * usual) ** shape)
        return share

    def linear_part(values: Floats) -> tuple[Floats, Floats]:
        wide = np.hstack([shares(values, longer.spend), both])
        found, _ = nnls(wide[:weeks], past.outcome / size, maxiter=2000)
        return wide, found

    def missed(values: Floats) -> Floats:
        wide, found = linear_part(values)
        apart: Floats = wide[:weeks] @ found - past.outcome / size
        return apart

    random = np.random.default_rng(seed)
    low = np.repeat([0.0, 0.2, 0.5], count)
    high = np.repeat([0.9, 5.0, 3.0], count)
    middle = np.repeat([0.3, 1.0, 1.2], count)
    fits = []
    for turn in range(_STARTS):
        start = middle if turn == 0 else random.uniform(low + 0.01, np.minimum(high, 2.5) - 0.01)
        start = np.clip(start, low + 0.01, high - 0.01)
        fits.append(least_squares(missed, start, bounds=(low, high), max_nfev=40))
    best = min(fits, key=lambda fit: fit.cost).x
    wide, found = linear_part(best)
    worth = found[:count] * size
    _, half, shape = best.reshape(3, count)

    def steady(spend: Floats) -> float:
        powered = np.maximum(spend, 0) ** shape
        return float((worth * powered / (powered + (half * usual) ** shape)).sum())

    return Fitted(wide[:weeks, :count] * worth, wide @ found * size, steady)


def split_by(
    steady: Callable[[Floats], float], today: Floats, *, least: Floats, most: Floats
) -> Floats:
    """Split today's total by SLSQP from several starts."""
    total = float(today.sum())
    whole = LinearConstraint(np.ones(len(today)), total, total)
    best, value = today, -np.inf

    def missed(spend: Floats) -> float:
        return -float(steady(spend))

    tilts: Sequence[Floats] = [np.zeros(len(today)), *np.eye(len(today)), *-np.eye(len(today))]
    for tilt in tilts:
        tilted = np.where(tilt > 0, most, np.where(tilt < 0, least, today))
        start: Floats = np.clip(tilted * total / max(tilted.sum(), 1e-12), least, most)
        found = minimize(
            missed, start, bounds=Bounds(least, most), constraints=whole,
            method="SLSQP", options={"ftol": 1e-10, "maxiter": 200},
        )  # fmt: skip
        reached = steady(np.clip(found.x, least, most))
        if abs(found.x.sum() - total) <= 1e-6 * total and reached > value:
            best, value = np.clip(found.x, least, most), reached
    return best
