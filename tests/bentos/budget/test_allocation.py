import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, minimize

from bentos.budget.allocation import Limits, exact, split_total
from bentos.budget.curves import FORMS, Form, MeanCurves, Responses
from core.encoding import FloatArray


def drawn(count: int, *, seed: int, form: Form, steepest: float) -> Responses:
    random = np.random.default_rng(seed)
    size = (20, count)
    return Responses(
        form, np.exp(random.normal(3, 0.5, count) + random.normal(0, 0.2, size)),
        np.exp(random.normal(2, 0.6, count) + random.normal(0, 0.2, size)),
        random.uniform(0.7, steepest, count) * np.ones(size),
    )  # fmt: skip


def by_slsqp(curves: Responses, limits: Limits, total: float) -> float:
    """Give the best value of several starts."""
    random, count = np.random.default_rng(0), len(limits.least)
    best = 0.0

    def missed(x: FloatArray) -> float:
        return -float(curves.mean_brought(x[None, :]).sum())

    def slope(x: FloatArray) -> FloatArray:
        falls: FloatArray = -curves.mean_slope(x[None, :])[0]
        return falls

    for _ in range(8):
        start: FloatArray = random.dirichlet(np.ones(count)) * total
        found = minimize(
            missed, start, jac=slope,
            bounds=Bounds(limits.least, limits.most),
            constraints=LinearConstraint(np.ones(count), total, total), method="SLSQP",
            options={"ftol": 1e-10, "maxiter": 300},
        )  # fmt: skip
        if abs(found.x.sum() - total) < 1e-6 * total:
            best = max(best, -float(found.fun))
    return best


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("steepest", [1.0, 3.5])
def test_no_start_of_slsqp_finds_a_better_split(form: Form, steepest: float) -> None:
    for seed in range(5):
        curves = drawn(6, seed=seed, form=form, steepest=steepest)
        total = float(np.median(curves.half, axis=0).sum())
        limits = Limits(np.zeros(6), np.full(6, total))
        found = split_total(MeanCurves(curves), limits, total)
        assert found.value >= by_slsqp(curves, limits, total) * (1 - 1e-5)


@pytest.mark.parametrize("steepest", [1.0, 3.5])
def test_the_bound_is_above_every_split(steepest: float) -> None:
    curves = drawn(3, seed=1, form="hill", steepest=steepest)
    total = float(np.median(curves.half, axis=0).sum())
    found = split_total(MeanCurves(curves), Limits(np.zeros(3), np.full(3, total)), total)
    splits = np.random.default_rng(0).dirichlet(np.ones(3), 20_000) * total
    assert curves.mean_brought(splits).sum(axis=1).max() <= found.bound
    assert found.gap < 0.02


def test_concave_curves_leave_hardly_a_gap() -> None:
    curves = drawn(10, seed=2, form="tanh", steepest=1.0)
    limits = Limits(np.zeros(10), np.full(10, 60.0))
    assert split_total(MeanCurves(curves), limits, 60.0).gap < 1e-4


def test_free_channels_share_one_marginal_return() -> None:
    curves = drawn(5, seed=3, form="tanh", steepest=1.0)
    table = MeanCurves(curves)
    found = split_total(table, Limits(np.zeros(5), np.full(5, 80.0)), 80.0)
    slopes = curves.mean_slope(found.amounts[None, :])[0]
    free = found.amounts > 1e-6
    assert slopes[free] == pytest.approx(slopes[free].mean(), rel=1e-4)


def test_equal_channels_get_equal_amounts() -> None:
    ones = np.ones((1, 4))
    curves = Responses("hill", 10 * ones, 5 * ones, ones)
    found = split_total(MeanCurves(curves), Limits(np.zeros(4), np.full(4, 9.0)), 9.0)
    assert found.amounts == pytest.approx(np.full(4, 2.25), rel=1e-4)


def test_all_channels_at_their_limits_is_a_split() -> None:
    curves = drawn(3, seed=4, form="hill", steepest=2.0)
    fixed = np.array([1.1, 2.2, 3.3])
    found = split_total(MeanCurves(curves), Limits(fixed, fixed), math.fsum(fixed))
    assert (found.amounts == fixed).all()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0.0, 1.0),
    size=st.floats(1e-3, 1e6),
)
def test_sum_and_limits_hold_to_the_last_bit(seed: int, share: float, size: float) -> None:
    random = np.random.default_rng(seed)
    curves = drawn(4, seed=seed, form="hill", steepest=3.0)
    least = random.uniform(0, 1, 4) * size
    most = least + random.uniform(0, 2, 4) * size
    low, high = math.fsum(least), math.fsum(most)
    total = min(max(low + share * (high - low), low), high)
    found = split_total(MeanCurves(curves), Limits(least, most), total)
    assert math.fsum(found.amounts) == total
    assert ((found.amounts >= least) & (found.amounts <= most)).all()


def test_rounding_is_put_on_the_channel_with_room() -> None:
    limits = Limits(np.zeros(3), np.array([0.1, 0.1, 1.0]))
    found = exact(np.array([0.1, 0.1, 0.1 + 1e-16]), limits, 0.3)
    assert math.fsum(found) == 0.3
    assert found[:2].tolist() == [0.1, 0.1]
