"""How the demand model is trained: one bad series never stops the rest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bentos.demand.predictor import DemandPredictor
from core.artifact import Draft
from core.errors import ConfigError, TrainingRefused
from tests.demand_series import Floats, Times, config_of, frame_of, months, panel, wave
from tests.shop import train
from training.fitting import Fitted
from training.frame import Frame
from training.progress import Silent, told_to
from training.recipes import demand as recipe
from training.recipes.demand_search import Study, choose
from training.split import Split, split_frame


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return train(config_of(), panel(), tmp_path_factory.mktemp("demand") / "artifact")


def with_odd(times: Times, values: Floats) -> Frame:
    """Give the panel, and one odd series in it."""
    good = {f"s{i}": (months(72), wave(72, seed=i)) for i in range(3)}
    return frame_of({**good, "odd": (times, values)})


def forecast_of(fitted: Fitted, name: str) -> tuple[DemandPredictor, Floats]:
    predictor = fitted.predictor
    assert isinstance(predictor, DemandPredictor)
    known = predictor.panel.series[name]
    said = predictor.forecast(known, {"horizon_steps": 14, "interval_level": 0.95})
    assert np.all(np.isfinite([said.value, said.low, said.high]))
    return predictor, said.value


class TestFit:
    def test_it_beats_the_last_season(self, fitted: Fitted) -> None:
        assert fitted.metrics["naive_ratio"] < 0.9
        assert fitted.metrics["coverage_ratio"] > 0.8

    def test_same_data_gives_the_same_bytes(self, tmp_path: Path) -> None:
        config = config_of(options={"with_prophet": True})
        split = split_frame(panel(count=2), config)
        for name in ("one", "two"):
            draft = Draft(tmp_path / name)
            recipe.fit(split, config, draft)
            recipe.refit(split, config, draft)
        for path in (tmp_path / "one").iterdir():
            assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name

    @pytest.mark.timeout(600)  # each process imports for ten seconds where cores are idle
    def test_more_processes_give_the_same_bytes(self, tmp_path: Path) -> None:
        frame = panel(count=25, length=40)
        for processes in (1, 2):
            config = config_of(options={"processes": processes, "windows": 1})
            draft = Draft(tmp_path / str(processes))
            recipe.fit(split_frame(frame, config), config, draft)
        for path in (tmp_path / "1").iterdir():
            assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes(), path.name

    def test_the_test_rows_are_never_looked_at(self, tmp_path: Path) -> None:
        split = split_frame(panel(), config_of())
        spoiled = replace(split, test=replace(split.test, target=split.test.target * 9))
        for name, parts in (("one", split), ("two", spoiled)):
            recipe.fit(parts, config_of(), Draft(tmp_path / name))
        for path in (tmp_path / "one").iterdir():
            assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name

    def test_what_is_served_knows_the_whole_history(self, fitted: Fitted) -> None:
        predictor = fitted.predictor
        assert isinstance(predictor, DemandPredictor)
        last = {str(known.last) for known in predictor.panel.series.values()}
        assert last == {"2023-12-01T00:00:00"}

    def test_a_horizon_shorter_than_the_test_is_refused(self) -> None:
        config = config_of(options={"max_horizon_steps": 3})
        with pytest.raises(ConfigError, match="a test needs a forecast as long"):
            recipe.fit(split_frame(panel(), config), config, Draft(Path("/nowhere")))

    def test_a_zone_that_there_is_not_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="no such time zone"):
            train(config_of(options={"timezone": "Europe/Berlyn"}), panel())

    def test_a_country_that_there_is_not_is_refused(self) -> None:
        days = (np.datetime64("2024-01-01") + np.arange(60)).astype("datetime64[us]")
        frame = frame_of({"s": (days, wave(60, season=7))})
        with pytest.raises(ConfigError, match="'XX' is no country"):
            train(config_of(options={"holidays_countries": "XX"}), frame)

    def test_an_unknown_option_is_named_with_the_nearest(self) -> None:
        with pytest.raises(ConfigError, match="Did you mean 'windows'"):
            train(config_of(options={"window": 2}), panel())


class TestOddSeries:
    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            pytest.param(np.full(72, 40.0), 40.0, id="constant"),
            pytest.param(np.zeros(72), 0.0, id="all zero"),
            pytest.param(-wave(72), -100.0, id="negative"),
            pytest.param(wave(72) - 100.0, 0.0, id="around zero"),
            pytest.param(wave(72) * 1e12, 1e14, id="very large"),
            pytest.param(np.r_[np.zeros(60), np.full(12, 9.0)], 9.0, id="begins late"),
            pytest.param(wave(13), 100.0, id="barely a season"),
            pytest.param(wave(7), 100.0, id="seven points"),
        ],
    )
    def test_it_is_forecast_near_its_level(
        self, tmp_path: Path, values: Floats, expected: float
    ) -> None:
        trained = train(config_of(), with_odd(months(len(values)), values), tmp_path / "a")
        _, said = forecast_of(trained, "odd")
        assert said.mean() == pytest.approx(expected, rel=0.45, abs=25)
        if values.min() >= 0:
            assert said.min() >= 0

    def test_a_series_that_cannot_be_used_gets_the_pooled_forecast_and_its_reason(
        self, tmp_path: Path
    ) -> None:
        trained = train(config_of(), with_odd(months(2), np.array([900.0, 1100.0])), tmp_path / "a")
        predictor, said = forecast_of(trained, "odd")
        known = predictor.panel.series["odd"]
        assert known.method == "pooled"
        assert known.reason is not None
        assert "has 2 points" in known.reason
        assert said.mean() == pytest.approx(1000, rel=0.2)
        row = {"series": "odd", "horizon_steps": 2, "interval_level": 0.9}
        result = predictor.predict([row])[0]["result"]
        assert result["fallback_reason"] == known.reason
        assert not result["is_new_series"]

    def test_it_is_told_to_whoever_trains(self, tmp_path: Path) -> None:
        told: list[str] = []

        class Listening(Silent):
            def note(self, text: str) -> None:
                told.append(text)

        frame = with_odd(months(2), wave(2))
        with told_to(Listening()):
            recipe.fit(split_frame(frame, config_of()), config_of(), Draft(tmp_path / "a"))
        assert any("'odd' has 2 points" in text for text in told)

    def test_a_table_without_any_usable_series_is_refused_with_the_reason(self) -> None:
        frame = frame_of({f"s{i}": (months(4), wave(4)) for i in range(20)})
        with pytest.raises(TrainingRefused, match=r"no series can be used.*has 4 points"):
            recipe.fit(split_frame_whole(frame), config_of(), Draft(Path("/nowhere")))

    def test_series_of_several_steps_stand_side_by_side(self, tmp_path: Path) -> None:
        weeks = (np.datetime64("2022-01-03") + 7 * np.arange(150)).astype("datetime64[us]")
        trained = train(config_of(), with_odd(weeks, wave(150, season=52)), tmp_path / "a")
        predictor, _ = forecast_of(trained, "odd")
        assert predictor.panel.series["odd"].group.kind.name == "week"
        assert predictor.panel.series["s0"].group.kind.name == "month"


def split_frame_whole(frame: Frame) -> Split:
    """Give a split whose training is the whole frame."""
    nothing = frame.take(np.zeros(0, dtype=np.int64))
    return Split(frame, nothing, nothing)


class TestChoose:
    def test_luck_at_one_origin_does_not_outweigh_the_panel(self) -> None:
        draw = np.random.default_rng(1)

        def study(name: str, theta: float) -> Study:
            noise = np.abs(draw.normal(1, 0.05, (2, 6)))
            residuals = {"seasonal_naive": noise, "ets": 0.7 * noise, "theta": theta * noise}
            return Study(name, 1.0, residuals, "family")

        studies = [study(f"s{i}", 0.9) for i in range(30)] + [study("lucky", 0.66)]
        assert choose(studies, trust_windows=6.0)["lucky"] == "ets"
        assert choose(studies, trust_windows=0.0)["lucky"] == "theta"

    def test_a_series_without_origins_gets_what_its_family_does_best(self) -> None:
        known = {"seasonal_naive": np.ones((2, 3)), "theta": np.full((2, 3), 0.5)}
        studies = [Study("long", 1.0, known, "f"), Study("short", 1.0, {}, "f")]
        assert choose(studies, trust_windows=6.0)["short"] == "theta"

    def test_a_series_whose_methods_failed_repeats_its_last_season(self) -> None:
        known = {"seasonal_naive": np.ones((2, 3)), "theta": np.full((2, 3), 0.5)}
        studies = [Study("long", 1.0, known, "f"), Study("odd", 1.0, {}, "f", "ValueError: no")]
        assert choose(studies, trust_windows=6.0)["odd"] == "seasonal_naive"
