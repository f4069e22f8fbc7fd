"""Prophet's forecast from its parameters, beside Prophet's own."""

import numpy as np
import pandas as pd
import pytest

from bentos.demand.curve import ProphetCurve
from bentos.demand.steps import STEPS, following
from tests.demand_series import days, months, wave
from training.recipes.demand_methods import curve_of, fitted_prophet


@pytest.mark.parametrize(
    ("kind", "sign"), [("month", 1.0), ("day", 1.0), ("month", -1.0), ("day", -1.0)]
)
def test_the_curve_equals_prophets_forecast_over_any_horizon(kind: str, sign: float) -> None:
    count = {"month": 84, "day": 900}[kind]
    times = {"month": months, "day": days}[kind](count).astype("datetime64[s]")
    values = sign * wave(count, season=STEPS[kind].season, seed=4) + np.linspace(0, 40, count)
    model = fitted_prophet(values, times, STEPS[kind])
    assert model.seasonality_mode == ("multiplicative" if sign > 0 else "additive")
    ahead = following(times[-1], STEPS[kind], 400)
    expected = model.predict(pd.DataFrame({"ds": ahead.astype("datetime64[ns]")}))
    curve = curve_of(model)
    scale = np.abs(expected["yhat"]).max()
    np.testing.assert_allclose(curve.value(ahead), expected["yhat"], rtol=0, atol=1e-6 * scale)
    trend, _ = curve.parts(ahead)
    np.testing.assert_allclose(trend, expected["trend"], rtol=0, atol=1e-6 * scale)
    # In its own past too, where changes of slope lie.
    fitted = model.predict(pd.DataFrame({"ds": times.astype("datetime64[ns]")}))
    np.testing.assert_allclose(curve.value(times), fitted["yhat"], rtol=0, atol=1e-6 * scale)


def test_a_curve_is_the_same_after_it_was_stored() -> None:
    times = months(60).astype("datetime64[s]")
    curve = curve_of(fitted_prophet(wave(60), times, STEPS["month"]))
    again = ProphetCurve.from_arrays(curve.to_arrays("7"), "7")
    ahead = following(times[-1], STEPS["month"], 24)
    assert again.value(ahead).tobytes() == curve.value(ahead).tobytes()
