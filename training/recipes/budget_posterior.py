"""How likely parameters of the response curves are, given the history, and their gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bentos.budget.curves import TANH_HALF, Form
from core.encoding import FloatArray

_TINY = 1e-6
_PER_CHANNEL = 4
_FARTHEST = 30.0


@dataclass(frozen=True)
class Priors:
    """Weak beliefs on how channels respond, before the history is seen; all on log scales.

    Parameters
    ----------
    carry_logit, carry_spread
        Of the adstock: share of the effect that is carried into the next week.
    half, half_spread
        Of the half saturation, over the mean spend of the weeks with spend.
    shape, shape_spread
        Of Hill's exponent.
    share, share_spread
        Of what usual spend on all channels brings, over the mean of the target.
    worth_spread
        By how much the return on usual spend differs between channels: the smaller, the
        more a channel that the history does not tell of is taken for the mean of the others.
    """

    carry_logit: float = -0.6
    carry_spread: float = 0.7
    half: float = 0.0
    half_spread: float = 0.35
    shape: float = 0.3
    shape_spread: float = 0.27
    share: float = -1.31
    share_spread: float = 0.5
    worth_spread: float = 0.45


class Curved(NamedTuple):
    """Parameters in natural units, each of shape ``(c, k)``; spend and target standardised."""

    carry: FloatArray
    half: FloatArray
    shape: FloatArray
    worth: FloatArray


def carried(spend: FloatArray, carry: FloatArray) -> FloatArray:
    """Carry spend over by geometric adstock, normalised (Broadbent 1979).

    Parameters
    ----------
    spend
        Shape ``(n, k)``, a row a week; before it, spend was that of its first weeks.
    carry
        Shape ``(c, k)``: share carried into the next week.

    Returns
    -------
    ndarray
        Shape ``(n, c, k)``.
    """
    held = np.empty((len(spend), *carry.shape))
    state = np.broadcast_to(_before(spend), carry.shape)
    for week, spent in enumerate(spend):
        state = spent + carry * (state - spent)
        held[week] = state
    return held


def _before(spend: FloatArray) -> FloatArray:
    """Guess the carried spend at the beginning."""
    first: FloatArray = spend[:4].mean(axis=0)
    return first


class Posterior:
    """Log density of the parameters, the linear base integrated out.

    Outcome ``= base(week) + sum_k worth_k saturation(adstock(spend_k)) + noise``; the base is
    linear with normal priors, so its coefficients are integrated out exactly.

    Parameters of a point: for each channel in turn logit of the carry-over, logs of half
    saturation, of shape and of what usual spend brings; last the log of the noise.

    Parameters
    ----------
    spend
        Shape ``(n, k)``, over each channel's usual spend.
    outcome
        Shape ``(n,)``, over its mean.
    base
        Shape ``(n, p)``: base columns, each times the standard deviation of its prior.
    form
        Of the saturation.
    priors
        Of the parameters.
    spent
        Shape ``(k,)``: mean spend of each channel; before the history, worth goes with it.
    """

    def __init__(
        self,
        spend: FloatArray,
        outcome: FloatArray,
        base: FloatArray,
        *,
        form: Form,
        priors: Priors,
        spent: FloatArray,
    ) -> None:
        self.spend, self.outcome, self.base, self.form = spend, outcome, base, form
        self.count = spend.shape[1]
        self.size = _PER_CHANNEL * self.count + 1
        vectors, values, _ = np.linalg.svd(base, full_matrices=False)
        self._vectors, self._variances = vectors, values**2
        self._centre, self._precision = _prior(priors, spent, self._noise_guess())

    @property
    def centre(self) -> FloatArray:
        """The mean of the prior, shape ``(size,)``."""
        return self._centre

    @property
    def precision(self) -> FloatArray:
        """The inverse covariance of the prior, shape ``(size, size)``."""
        return self._precision

    def curved(self, points: FloatArray) -> Curved:
        """Give natural parameters of points, shape ``(c, size)``."""
        # Far out, where a search may stray, exponentials would leave the range of floats.
        given = np.clip(points[:, :-1], -_FARTHEST, _FARTHEST)
        given = given.reshape(len(points), self.count, _PER_CHANNEL)
        carry = 1 / (1 + np.exp(-given[..., 0]))
        half, shape = np.exp(given[..., 1]), np.exp(given[..., 2])
        return Curved(carry, half, shape, np.exp(given[..., 3]) / _at_usual(half, shape, self.form))

    def brought(self, points: FloatArray, spend: FloatArray | None = None) -> FloatArray:
        """Give what each channel brought, shape ``(n, c, k)``, standardised."""
        at = self.curved(points)
        held = carried(self.spend if spend is None else spend, at.carry)
        return at.worth * _saturated(held, at, self.form)

    def base_draws(self, points: FloatArray, random: np.random.Generator) -> FloatArray:
        """Draw the coefficients of the base given each point, shape ``(c, p)``."""
        left = self.outcome[:, None] - self.brought(points).sum(axis=2)
        inner = self.base.T @ self.base
        found = np.empty((len(points), len(inner)))
        for place, noise in enumerate(np.exp(points[:, -1])):
            root = np.linalg.cholesky(inner / noise**2 + np.eye(len(inner)))
            mean = np.linalg.solve(root, self.base.T @ left[:, place] / noise**2)
            found[place] = np.linalg.solve(root.T, mean + random.standard_normal(len(mean)))
        return found

    def __call__(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give log density, shape ``(c,)``, and gradient, shape ``(c, size)``."""
        at = self.curved(points)
        held = carried(self.spend, at.carry)
        share = _saturated(held, at, self.form)
        part = at.worth * share
        value, pull, by_noise = self._likelihood(part.sum(axis=2), points[:, -1])
        toward = pull[:, :, None]
        by_log_held, by_shape = _slopes(held, share, at, self.form)
        moved = _carry_slope(self.spend, held, at.carry)
        weighted = toward * at.worth * by_log_held
        gradient = np.empty_like(points)
        inner = gradient[:, :-1].reshape(len(points), self.count, _PER_CHANNEL)
        inner[..., 0] = (
            (weighted * moved / np.maximum(held, _TINY)).sum(axis=0) * at.carry * (1 - at.carry)
        )
        by_worth = (toward * part).sum(axis=0)
        by_half_at_usual, by_shape_at_usual = _usual_slopes(at, self.form)
        inner[..., 1] = by_worth * by_half_at_usual - weighted.sum(axis=0)
        inner[..., 2] = by_worth * by_shape_at_usual
        inner[..., 2] += (toward * at.worth * by_shape).sum(axis=0)
        inner[..., 3] = by_worth
        gradient[:, -1] = by_noise
        away = points - self._centre
        weight = away @ self._precision
        return value - 0.5 * (away * weight).sum(axis=1), gradient - weight

    def _likelihood(
        self, brought: FloatArray, log_noise: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Give log likelihood, its slope by the residual's sign ``(n, c)``, and by the noise."""
        left = self.outcome[:, None] - brought
        along = self._vectors.T @ left
        noise = np.exp(2 * np.clip(log_noise, -_FARTHEST, _FARTHEST))
        spread = noise + self._variances[:, None]
        rest = left - self._vectors @ along
        rest_square = (rest**2).sum(axis=0)
        free = len(left) - len(self._variances)
        value = -0.5 * (
            rest_square / noise + (along**2 / spread).sum(axis=0)
            + free * np.log(noise) + np.log(spread).sum(axis=0)
        )  # fmt: skip
        pull = rest / noise + self._vectors @ (along / spread)
        by_noise = (
            rest_square / noise - free + noise * (along**2 / spread**2 - 1 / spread).sum(axis=0)
        )
        return value, pull, by_noise

    def _noise_guess(self) -> float:
        rest = self.outcome - self._vectors @ (self._vectors.T @ self.outcome)
        return float(np.log(max(rest.std(), 1e-4) / 2))


def _saturated(held: FloatArray, at: Curved, form: Form) -> FloatArray:
    """Give the share of its worth that carried spend brings, shape ``(n, c, k)``."""
    if form == "tanh":
        return np.tanh(TANH_HALF * held / at.half)
    exponent = -at.shape * (np.log(np.maximum(held, _TINY)) - np.log(at.half))
    share: FloatArray = 1 / (1 + np.exp(np.minimum(exponent, 300.0)))
    return share


def _slopes(
    held: FloatArray, share: FloatArray, at: Curved, form: Form
) -> tuple[FloatArray, FloatArray]:
    """Give the slopes of the share by the logs of carried spend and of the shape."""
    if form == "tanh":
        return (1 - share**2) * TANH_HALF * held / at.half, np.zeros_like(share)
    bell = share * (1 - share)
    distance = np.log(np.maximum(held, _TINY)) - np.log(at.half)
    return bell * at.shape, bell * at.shape * distance


def _at_usual(half: FloatArray, shape: FloatArray, form: Form) -> FloatArray:
    """Give the share of its worth that usual spend brings."""
    if form == "tanh":
        return np.tanh(TANH_HALF / half)
    share: FloatArray = 1 / (1 + np.exp(np.minimum(shape * np.log(half), 300.0)))
    return share


def _usual_slopes(at: Curved, form: Form) -> tuple[FloatArray, FloatArray]:
    """Give the slopes of the log worth by the logs of half saturation and shape.

    What usual spend brings is the parameter: the worth follows from it and the curve.
    """
    share = _at_usual(at.half, at.shape, form)
    if form == "tanh":
        by_half = TANH_HALF / at.half * (1 - share**2) / share
        return by_half, np.zeros_like(by_half)
    by_half = at.shape * (1 - share)
    return by_half, by_half * np.log(at.half)


def _carry_slope(spend: FloatArray, held: FloatArray, carry: FloatArray) -> FloatArray:
    """Give the slope of carried spend by the carry-over, shape ``(n, c, k)``."""
    slope = np.empty_like(held)
    state = np.zeros(carry.shape)
    before = np.broadcast_to(_before(spend), carry.shape)
    for week, spent in enumerate(spend):
        state = before - spent + carry * state
        slope[week] = state
        before = held[week]
    return slope


def _prior(priors: Priors, spent: FloatArray, noise: float) -> tuple[FloatArray, FloatArray]:
    """Build the normal prior of a point; the worths share an unknown mean."""
    count = len(spent)
    share = spent / spent.sum()
    centre = np.empty((count, _PER_CHANNEL))
    centre[:, 0], centre[:, 1], centre[:, 2] = priors.carry_logit, priors.half, priors.shape
    centre[:, 3] = priors.share + np.log(share)
    size = _PER_CHANNEL * count + 1
    precision = np.zeros((size, size))
    spreads = (priors.carry_spread, priors.half_spread, priors.shape_spread)
    for offset, spread in enumerate(spreads):
        places = np.arange(count) * _PER_CHANNEL + offset
        precision[places, places] = spread**-2
    covariance = np.full((count, count), priors.share_spread**2)
    covariance += np.eye(count) * priors.worth_spread**2
    places = np.arange(count) * _PER_CHANNEL + 3
    precision[np.ix_(places, places)] = np.linalg.inv(covariance)
    precision[-1, -1] = 1.0
    return np.append(centre.ravel(), noise), precision
