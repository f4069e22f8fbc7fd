import numpy as np
import pytest

from bentos.pricing.curve import Curves
from bentos.pricing.optimum import best_prices


def curves(*, is_win: bool, power: float = 0.0, rows: int = 40) -> Curves:
    draw = np.random.default_rng(3)
    slope = draw.uniform(1.5, 9.0, rows)
    worth = draw.normal(0.3, 0.1, rows)
    return Curves(
        is_win=is_win, power=power, factor=1.0 if is_win else 1.2,
        height=slope * worth if is_win else draw.normal(3, 1, rows), slope=slope,
        reference=draw.uniform(20, 200, rows), worth=worth,
        spread=np.tile([0.0004, 0.0001, 0.002], (rows, 1)), noise=0.0 if is_win else 0.1,
        width=1.7, sure=1.645,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["win", "volume"])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
class TestCurves:
    def test_the_response_falls_everywhere(self, kind: str, power: float) -> None:
        found = curves(is_win=kind == "win", power=power)
        prices = found.reference[:, None] * np.linspace(0.7, 2.0, 60)
        assert (np.diff(found.response(prices), axis=1) < 0).all()

    def test_the_elasticity_is_the_slope_of_the_logarithms(
        self,
        kind: str,
        power: float,
    ) -> None:
        found = curves(is_win=kind == "win", power=power)
        price = 1.3 * found.reference
        step = 1e-5
        ends = [np.log(found.response(price * np.exp(s))) for s in (-step, step)]
        np.testing.assert_allclose(found.elasticity(price), (ends[1] - ends[0]) / (2 * step), 1e-6)

    def test_intervals_hold_what_they_are_of(self, kind: str, power: float) -> None:
        found = curves(is_win=kind == "win", power=power)
        price = 1.3 * found.reference
        low, high = found.interval(price)
        assert ((low < found.response(price)) & (found.response(price) < high)).all()
        low, high = found.elasticity_interval(price)
        middle = found.elasticity(price)
        assert ((low < middle) & (middle < high) & (high < 0)).all()

    def test_no_price_of_a_fine_grid_is_better(self, kind: str, power: float) -> None:
        found = curves(is_win=kind == "win", power=power)
        cost, low, high = (found.reference * f for f in (0.9, 0.9, 2.5))
        best = best_prices(found, cost, low, high, "profit")
        grid = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 20_001)
        fine = ((grid - cost[:, None]) * found.response(grid)).max(axis=1)
        ours = (best - cost) * found.response(best)
        assert (ours >= fine * (1 - 1e-6)).all()


def test_a_constant_elasticity_has_its_price_in_closed_form() -> None:
    found = curves(is_win=False)
    cost = 0.5 * found.reference
    best = best_prices(found, cost, 0.4 * found.reference, 9 * found.reference, "profit")
    np.testing.assert_allclose(best, cost * found.slope / (found.slope - 1), rtol=1e-3)


def test_volume_is_largest_at_the_lowest_price() -> None:
    found = curves(is_win=True)
    low, high = found.reference, 2 * found.reference
    np.testing.assert_array_equal(best_prices(found, low, low, high, "volume"), low)


def test_an_uplift_of_nothing_is_certain() -> None:
    found = curves(is_win=True)
    price = 1.2 * found.reference
    np.testing.assert_allclose(found.uplift_spread(price, found.reference, price), 0, atol=1e-9)


def test_the_interval_of_a_place_far_out_is_wider() -> None:
    found = curves(is_win=False)
    near, far = (np.log(high / low) for low, high in map(found.interval, (
        found.reference, 3 * found.reference)))  # fmt: skip
    assert (far > near).all()
