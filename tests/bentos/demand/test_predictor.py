"""What a demand release answers, and what it refuses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bentos.catalog import contract_of
from bentos.demand.predictor import DemandPredictor
from core.errors import RowInvalid
from tests.demand_series import PROMOTED, config_of, days, frame_of, months, panel, wave
from tests.shop import train
from training.recipes.demand_methods import curve_of, fitted_prophet

LENGTH = 72


def predictor_of(frame: Any, **facts: Any) -> DemandPredictor:
    predictor = train(config_of(**facts), frame).predictor
    assert isinstance(predictor, DemandPredictor)
    return predictor


@pytest.fixture(scope="module")
def predictor() -> DemandPredictor:
    return predictor_of(panel())


@pytest.fixture(scope="module")
def promoted() -> DemandPredictor:
    """A panel in which a promotion makes half as much again."""
    draw = np.random.default_rng(2)
    promo = np.where(draw.random((4, LENGTH)) < 0.25, 1.0, 0.0)
    made = {f"s{i}": (months(LENGTH), wave(LENGTH, seed=i) * 1.5 ** promo[i]) for i in range(4)}
    return predictor_of(frame_of(made, columns={"promo": promo.ravel()}), features=PROMOTED)


def ask(predictor: DemandPredictor, *, explain: bool = False, **sent: Any) -> dict[str, Any]:
    """Ask as a caller would: through the contract and the check."""
    row = contract_of(predictor.config).parse_row({"horizon_steps": 6, **sent})
    predictor.check(row)
    return predictor.predict([row], explain=explain)[0]


def refusal(predictor: DemandPredictor, **sent: Any) -> str:
    """Give what a refusal says."""
    with pytest.raises(RowInvalid) as refused:
        ask(predictor, **sent)
    return "; ".join(f"{p.field} {p.problem}: {p.allowed}" for p in refused.value.problems)


def values_of(answer: dict[str, Any], field: str = "value") -> Any:
    return np.array([step[field] for step in answer["result"]["steps"]])


class TestAnswer:
    def test_it_begins_at_the_step_after_the_whole_history(
        self, predictor: DemandPredictor
    ) -> None:
        steps = ask(predictor, series="s1")["result"]["steps"]
        assert [step["time"] for step in steps[:2]] == [
            "2024-01-01T00:00:00+00:00", "2024-02-01T00:00:00+00:00",
        ]  # fmt: skip
        assert len(steps) == 6

    def test_it_foresees_the_season(self, predictor: DemandPredictor) -> None:
        said = values_of(ask(predictor, series="s1", horizon_steps=12))
        expected = 100 * (1 + 0.3 * np.sin(2 * np.pi * np.arange(LENGTH, LENGTH + 12) / 12))
        np.testing.assert_allclose(said, expected, rtol=0.08)

    def test_the_parts_add_up_to_the_value(self, promoted: DemandPredictor) -> None:
        answer = ask(promoted, series="s1", regressors={"promo": [0, 1, 0.5, 0, 0, 1]})
        for step in answer["result"]["steps"]:
            assert sum(step["components"].values()) == pytest.approx(step["value"], abs=1e-9)

    def test_results_keep_to_their_type(self, predictor: DemandPredictor) -> None:
        predictor.RESULT.model_validate(ask(predictor, series="s1")["result"])
        predictor.RESULT.model_validate(ask(predictor, series="never seen")["result"])

    def test_the_same_question_gives_the_same_bytes_alone_and_in_a_batch(
        self, predictor: DemandPredictor
    ) -> None:
        contract = contract_of(predictor.config)
        rows = [contract.parse_row({"series": f"s{i}", "horizon_steps": 14}) for i in range(6)]
        batch = predictor.predict(rows, explain=True)
        assert batch == [predictor.predict([row], explain=True)[0] for row in rows]
        assert repr(batch) == repr(predictor.predict(rows, explain=True))

    def test_a_longer_horizon_begins_with_the_shorter_one(self, predictor: DemandPredictor) -> None:
        short, long = (ask(predictor, series="s2", horizon_steps=n) for n in (3, 14))
        assert long["result"]["steps"][:3] == short["result"]["steps"]

    def test_drivers_explain_the_mean_of_the_horizon(self, promoted: DemandPredictor) -> None:
        answer = ask(promoted, series="s1", regressors={"promo": [1.0] * 6}, explain=True)
        drivers = answer["drivers"]
        found = {d["feature"]: d["contribution"] for d in drivers["contributions"]}
        assert drivers["scale"] == "amount"
        assert drivers["base"] + sum(found.values()) == pytest.approx(drivers["total"], abs=1e-9)
        assert drivers["total"] == pytest.approx(values_of(answer).mean(), rel=1e-12)
        assert found["regressors"] > 0

    def test_prophet_is_served_from_its_curve_for_any_horizon(
        self, predictor: DemandPredictor
    ) -> None:
        known = predictor.panel.series["s1"]
        times = months(LENGTH).astype("datetime64[s]")
        curve = curve_of(fitted_prophet(wave(LENGTH), times, known.group.kind))
        mine = replace(known, method="prophet", curve=curve, curve_share=1.0)
        said = predictor.forecast(mine, {"horizon_steps": 14, "interval_level": 0.9})
        expected = curve.value(known.times(14))
        np.testing.assert_allclose(said.value, expected, rtol=1e-12)


class TestInterval:
    @pytest.mark.parametrize("level", [0.5, 0.8, 0.95, 0.99])
    def test_it_holds_the_value_and_widens_with_the_step(
        self, predictor: DemandPredictor, level: float
    ) -> None:
        answer = ask(predictor, series="s1", horizon_steps=14, interval_level=level)
        low, value, high = (values_of(answer, name) for name in ("low", "value", "high"))
        assert np.all((low <= value) & (value <= high))
        assert np.all(np.diff(high - low) >= -1e-9)

    def test_a_higher_level_is_wider(self, predictor: DemandPredictor) -> None:
        wide = [
            float(np.ptp([values_of(ask(predictor, series="s1", interval_level=level), end)[0]
                          for end in ("low", "high")]))
            for level in (0.5, 0.8, 0.9, 0.95, 0.99)
        ]  # fmt: skip
        assert wide == sorted(wide)
        assert wide[0] < wide[-1]

    def test_nothing_falls_below_zero_where_history_does_not(self) -> None:
        draw = np.random.default_rng(3)
        few = {f"s{i}": (months(60), draw.poisson(0.7, 60).astype(float)) for i in range(3)}
        answer = ask(predictor_of(frame_of(few)), series="s1", interval_level=0.99)
        assert values_of(answer, "low").min() >= 0
        assert values_of(answer).min() >= 0

    @pytest.mark.parametrize("level", [0.4, 1.0])
    def test_a_level_that_is_not_held_is_refused(
        self, predictor: DemandPredictor, level: float
    ) -> None:
        assert "interval_level" in refusal(predictor, series="s1", interval_level=level)


class TestNewSeries:
    def test_it_gets_the_shape_of_the_others_and_is_told_so(
        self, predictor: DemandPredictor
    ) -> None:
        result = ask(predictor, series="never seen", horizon_steps=12)["result"]
        assert result["is_new_series"]
        assert result["method"] == "pooled"
        assert result["cross_validated_error"] is None
        said = np.array([step["value"] for step in result["steps"]])
        assert said[3] > 1.3 * said[9]

    def test_its_recent_values_tell_its_level(self, predictor: DemandPredictor) -> None:
        recent = wave(LENGTH, level=1000.0)[-5:].tolist()
        said = values_of(ask(predictor, recent_values=recent, horizon_steps=12))
        expected = 1000 * (1 + 0.3 * np.sin(2 * np.pi * np.arange(12) / 12))
        np.testing.assert_allclose(said, expected, rtol=0.12)

    def test_a_horizon_shorter_than_the_season_places_recent_values_alike(self) -> None:
        short = predictor_of(panel(), options={"max_horizon_steps": 6})
        recent = wave(LENGTH, level=1000.0)[-5:].tolist()
        said = values_of(ask(short, recent_values=recent))
        expected = 1000 * (1 + 0.3 * np.sin(2 * np.pi * np.arange(6) / 12))
        np.testing.assert_allclose(said, expected, rtol=0.12)

    def test_neither_series_nor_recent_values_is_refused(self, predictor: DemandPredictor) -> None:
        assert "series is missing: name the series, or send recent_values" in refusal(predictor)


class TestRefusals:
    @pytest.mark.parametrize("steps", [0, -1, 1.5, "6", None])
    def test_a_horizon_that_is_no_count_is_refused(
        self, predictor: DemandPredictor, steps: object
    ) -> None:
        assert "horizon_steps" in refusal(predictor, series="s1", horizon_steps=steps)

    def test_a_horizon_beyond_the_release_names_the_limit(self, predictor: DemandPredictor) -> None:
        said = refusal(predictor, series="s1", horizon_steps=15)
        assert "horizon_steps is 15: 1 to 14 is allowed" in said
        assert "max_horizon_steps" in said

    def test_a_missing_regressor_is_named(self, promoted: DemandPredictor) -> None:
        assert "regressors.promo is missing" in refusal(promoted, series="s1")

    def test_a_regressor_of_another_length_is_named(self, promoted: DemandPredictor) -> None:
        said = refusal(promoted, series="s1", regressors={"promo": [0.0, 1.0]})
        assert "regressors.promo has 2 values: 6 are needed" in said

    def test_an_unknown_regressor_is_named_with_the_nearest(
        self, promoted: DemandPredictor
    ) -> None:
        said = refusal(promoted, series="s1", regressors={"promo": [0.0] * 6, "prmo": [0.0] * 6})
        assert "regressors.prmo is not a regressor of this model: did you mean 'promo'" in said

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "1", None])
    def test_a_regressor_that_is_no_number_is_refused(
        self, promoted: DemandPredictor, value: object
    ) -> None:
        said = refusal(promoted, series="s1", regressors={"promo": [0.0] * 5 + [value]})
        assert "regressors.promo.5" in said

    def test_a_country_that_the_release_does_not_know_is_refused(
        self, predictor: DemandPredictor
    ) -> None:
        said = refusal(predictor, series="s1", holidays_country="FR")
        assert "holidays_country is 'FR'" in said
        assert "training.options" in said


class TestEffects:
    def test_a_promotion_that_is_planned_raises_the_forecast(
        self, promoted: DemandPredictor
    ) -> None:
        plain, raised = (
            values_of(ask(promoted, series="s1", regressors={"promo": [share] * 6}))
            for share in (0.0, 1.0)
        )
        np.testing.assert_allclose(raised / plain, 1.5, rtol=0.06)

    def test_a_holiday_lowers_its_day_in_the_country_that_was_asked_for(self) -> None:
        count = 3 * 365
        times = days(count)
        day = times.astype("datetime64[D]")
        off = np.array([str(d)[5:] in {"12-25", "12-26", "01-01", "05-01", "10-03"} for d in day])
        made = {f"s{i}": (times, wave(count, season=7, seed=i) * 0.4**off) for i in range(3)}
        predictor = predictor_of(
            frame_of(made), options={"holidays_countries": "DE,US", "max_horizon_steps": 60}
        )
        # The history ends with 2025-12-31: the first step is New Year.
        answers = [
            ask(predictor, series="s0", horizon_steps=5, holidays_country=country)
            for country in ("DE", None)
        ]
        assert answers[0] == answers[1]
        first, second = answers[0]["result"]["steps"][:2]
        assert first["time"].startswith("2026-01-01")
        assert first["components"]["holidays"] < -0.4 * first["components"]["trend"]
        assert second["components"]["holidays"] == 0
