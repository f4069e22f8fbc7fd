"""Fits response curves to a history, and keeps what a forecast of its later weeks needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bentos.budget.curves import Form, Responses
from core.encoding import FloatArray
from training.recipes.budget_base import BaseSpec, base_columns, base_spec
from training.recipes.budget_history import History
from training.recipes.budget_posterior import Posterior, Priors
from training.recipes.budget_sampling import best_point, sample

# Weeks with less than this share of the mean are pauses, not the usual spend.
_PAUSE = 0.1


@dataclass(frozen=True)
class Settings:
    """How curves are fitted.

    Parameters
    ----------
    priors
        Beliefs before the history.
    harmonics
        Of the yearly season.
    draws, warmup, starts, seed
        Posterior draws that are kept, steps thrown away, starting points, seed of chance.
    """

    priors: Priors
    harmonics: int
    draws: int
    warmup: int
    starts: int
    seed: int


@dataclass(frozen=True)
class Fit:
    """Curves fitted to ``n`` weeks; ``d`` draws.

    Parameters
    ----------
    posterior
        Of the parameters.
    points
        Shape ``(d, size)``.
    spec
        Of the base.
    usual, level
        What spend, shape ``(k,)``, and outcome were divided by.
    acceptance, rhat
        Of the sampler.
    """

    posterior: Posterior
    points: FloatArray
    spec: BaseSpec
    usual: FloatArray
    level: float
    acceptance: float
    rhat: float

    @property
    def responses(self) -> Responses:
        """The curves of steady spend."""
        at = self.posterior.curved(self.points)
        return Responses(self.posterior.form, at.worth * self.level, at.half * self.usual, at.shape)

    @property
    def carry(self) -> FloatArray:
        """Share carried into the next week, shape ``(d, k)``."""
        return self.posterior.curved(self.points).carry

    def brought(self) -> FloatArray:
        """Give what each channel brought in each week of the history, shape ``(n, d, k)``."""
        return self.posterior.brought(self.points) * self.level

    def predicted(self, longer: History, random: np.random.Generator) -> tuple[FloatArray, ...]:
        """Predict every week of a history that begins as the fitted one did.

        Returns
        -------
        tuple of ndarray
            Mean, low and high (90 % interval, noise included), each of shape ``(weeks,)``.
        """
        columns = base_columns(self.spec, longer.times, longer.controls)
        coefficients = self.posterior.base_draws(self.points, random)
        media = self.posterior.brought(self.points, longer.spend / self.usual).sum(axis=2)
        draws = (media + columns @ coefficients.T) * self.level
        noise = np.exp(self.points[:, -1]) * self.level
        seen = draws + noise * random.standard_normal(draws.shape)
        low, high = np.quantile(seen, [0.05, 0.95], axis=1)
        return draws.mean(axis=1), low, high


def usual_spend(spend: FloatArray) -> FloatArray:
    """Give the mean of the weeks with spend, shape ``(n, k)`` to ``(k,)``."""
    active = spend > _PAUSE * spend.mean(axis=0)
    usual: FloatArray = (spend * active).sum(axis=0) / active.sum(axis=0)
    return usual


def posterior_of(history: History, form: Form, settings: Settings) -> tuple[Posterior, BaseSpec]:
    """Set up the posterior of a history, standardised."""
    spec = base_spec(history, harmonics=settings.harmonics)
    columns = base_columns(spec, history.times, history.controls)
    posterior = Posterior(
        history.spend / usual_spend(history.spend),
        history.outcome / level_of(history),
        columns,
        form=form,
        priors=settings.priors,
        spent=history.spend.mean(axis=0),
    )
    return posterior, spec


def level_of(history: History) -> float:
    """Give what the outcome is divided by."""
    return float(np.abs(history.outcome).mean()) or 1.0


def fit_curves(history: History, form: Form, settings: Settings) -> Fit:
    """Draw curves from their posterior."""
    posterior, spec = posterior_of(history, form, settings)
    random = np.random.default_rng(settings.seed)
    best = best_point(posterior, random, starts=settings.starts)
    found = sample(posterior, best, random, draws=settings.draws, warmup=settings.warmup)
    return Fit(
        posterior, found.points, spec, usual_spend(history.spend), level_of(history),
        found.acceptance, found.rhat,
    )  # fmt: skip


def likeliest(history: History, form: Form, settings: Settings) -> Fit:
    """Find the most likely curves alone, which takes a tenth of the time."""
    posterior, spec = posterior_of(history, form, settings)
    random = np.random.default_rng(settings.seed)
    best = best_point(posterior, random, starts=settings.starts)
    usual, level = usual_spend(history.spend), level_of(history)
    return Fit(posterior, best[None, :], spec, usual, level, 1.0, 1.0)


def choose_form(
    history: History, settings: Settings, *, origins: int, weeks: int, margin: float = 0.1
) -> tuple[Form, dict[str, float]]:
    """Choose the form that predicts best from origins in the past.

    Hill holds unless tanh is better by a wide margin: it comes near to tanh, and a small gain in
    prediction says nothing of the split (at 3 % the wrong form was taken by luck).

    Returns
    -------
    str, dict
        The form, and the root mean squared error of each over the mean outcome.
    """
    settings = replace(settings, starts=2)
    forms: tuple[Form, ...] = ("hill", "tanh")
    squares: dict[Form, list[FloatArray]] = {form: [] for form in forms}
    for back in range(origins, 0, -1):
        start = len(history) - back * weeks
        past, longer = history.first(start), history.first(start + weeks)
        for form in forms:
            fit = likeliest(past, form, settings)
            mean = fit.predicted(longer, np.random.default_rng(settings.seed))[0]
            squares[form].append((mean[start:] - longer.outcome[start:]) ** 2)
    level = level_of(history)
    errors = {f: float(np.sqrt(np.mean(np.concatenate(s)))) / level for f, s in squares.items()}
    is_better = errors["tanh"] < (1 - margin) * errors["hill"]
    return "tanh" if is_better else "hill", {str(name): error for name, error in errors.items()}
