from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from bentos.budget.curves import FORMS, Form
from training.recipes.budget_base import base_columns, base_spec
from training.recipes.budget_history import History
from training.recipes.budget_posterior import Posterior, Priors, carried
from training.recipes.budget_sampling import best_point, sample

Floats = npt.NDArray[np.float64]


def posterior(form: Form = "hill", *, weeks: int = 60, channels: int = 2) -> Posterior:
    random = np.random.default_rng(4)
    spend = np.exp(random.normal(0, 0.5, (weeks, channels)))
    base = np.column_stack([np.ones(weeks), np.linspace(0, 1, weeks)])
    outcome = 1 + 0.3 * (spend / (spend + 1)).sum(axis=1) + random.normal(0, 0.02, weeks)
    return Posterior(spend, outcome, base, form=form, priors=Priors(), spent=spend.mean(axis=0))


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_that_of_the_density(form: Form) -> None:
    density = posterior(form)
    random = np.random.default_rng(1)
    point = density.centre + random.normal(0, 0.2, density.size)
    _, slope = density(point[None, :])
    shifts = 1e-5 * np.eye(density.size)
    rise = (density(point + shifts)[0] - density(point - shifts)[0]) / 2e-5
    assert slope[0] == pytest.approx(rise, rel=1e-4, abs=1e-4)


def test_steady_spend_is_carried_as_itself() -> None:
    held = carried(np.full((30, 2), 5.0), np.array([[0.2, 0.8]]))
    assert held == pytest.approx(np.full((30, 1, 2), 5.0))


def test_a_pulse_fades_by_the_carry_over() -> None:
    spend = np.zeros((12, 1))
    spend[6] = 10.0
    held = carried(spend, np.array([[0.5]]))[:, 0, 0]
    assert held[6:10] == pytest.approx([5, 2.5, 1.25, 0.625])


class TestSample:
    def test_draws_of_a_normal_have_its_mean_and_spread(self) -> None:
        density = _Normal(np.array([1.0, -2.0, 0.5]), np.array([0.1, 1.0, 3.0]))
        found = sample(density, density.mean, np.random.default_rng(2), draws=4000)
        assert found.points.mean(axis=0) == pytest.approx(density.mean, abs=0.2)
        assert found.points.std(axis=0) == pytest.approx(density.spread, rel=0.08)
        assert found.rhat < 1.05
        assert 0.6 < found.acceptance <= 1.0

    def test_the_best_point_is_the_top_of_a_normal(self) -> None:
        density = _Normal(np.array([1.0, -2.0]), np.array([0.5, 2.0]))
        best = best_point(density, np.random.default_rng(2), starts=2)
        assert best == pytest.approx(density.mean, abs=1e-3)

    def test_a_trajectory_that_leaves_the_range_of_floats_is_refused(self) -> None:
        found = sample(_Cliff(), np.zeros(2), np.random.default_rng(2), draws=400)
        assert np.isfinite(found.points).all()
        assert np.abs(found.points).max() < 3.5
        assert found.acceptance > 0.5

    def test_the_same_seed_gives_the_same_draws(self) -> None:
        density = posterior()
        best = best_point(density, np.random.default_rng(2), starts=2)
        one, two = (
            sample(density, best, np.random.default_rng(3), warmup=30, draws=50) for _ in range(2)
        )
        assert (one.points == two.points).all()


class _Normal:
    def __init__(self, mean: Floats, spread: Floats) -> None:
        self.mean, self.spread = mean, spread
        self.centre = np.zeros_like(mean)
        self.precision = np.diag(np.full(len(mean), 1e-2))

    def __call__(self, points: Floats) -> tuple[Floats, Floats]:
        away = (points - self.mean) / self.spread
        return -0.5 * (away**2).sum(axis=1), -away / self.spread


class TestBase:
    def history(self, noise: float) -> tuple[History, Floats]:
        random = np.random.default_rng(5)
        level = np.cumsum(random.normal(0, 0.3, 150))
        seen = level + random.normal(0, noise, 150) if noise else level
        times = np.datetime64("2022-01-03", "us") + np.arange(150) * np.timedelta64(7, "D")
        return History(times, np.ones((150, 2)), seen[:, None], seen, ("a", "b"), ("c",)), level

    def test_a_noisy_control_enters_smoothed_as_well(self) -> None:
        history, level = self.history(noise=0.6)
        spec = base_spec(history, harmonics=0)
        assert np.isfinite(spec.signals[0])
        *_, seen, smooth = base_columns(spec, history.times, history.controls).T
        assert np.corrcoef(smooth, level)[0, 1] > np.corrcoef(seen, level)[0, 1]

    def test_a_control_of_two_values_is_taken_as_it_is(self) -> None:
        history, _ = self.history(noise=0)
        events = (np.arange(150) % 40 == 0).astype(float)[:, None]
        spec = base_spec(replace(history, controls=events), harmonics=1)
        assert not np.isfinite(spec.signals[0])

    def test_later_weeks_keep_the_columns_of_the_earlier(self) -> None:
        history, _ = self.history(noise=0)
        events = (np.arange(150) % 40 == 0).astype(float)[:, None]
        whole = replace(history, controls=events)
        spec = base_spec(whole.first(100), harmonics=2)
        short = base_columns(spec, whole.times[:100], events[:100])
        long = base_columns(spec, whole.times, events)
        assert (long[:100] == short).all()


class _Cliff:
    """Flat as a normal up to 3, and then so steep that a step beyond goes out of all numbers."""

    centre, precision = np.zeros(2), np.eye(2) * 1e-2

    def __call__(self, points: Floats) -> tuple[Floats, Floats]:
        beyond = np.maximum(np.abs(points) - 3.0, 0.0)
        fall = beyond**9 * 1e30
        slope = -points - np.sign(points) * 9e30 * beyond**8
        return -(0.5 * points**2 + fall).sum(axis=1), slope
