"""Draws from a posterior: its best point, then Hamiltonian Monte Carlo from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import Bounds, minimize

from core.encoding import FloatArray

_WANTED_ACCEPTANCE = 0.8
_STEP = 1e-4
# A trajectory of a quarter turn makes the next draw independent where the posterior is normal.
_LENGTH = np.pi / 2
_MOST_STEPS = 16
_REACH = 12.0  # standard deviations of the prior


class Density(Protocol):
    """A log density with its gradient."""

    @property
    def centre(self) -> FloatArray:
        """Mean of the prior, shape ``(size,)``."""

    @property
    def precision(self) -> FloatArray:
        """Inverse covariance of the prior, shape ``(size, size)``."""

    def __call__(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give log density ``(c,)`` and gradient ``(c, size)`` of points ``(c, size)``."""


@dataclass(frozen=True)
class Sampled:
    """Draws and whether they can be trusted.

    Parameters
    ----------
    points
        Shape ``(d, size)``.
    acceptance
        Mean acceptance; .6 to .95 is sound.
    rhat
        Largest potential scale reduction over parameters (Gelman & Rubin 1992); near 1 is sound.
    """

    points: FloatArray
    acceptance: float
    rhat: float


def best_point(density: Density, random: np.random.Generator, *, starts: int) -> FloatArray:
    """Find the most likely point, from the prior's mean and from draws of the prior.

    Returns
    -------
    ndarray
        Shape ``(size,)``.
    """
    covariance = np.linalg.inv(density.precision)
    root, reach = np.linalg.cholesky(covariance), _REACH * np.sqrt(np.diag(covariance))
    # Without bounds a line search may stray to where exponentials leave the range of floats.
    bounds = Bounds(density.centre - reach, density.centre + reach)

    def cost(point: FloatArray) -> tuple[float, FloatArray]:
        value, slope = density(point[None, :])
        return -float(value[0]), -slope[0]

    best, least = density.centre, np.inf
    for turn in range(starts):
        away = root @ random.standard_normal(len(root)) if turn else np.zeros(len(root))
        found = minimize(
            cost,
            density.centre + away,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 300},
        )
        if found.fun < least:
            best, least = found.x, float(found.fun)
    return best


def sample(
    density: Density,
    start: FloatArray,
    random: np.random.Generator,
    *,
    chains: int = 16,
    warmup: int = 150,
    draws: int = 400,
) -> Sampled:
    """Draw from a density by Hamiltonian Monte Carlo (Neal 2011), many chains side by side.

    Space is scaled by the curvature at the start; the step adapts (Hoffman & Gelman 2014).

    Parameters
    ----------
    density, start
        What to draw from, and a likely point of it, shape ``(size,)``.
    random
        Source of chance.
    chains, warmup, draws
        How many chains, steps of each that are thrown away, and draws over all chains.
    """
    scale = _scale(density, start)
    walk = _Walk(density, start, scale, random)
    place = random.standard_normal((chains, len(start)))
    value, slope = walk.look(place)
    rounds = -(-draws // chains)
    adapted, kept, accepted = _Step(0.3), [], []
    for turn in range(warmup + 2 * rounds):
        step = adapted.settled if turn >= warmup else adapted.current
        place, value, slope, chance = walk.move(place, value, slope, step)
        if turn < warmup:
            adapted.learn(float(chance.mean()))
            continue
        accepted.append(float(chance.mean()))
        if (turn - warmup) % 2:
            kept.append(place)
    stack = np.array(kept)
    points = start + stack.reshape(-1, len(start)) @ scale.T
    return Sampled(points[:draws], float(np.mean(accepted)), _rhat(stack))


class _Walk:
    """Moves chains in the scaled space."""

    def __init__(
        self, density: Density, start: FloatArray, scale: FloatArray, random: np.random.Generator
    ) -> None:
        self._density, self._start, self._scale, self._random = density, start, scale, random

    def look(self, place: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give density and slope at scaled places."""
        value, slope = self._density(self._start + place @ self._scale.T)
        return value, slope @ self._scale

    def move(
        self, place: FloatArray, value: FloatArray, slope: FloatArray, step: float
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Follow a trajectory of random length, and accept or refuse its end chain by chain."""
        speed = self._random.standard_normal(place.shape)
        energy = value - 0.5 * (speed**2).sum(axis=1)
        length = _LENGTH * self._random.uniform(0.6, 1.4)
        steps = int(np.clip(round(length / step), 1, _MOST_STEPS))
        to, to_value, to_slope = place, value, slope
        # A trajectory that meets a cliff may leave the range of floats: it is refused.
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(steps):
                speed = speed + 0.5 * step * to_slope
                to = to + step * speed
                to_value, to_slope = self.look(to)
                speed = speed + 0.5 * step * to_slope
            gain = to_value - 0.5 * (speed**2).sum(axis=1) - energy
        chance = np.exp(np.minimum(np.where(np.isfinite(gain), gain, -np.inf), 0.0))
        taken = self._random.random(len(place)) < chance
        row = taken[:, None]
        return (
            np.where(row, to, place), np.where(taken, to_value, value),
            np.where(row, to_slope, slope), chance,
        )  # fmt: skip


class _Step:
    """Adapts the step size by dual averaging."""

    def __init__(self, first: float) -> None:
        self._target = np.log(10 * first)
        self._error, self._count = 0.0, 0
        self._log, self._mean = np.log(first), 0.0

    @property
    def current(self) -> float:
        return float(np.exp(self._log))

    @property
    def settled(self) -> float:
        return float(np.exp(self._mean))

    def learn(self, acceptance: float) -> None:
        self._count += 1
        share = 1 / (self._count + 10)
        self._error = (1 - share) * self._error + share * (_WANTED_ACCEPTANCE - acceptance)
        self._log = min(self._target - np.sqrt(self._count) / 0.05 * self._error, 0.3)
        weight = self._count**-0.75
        self._mean = weight * self._log + (1 - weight) * self._mean


def _scale(density: Density, start: FloatArray) -> FloatArray:
    """Give a root of the inverse curvature at a point; nowhere flatter than the prior."""
    size = len(start)
    shifts = np.eye(size) * _STEP
    _, ahead = density(start + shifts)
    _, behind = density(start - shifts)
    curvature = -(ahead - behind) / (2 * _STEP)
    curvature = (curvature + curvature.T) / 2
    # Relative to the prior, no direction is let be flatter than it.
    root = np.linalg.cholesky(density.precision)
    inner = np.linalg.solve(root, np.linalg.solve(root, curvature).T)
    values, vectors = np.linalg.eigh((inner + inner.T) / 2)
    scaled = vectors / np.sqrt(np.maximum(values, 1.0))
    found: FloatArray = np.linalg.solve(root.T, scaled)
    return found


def _rhat(stack: FloatArray) -> float:
    """Compare chains, shape ``(t, c, size)``."""
    within = stack.var(axis=0, ddof=1).mean(axis=0)
    between = stack.mean(axis=0).var(axis=0, ddof=1)
    return float(np.sqrt(1 + between / np.maximum(within, 1e-12)).max())
