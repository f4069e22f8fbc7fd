"""Empirical Bayes for curves whose parameters are shrunk block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.encoding import FloatArray

IntArray = npt.NDArray[np.int64]
# eta of shape (n,) and its Jacobian of shape (n, k).
Forward = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
ROUNDS = 30
STEPS = 8
ENOUGH_GAIN = 1e-3


@dataclass(frozen=True)
class Prior:
    """What is believed of ``k`` parameters before any row is seen.

    Parameters
    ----------
    mean
        Shape ``(k,)``.
    precision
        Shape ``(k,)``: one over the variance; for a parameter of a learned block the first guess.
    blocks
        Shape ``(k,)``: parameters of one number share a learned precision; -1 keeps the given one.
    least_deviation
        Shape ``(k,)``: how sure a block may be believed to be nothing. Without it a block that
        says little is called nothing at all, and the intervals hold less than they state.
    most_deviation
        Shape ``(k,)``: how large a block may be believed to be.
    """

    mean: FloatArray
    precision: FloatArray
    blocks: IntArray
    least_deviation: FloatArray
    most_deviation: FloatArray

    def before(self, other: Prior) -> Prior:
        """Give the prior of these parameters and, after them, others of blocks of their own."""
        own = int(self.blocks.max(initial=-1)) + 1
        return Prior(
            np.concatenate([self.mean, other.mean]),
            np.concatenate([self.precision, other.precision]),
            np.concatenate([self.blocks, np.where(other.blocks < 0, -1, other.blocks + own)]),
            np.concatenate([self.least_deviation, other.least_deviation]),
            np.concatenate([self.most_deviation, other.most_deviation]),
        )

    def beside(self, count: int) -> Prior:
        """Give the prior of these parameters and, after them, so many near 0, each on its own."""
        wide = np.ones(count)
        more = Prior(np.zeros(count), wide, np.arange(count), 0.02 * wide, 30.0 * wide)
        return self.before(more)


@dataclass(frozen=True)
class Posterior:
    """What is believed afterwards.

    Parameters
    ----------
    mode
        Shape ``(k,)``.
    covariance
        Shape ``(k, k)``.
    noise
        Variance of an outcome around its curve; 1 for outcomes of 1 or 0.
    evidence
        Logarithm of the marginal likelihood: higher explains the rows better.
    """

    mode: FloatArray
    covariance: FloatArray
    noise: float
    evidence: float


def fit_posterior(
    forward: Forward,
    outcome: FloatArray,
    prior: Prior,
    *,
    binary: bool,
    weight: FloatArray | None = None,
    start: FloatArray | None = None,
) -> Posterior:
    """Fit parameters by Laplace's approximation, with the precision of each block learned.

    Gauss-Newton steps with damping find the mode; between them the blocks' precisions follow
    MacKay (1992), "Bayesian interpolation": the number of parameters that the rows determine,
    over their squared size. Blocks that say nothing shrink to 0.

    Parameters
    ----------
    forward
        Gives ``eta`` (log-odds, or the outcome's mean) and its Jacobian.
    outcome
        Shape ``(n,)``: 1 or 0 when ``binary``.
    prior
        Of the ``k`` parameters.
    binary
        Whether outcomes are wins; else they spread normally.
    weight
        Shape ``(n,)``: how much each row counts.
    start
        Where to begin; the prior's mean without it.
    """
    theta = prior.mean.copy() if start is None else start.copy()
    precision, noise = prior.precision.copy(), 1.0
    counts = np.ones(len(outcome)) if weight is None else weight
    if not binary:
        noise = float(np.average((outcome - forward(theta)[0]) ** 2, weights=counts))
    before = np.inf
    for _ in range(ROUNDS):
        theta, hessian, loss = _mode(
            forward, outcome, counts, theta, (prior.mean, precision), binary=binary, noise=noise
        )
        covariance = np.linalg.inv(hessian)
        evidence = -loss - 0.5 * float(np.linalg.slogdet(hessian)[1])
        evidence += 0.5 * float(np.log(precision).sum())
        if abs(evidence - before) < 0.01 + 1e-6 * abs(evidence):
            break
        before = evidence
        known = 1.0 - precision * np.diag(covariance)
        if not binary:
            residual = outcome - forward(theta)[0]
            free = max(float(counts.sum() - known.sum()), 1.0)
            noise = max(float((counts * residual**2).sum()) / free, 1e-12)
        precision = _relearn(precision, known, theta - prior.mean, prior)
    return Posterior(theta, np.asarray(covariance, dtype=np.float64), noise, evidence)


def _relearn(
    precision: FloatArray, known: FloatArray, shift: FloatArray, prior: Prior
) -> FloatArray:
    """Give the precision of each block anew."""
    fresh = precision.copy()
    for block in np.unique(prior.blocks[prior.blocks >= 0]):
        members = prior.blocks == block
        size = float((shift[members] ** 2).sum())
        found = max(float(known[members].sum()), 1e-6) / max(size, 1e-12)
        least, most = prior.least_deviation[members], prior.most_deviation[members]
        fresh[members] = np.clip(found, 1.0 / most**2, 1.0 / least**2)
    return fresh


def _mode(
    forward: Forward,
    outcome: FloatArray,
    counts: FloatArray,
    theta: FloatArray,
    believed: tuple[FloatArray, FloatArray],
    *,
    binary: bool,
    noise: float,
) -> tuple[FloatArray, FloatArray, float]:
    """Walk to the mode; give it with the Hessian and the loss there."""
    mean, precision = believed

    def loss_of(eta: FloatArray, at: FloatArray) -> float:
        shift = at - mean
        return _loss(eta, outcome, counts, binary=binary, noise=noise) + 0.5 * float(
            (precision * shift**2).sum()
        )

    eta, jacobian = forward(theta)
    loss, damping = loss_of(eta, theta), 0.0
    for _ in range(STEPS):
        slope, curvature = _pull(eta, outcome, counts, binary=binary, noise=noise)
        gradient = jacobian.T @ slope - precision * (theta - mean)
        hessian = jacobian.T @ (jacobian * curvature[:, None]) + np.diag(precision)
        step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), gradient)
        tried, (new_eta, new_jacobian) = theta + step, forward(theta + step)
        new = loss_of(new_eta, tried)
        if not new <= loss + 1e-9:
            damping = max(4 * damping, 0.01)
            continue
        gain, damping = loss - new, damping / 4
        theta, eta, jacobian, loss = tried, new_eta, new_jacobian, new
        if gain < ENOUGH_GAIN:
            break
    _, curvature = _pull(eta, outcome, counts, binary=binary, noise=noise)
    return theta, jacobian.T @ (jacobian * curvature[:, None]) + np.diag(precision), loss


def _loss(
    eta: FloatArray, outcome: FloatArray, counts: FloatArray, *, binary: bool, noise: float
) -> float:
    if binary:
        return float((counts * (np.logaddexp(0.0, eta) - outcome * eta)).sum())
    return 0.5 * float((counts * ((outcome - eta) ** 2 / noise + np.log(noise))).sum())


def _pull(
    eta: FloatArray, outcome: FloatArray, counts: FloatArray, *, binary: bool, noise: float
) -> tuple[FloatArray, FloatArray]:
    """Give the slope and the curvature of the log-likelihood in eta."""
    if not binary:
        return counts * (outcome - eta) / noise, counts / noise
    chance = 1.0 / (1.0 + np.exp(-np.clip(eta, -500, 500)))
    return counts * (outcome - chance), counts * np.maximum(chance * (1.0 - chance), 1e-9)
