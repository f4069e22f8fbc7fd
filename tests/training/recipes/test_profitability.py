from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from core.artifact import open_artifact
from core.errors import ConfigError
from tests.shop import config_of, lines, train
from training.recipes import profitability
from training.recipes.profit_interval import interval_score

TRAINING = config_of().training.model_dump()


def test_it_learns_what_items_cost() -> None:
    metrics = train(config_of(), lines(2000, noise=0.03)).metrics
    assert metrics["r2_score"] > 0.95
    assert metrics["spearman_score"] > 0.95
    assert 0.85 <= metrics["coverage_ratio"] <= 0.95


def test_exact_costs_are_found_exactly() -> None:
    metrics = train(config_of(), lines(1500, noise=0.0)).metrics
    assert metrics["mae_error"] < 1e-6
    assert 0.8 <= metrics["coverage_ratio"] <= 0.97


def test_the_same_data_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    frame = lines(500)
    first = train(config_of(), frame, tmp_path / "a")
    second = train(config_of(), frame, tmp_path / "b")
    assert first.predictor.artifact.manifest.files == second.predictor.artifact.manifest.files


def test_the_test_rows_change_nothing(tmp_path: Path) -> None:
    frame = lines(500)
    fitted = train(config_of(), frame, tmp_path / "a")
    changed = frame.target.copy()
    changed[-len(fitted.split.test) :] = 1e6
    spoiled = SimpleNamespace(**{**vars(frame), "target": changed})
    again = train(config_of(), type(frame)(**vars(spoiled)), tmp_path / "b")
    assert fitted.predictor.artifact.manifest.files == again.predictor.artifact.manifest.files


def test_three_hundred_rows_are_enough() -> None:
    assert train(config_of(), lines(300)).metrics["r2_score"] > 0.5


def test_without_roles_it_finds_the_size_of_a_row_itself() -> None:
    fitted = train(config_of(roles={}), lines(1200))
    rule = fitted.predictor.artifact.read_json("rule.json")
    assert rule["form"] == "size:sales"
    assert fitted.metrics["r2_score"] > 0.5


def test_rows_without_an_outcome_are_left_out() -> None:
    frame = lines(600)
    frame.target[::10] = np.nan
    target = {**config_of().target.model_dump(), "nullable": True}
    metrics = train(config_of(target=target), frame).metrics
    assert np.isfinite(list(metrics.values())).all()


def test_a_split_by_entity_needs_no_time() -> None:
    config = config_of(split={"rule": "entity", "test_share": 0.3}, as_of=None)
    frame = lines(900)
    timeless = type(frame)(**{**vars(frame), "as_of": None})
    assert train(config, timeless).metrics["r2_score"] > 0.8


def test_outcomes_that_take_a_year_are_not_used_before_they_are_known() -> None:
    target = {**config_of().target.model_dump(), "horizon_days": 60}
    assert train(config_of(target=target), lines(1500)).metrics["r2_score"] > 0.8


def test_the_level_of_the_interval_is_the_configs() -> None:
    training = {**TRAINING, "options": {"level": 0.5, "seeds": 1, "threads": 1}}
    metrics = train(config_of(training=training), lines(1500)).metrics
    assert 0.4 <= metrics["coverage_ratio"] <= 0.6


@pytest.mark.parametrize(
    ("option", "sentence"),
    [({"levle": 0.9}, "Did you mean 'level'"), ({"level": 1.5}, "should be less than 1")],
)
def test_a_wrong_option_is_refused(option: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        train(config_of(training={**TRAINING, "options": option}), lines(200))


class TestEvaluate:
    def test_a_perfect_answer_gets_perfect_figures(self) -> None:
        frame = lines(200)
        outputs = {
            "profit_amount": frame.target, "low_amount": frame.target, "high_amount": frame.target,
            "level": np.full(200, 0.9),
        }  # fmt: skip
        found = profitability.evaluate(outputs, frame)
        assert found["r2_score"] == 1.0
        assert found["spearman_score"] == pytest.approx(1.0)
        assert found["coverage_ratio"] == 1.0
        assert found["mae_error"] == found["winkler_error"] == found["bias_ratio"] == 0.0

    def test_the_worst_level_is_found(self) -> None:
        frame = lines(1000)
        hurt = frame.columns["family"] == "family-2"
        far = frame.target + np.where(hurt, 10.0, 0.0)
        outputs = {
            "profit_amount": far, "low_amount": far - 1, "high_amount": far + 1,
            "level": np.full(1000, 0.9),
        }  # fmt: skip
        assert profitability.evaluate(outputs, frame)["worst_coverage_ratio"] == 0.0

    def test_losses_are_absolute_errors_of_labelled_rows(self) -> None:
        frame = lines(10)
        frame.target[3] = np.nan
        outputs = {"profit_amount": np.zeros(10)}
        found = profitability.losses(outputs, frame)
        assert found.tolist() == np.abs(np.delete(frame.target, 3)).tolist()

    def test_the_interval_score_counts_width_and_misses(self) -> None:
        score = interval_score(
            np.array([5.0, 12.0]), low=np.array([0.0, 0.0]), high=np.array([10.0, 10.0]), level=0.9
        )
        assert score == pytest.approx([10.0, 10.0 + 20.0 * 2.0])


def test_four_pictures_are_drawn(tmp_path: Path) -> None:
    fitted = train(config_of(), lines(500), tmp_path / "a")
    artifact = open_artifact(tmp_path / "a")
    drawn = dict(profitability.figures(fitted.outputs, fitted.split.test, artifact))
    assert list(drawn) == ["predicted_and_actual", "residuals", "coverage", "importance"]
    for name, figure in drawn.items():
        FigureCanvasAgg(figure)
        figure.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
