import numpy as np
import pytest

from bentos.budget.curves import FORMS, Form, MeanCurves, Responses
from tests.campaigns import responses


@pytest.mark.parametrize("form", FORMS)
class TestResponses:
    def test_half_brings_half_of_the_worth(self, form: Form) -> None:
        curves = Responses(form, np.array([[80.0]]), np.array([[7.0]]), np.array([[1.4]]))
        assert curves.brought(np.array([7.0]))[0, 0] == pytest.approx(40)

    def test_nothing_brings_nothing(self, form: Form) -> None:
        assert (responses(form).brought(np.zeros(3)) == 0).all()

    def test_far_beyond_the_half_all_is_brought(self, form: Form) -> None:
        curves = responses(form)
        assert curves.brought(np.full(3, 1e9)) == pytest.approx(curves.worth, rel=1e-6)

    def test_the_slope_is_that_of_the_value(self, form: Form) -> None:
        curves = responses(form, shape=1.6)
        points = np.array([[3.0, 8.0, 20.0], [40.0, 1.0, 0.5]])
        rise = curves.mean_brought(points + 1e-5) - curves.mean_brought(points - 1e-5)
        assert curves.mean_slope(points) == pytest.approx(rise / 2e-5, rel=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [0.6, 1.0, 2.5])
def test_the_table_is_the_mean_of_the_draws(form: Form, shape: float) -> None:
    curves = responses(form, shape=shape)
    points = np.geomspace(0.05, 1e4, 200)[:, None] * np.ones(3)
    value, slope, _ = MeanCurves(curves)(points.T)
    size = curves.worth.mean()
    assert pytest.approx(curves.mean_brought(points), abs=1e-5 * size) == value.T
    assert pytest.approx(curves.mean_slope(points), rel=2e-3, abs=1e-7 * size) == slope.T
