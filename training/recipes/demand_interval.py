"""How far forecasts miss: conformal tables of cross-validated errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.encoding import FloatArray
from training.recipes.demand_search import Study, choose

LEVELS = np.concatenate([np.arange(0.5, 0.95, 0.05), np.arange(0.95, 0.996, 0.005)])
# The errors of one origin hang together: a window tells as much as so many independent errors.
_PER_WINDOW = 2.0
_PRIOR_ERRORS = 4.0
_STEEPEST = 1.0
_LEAST_SIGMA = 1e-9


@dataclass(frozen=True)
class Spread:
    """The errors of one kind of step.

    Parameters
    ----------
    growth
        Shape ``(h,)``: how errors grow with the step, 1 at the first.
    quantiles
        Shape of ``LEVELS``: standard errors that hold the share.
    usual
        Typical ratio of a series' standard error to its scale.
    sigmas
        Series -> standard error one step ahead.
    """

    growth: FloatArray
    quantiles: FloatArray
    usual: float
    sigmas: Mapping[str, float]


def spread_of(
    studies: Sequence[Study],
    chosen: Mapping[str, str],
    *,
    horizon: int,
    trust_windows: float,
) -> Spread:
    """Turn the errors of the chosen methods into tables.

    The standard error of a series is its own root mean square error, shrunk to what series of its
    scale have. A quantile is that of errors over the standard error of the other origins, so
    that no error is measured by itself (conformal prediction, Vovk et al. 2005; its rank is
    corrected for the finite sample). Nor does an error have a say in the choice of its method: at
    each origin it is that of the method which the other origins would have chosen.

    Parameters
    ----------
    studies
        Of one kind of step.
    chosen
        Series -> its method.
    horizon
        Steps ahead.
    trust_windows
        As it was when they were chosen.
    """
    known = _honest(studies, chosen, trust_windows=trust_windows)
    if not known:
        return Spread(
            np.sqrt(np.arange(1.0, horizon + 1)), _normal_quantiles(), 1.0,
            {s.name: s.scale for s in studies},
        )  # fmt: skip
    growth = _growth(list(known.values()), horizon)
    even = {name: errors / growth[: errors.shape[1]] for name, errors in known.items()}
    squares = np.array([float(np.mean(errors**2)) for errors in even.values()])
    usual = float(np.sqrt(np.median(squares[squares > 0]))) if np.any(squares > 0) else 0.0
    standard = [np.abs(z) for errors in even.values() for z in _left_out(errors, usual)]
    sigmas = {}
    for found in studies:
        errors = even.get(found.name)
        own = usual if errors is None else _shrunk(errors, usual)
        sigmas[found.name] = max(own * found.scale, _LEAST_SIGMA)
    return Spread(growth, _quantiles(np.concatenate(standard)), usual, sigmas)


def _honest(
    studies: Sequence[Study], chosen: Mapping[str, str], *, trust_windows: float
) -> dict[str, FloatArray]:
    """Give each series' scaled errors, at each origin by the method that the others choose."""
    errors = {s.name: s.residuals[chosen[s.name]] / s.scale for s in studies if s.residuals}
    most = max((len(found) for found in errors.values()), default=0)
    if most < 2:  # noqa: PLR2004 - one origin has no others
        return errors
    for window in range(most):
        others = [
            replace(s, residuals={n: np.delete(r, window, axis=0) for n, r in s.residuals.items()})
            for s in studies
            if s.residuals and window < len(errors[s.name]) and len(errors[s.name]) > 1
        ]
        choice = choose(others, trust_windows=trust_windows)
        for study in studies:
            if study.name in choice:
                row = study.residuals[choice[study.name]][window]
                errors[study.name][window] = row / study.scale
    return errors


def _growth(errors: Sequence[FloatArray], horizon: int) -> FloatArray:
    """Fit a power of the step to the panel's mean absolute errors."""
    width = max(found.shape[1] for found in errors)
    sums, counts = np.zeros(width), np.zeros(width)
    for found in errors:
        size = np.abs(found).mean() or 1.0
        sums[: found.shape[1]] += np.abs(found).mean(axis=0) / size
        counts[: found.shape[1]] += 1
    steps = np.log(np.arange(1.0, width + 1))
    means = np.log(np.maximum(sums / counts, 1e-6))
    slope = 0.0
    if width > 1:
        centred = steps - steps.mean()
        slope = float((centred * means).sum() / (centred**2).sum())
    growth: FloatArray = np.arange(1.0, horizon + 1) ** float(np.clip(slope, 0.0, _STEEPEST))
    return growth


def _shrunk(errors: FloatArray, usual: float) -> float:
    """Standard error of a series from its origins, shrunk to the usual one."""
    weight = _PER_WINDOW * len(errors)
    square = weight * float(np.mean(errors**2)) + _PRIOR_ERRORS * usual**2
    return float(np.sqrt(square / (weight + _PRIOR_ERRORS)))


def _left_out(errors: FloatArray, usual: float) -> list[FloatArray]:
    """Measure each origin's errors by the standard error that the others give."""
    if usual == 0:
        return [np.zeros(errors.shape[1])]
    found = []
    for window in range(len(errors)):
        others = np.delete(errors, window, axis=0)
        sigma = _shrunk(others, usual) if len(others) else usual
        found.append(errors[window] / sigma)
    return found


def _quantiles(standard: FloatArray) -> FloatArray:
    """Quantiles of absolute errors at the levels, rising, corrected for the finite sample."""
    ranks = np.minimum(LEVELS * (1 + 1 / len(standard)), 1.0)
    quantiles: FloatArray = np.maximum.accumulate(np.quantile(standard, ranks, method="higher"))
    return quantiles


def _normal_quantiles() -> FloatArray:
    from scipy.stats import norm  # noqa: PLC0415 - where no origin is known

    return np.asarray(norm.ppf((1 + LEVELS) / 2), dtype=np.float64)
