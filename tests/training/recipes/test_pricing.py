from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from core.artifact import open_artifact
from core.errors import ConfigError, TrainingRefused
from tests.offers import PLAIN, config_of, offers, sales, train, volume_config
from training.fitting import Fitted
from training.frame import Frame
from training.recipes import pricing
from training.recipes.pricing_measures import calibration_error


def slopes(fitted: Fitted) -> Any:
    """Give the slopes of the test's rows on the served curve."""
    outputs = fitted.outputs
    chance = outputs["response"] if outputs["is_win"][0] else np.zeros(len(outputs["price"]))
    return -outputs["elasticity"] / (1 - chance)


def changed(frame: Frame, **columns: Any) -> Frame:
    return Frame(**{**vars(frame), "columns": {**frame.columns, **columns}})


class TestWins:
    def test_the_slope_is_found(self) -> None:
        assert slopes(train(config_of(), offers(3000))).mean() == pytest.approx(8, rel=0.15)

    def test_no_curve_rises(self) -> None:
        assert train(config_of(), offers(600)).metrics["rising_ratio"] == 0.0

    def test_prices_that_know_a_hidden_worth_do_not_flatten_the_slope_of_experiments(self) -> None:
        frame = offers(5000, hidden=0.15)
        told = train(config_of(), frame)
        untold = train(config_of(roles=PLAIN), frame)
        # The truth of rows by chance, the hidden worth averaged over, is a slope of about 6.
        assert slopes(told).mean() == pytest.approx(6.2, rel=0.2)
        assert slopes(untold).mean() < 0.8 * slopes(told).mean()

    def test_rows_without_an_experiment_are_enough(self) -> None:
        fitted = train(config_of(roles=PLAIN), offers(3000))
        assert slopes(fitted).mean() == pytest.approx(8, rel=0.25)

    def test_a_target_of_other_numbers_is_refused(self) -> None:
        frame = offers(400)
        frame.target[7] = 3.0
        with pytest.raises(TrainingRefused, match="must be 1 or 0"):
            train(config_of(), frame)


class TestVolume:
    def test_the_elasticity_is_found(self) -> None:
        metrics = train(volume_config(), sales(2000)).metrics
        assert metrics["mean_elasticity_ratio"] == pytest.approx(-2.5, rel=0.1)
        assert metrics["r2_score"] > 0.6

    def test_the_interval_holds_its_share(self) -> None:
        assert 0.87 <= train(volume_config(), sales(4000)).metrics["coverage_ratio"] <= 0.93

    def test_instruments_undo_prices_that_follow_demand(self) -> None:
        frame = sales(4000, hidden=0.1)
        roles = {**PLAIN, "instruments": "fuel"}
        told = train(volume_config(roles=roles), frame).metrics["mean_elasticity_ratio"]
        untold = train(volume_config(), frame).metrics["mean_elasticity_ratio"]
        assert told == pytest.approx(-2.5, rel=0.15)
        assert untold > -2.0

    def test_the_mean_and_not_the_median_is_expected(self) -> None:
        fitted = train(volume_config(), sales(3000, noise=0.8))
        total = fitted.outputs["response"].sum() / fitted.split.test.target.sum()
        assert total == pytest.approx(1.0, abs=0.12)

    def test_few_rows_of_prices_that_hardly_move_are_flagged(self) -> None:
        fitted = train(volume_config(), sales(300, spread=0.02, noise=1.0))
        row = {"kind": "kind-0", "rivals": 1.0, "cost": 62.0, "price": 100.0}
        [answer] = fitted.predictor.predict([row])
        assert answer["result"]["is_price_variation_enough"] is False
        assert fitted.metrics["mean_elasticity_ratio"] < 0

    def test_many_rows_are_not_flagged(self) -> None:
        fitted = train(volume_config(), sales(3000))
        row = {"kind": "kind-0", "rivals": 1.0, "cost": 62.0, "price": 100.0}
        [answer] = fitted.predictor.predict([row])
        assert answer["result"]["is_price_variation_enough"] is True

    def test_a_volume_of_nothing_is_refused(self) -> None:
        frame = sales(400)
        frame.target[:30] = 0.0
        with pytest.raises(TrainingRefused, match=r"must be above 0.*Sum over longer periods"):
            train(volume_config(), frame)


class TestTables:
    def test_one_price_is_refused(self) -> None:
        frame = changed(sales(400), price=np.full(400, 9.5))
        with pytest.raises(TrainingRefused, match=r"holds one price \(9.5 in 'price'\)"):
            train(volume_config(), frame)

    def test_a_price_of_zero_is_refused(self) -> None:
        price = offers(400).columns["price"].copy()
        price[3] = 0.0
        with pytest.raises(TrainingRefused, match="the price 'price' must be above 0; 1 rows"):
            train(config_of(), changed(offers(400), price=price))

    def test_one_markup_is_learned_against_the_usual_price(self) -> None:
        frame = offers(800)
        fixed = changed(frame, price=1.4 * frame.columns["cost"])
        assert train(config_of(), fixed).metrics["rising_ratio"] == 0.0

    def test_a_table_without_segments_cost_and_time_is_learned(self) -> None:
        frame = sales(800)
        timeless = Frame(**{**vars(frame), "as_of": None})
        config = volume_config(
            roles={"price": "price"}, as_of=None, split={"rule": "entity", "test_share": 0.3}
        )
        assert train(config, timeless).metrics["mean_elasticity_ratio"] < -1

    def test_rows_without_an_outcome_are_left_out(self) -> None:
        frame = offers(800)
        frame.target[::10] = np.nan
        target = {**config_of().target.model_dump(), "nullable": True}
        metrics = train(config_of(target=target), frame).metrics
        assert np.isfinite(list(metrics.values())).all()


def test_the_same_data_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    for number, (config, frame) in enumerate(
        [(config_of(), offers(500)), (volume_config(), sales(500))]
    ):
        first = train(config, frame, tmp_path / f"a{number}")
        second = train(config, frame, tmp_path / f"b{number}")
        assert first.predictor.artifact.manifest.files == second.predictor.artifact.manifest.files


def test_the_test_rows_change_nothing(tmp_path: Path) -> None:
    frame = sales(500)
    fitted = train(volume_config(), frame, tmp_path / "a")
    target = frame.target.copy()
    target[-len(fitted.split.test) :] = 1e6
    spoiled = Frame(**{**vars(frame), "target": target})
    again = train(volume_config(), spoiled, tmp_path / "b")
    assert fitted.predictor.artifact.manifest.files == again.predictor.artifact.manifest.files


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"response": "win", "levle": 0.9}, "Did you mean 'level'"),
        ({"response": "wins"}, "not allowed"),
        ({"response": "win", "level": 1.5}, "not allowed"),
    ],
)
def test_a_wrong_option_is_refused(option: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        train(config_of(training={"options": option}), offers(200))


def test_losses_are_of_labelled_rows() -> None:
    frame = SimpleNamespace(target=np.array([1.0, np.nan, 0.0]))
    outputs = {"eta": np.zeros(3), "is_win": np.ones(3, dtype=bool)}
    assert pricing.losses(outputs, frame) == pytest.approx([np.log(2)] * 2)  # type: ignore[arg-type]  # a frame of what is read


def test_exact_chances_are_calibrated() -> None:
    target = np.repeat([0.0, 1.0], 50)
    assert calibration_error(target, target) == 0.0


@pytest.mark.parametrize("kind", ["win", "volume"])
def test_four_pictures_are_drawn(tmp_path: Path, kind: str) -> None:
    wins = kind == "win"
    config, frame = (config_of(), offers(500)) if wins else (volume_config(), sales(500))
    fitted = train(config, frame, tmp_path / "a")
    drawn = dict(pricing.figures(fitted.outputs, fitted.split.test, open_artifact(tmp_path / "a")))
    second = "calibration" if wins else "predicted_and_actual"
    assert list(drawn) == ["price_curves", second, "elasticities", "price_moves"]
    for name, figure in drawn.items():
        FigureCanvasAgg(figure)
        figure.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
