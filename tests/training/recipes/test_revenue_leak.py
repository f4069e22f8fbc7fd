"""How the leak model is trained and measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.artifact import Draft
from core.errors import ConfigError
from tests.billing import CONTENT, config_of, records
from tests.shop import train
from training.fitting import Fitted
from training.recipes import revenue_leak as recipe
from training.recipes import revenue_trees
from training.recipes.revenue_measures import METRICS, average_precision, captured
from training.recipes.revenue_peers import learn_chain
from training.recipes.revenue_sum import assign_folds, fit_line, fit_sum
from training.split import split_frame


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return train(config_of(), records(1500), tmp_path_factory.mktemp("leak") / "artifact")


class TestFit:
    def test_it_finds_leaks_and_their_amounts(self, fitted: Fitted) -> None:
        metrics = fitted.metrics
        assert metrics["pr_auc_score"] > 0.9
        assert metrics["value_captured_at_8_score"] > 0.9
        assert 0.85 < metrics["total_ratio"] < 1.15
        assert metrics["amount_mae_error"] < 0.15

    def test_same_data_and_seed_give_the_same_bytes(self, tmp_path: Path) -> None:
        split = split_frame(records(700), config_of())
        for name in ("one", "two"):
            recipe.fit(split, config_of(), Draft(tmp_path / name))
        files = sorted(path.name for path in (tmp_path / "one").iterdir())
        for name in files:
            one, two = ((tmp_path / run / name).read_bytes() for run in ("one", "two"))
            assert one == two, name

    def test_without_labels_gaps_alone_find_leaks(self, tmp_path: Path) -> None:
        table = records(1500)
        blind = train(config_of(), replace(table, target=np.full(1500, np.nan)), tmp_path / "a")
        test = split_frame(table, config_of()).test
        metrics = recipe.evaluate(blind.row_predictor.score(test.columns), test)
        assert metrics["pr_auc_score"] > 0.8
        assert not blind.predictor.artifact.read_json("model.json")["labelled"]

    def test_fewer_than_twenty_leaks_are_not_learned_from(self, tmp_path: Path) -> None:
        few = train(config_of(), records(300, leaking=0.04), tmp_path / "artifact")
        assert not few.predictor.artifact.read_json("model.json")["labelled"]
        probability = few.row_predictor.score(few.split.train.columns)["probability"]
        assert probability.mean() == pytest.approx(0.04, abs=0.03)

    def test_three_hundred_records_are_enough_to_learn_from(self, tmp_path: Path) -> None:
        small = train(config_of(), records(300, leaking=0.2), tmp_path / "artifact")
        assert small.predictor.artifact.read_json("model.json")["labelled"]
        assert small.metrics["pr_auc_score"] > 0.6

    def test_the_test_rows_are_never_looked_at(self, tmp_path: Path) -> None:
        split = split_frame(records(600), config_of())
        spoiled = replace(split, test=records(50, seed=99))
        for name, parts in (("one", split), ("two", spoiled)):
            recipe.fit(parts, config_of(), Draft(tmp_path / name))
        for path in (tmp_path / "one").iterdir():
            assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()

    def test_a_very_large_table_is_judged_on_one_fold(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(revenue_trees, "ONE_FOLD_ROWS", 500)
        large = train(config_of(), records(1500), tmp_path / "artifact")
        assert np.isfinite(large.predictor.artifact.read_json("model.json")["scale"])
        assert large.metrics["pr_auc_score"] > 0.9

    def test_only_the_amount_is_needed(self, tmp_path: Path) -> None:
        config = config_of(roles={"billed": "billed_amount"})
        bare = train(config, records(600), tmp_path / "artifact")
        outputs = bare.row_predictor.score(bare.split.test.columns)
        assert all(np.isfinite(values).all() for values in outputs.values())

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"leafs": 3}, "Did you mean 'leaves'"),
            ({"leaves": 2.5}, "2.5 is not allowed: Input should be a valid integer"),
            ({"leaves": True}, "True is not allowed: Input should be a valid integer"),
            ({"sides": "left"}, "should be 'under' or 'both'"),
            ({"leak_share": 0.9}, "should be less than 0.5"),
        ],
    )
    def test_a_wrong_option_is_refused(
        self, tmp_path: Path, options: dict[str, object], said: str
    ) -> None:
        config = config_of(training={"options": options})
        with pytest.raises(ConfigError, match=said):
            recipe.fit(split_frame(records(300), config_of()), config, Draft(tmp_path / "a"))


class TestLearnChain:
    def test_a_row_has_no_vote_in_its_own_standing(self) -> None:
        draw = np.random.default_rng(2)
        values, codes = draw.standard_normal(60), {"item": np.repeat(np.arange(6.0), 10)}
        _, before = learn_chain(values, codes=codes, levels=[("item",)])
        moved = values.copy()
        moved[7] += 0.5
        chain, after = learn_chain(moved, codes=codes, levels=[("item",)])
        # The shared spreads move a little; its own median must not.
        assert after.center[7] == pytest.approx(before.center[7], abs=0.05)
        assert chain.look_up(codes, rows=60).count.tolist() == [10.0] * 60

    def test_the_median_without_a_row_is_the_median_of_the_others(self) -> None:
        draw = np.random.default_rng(3)
        centers = np.array([0.0, 50.0, 100.0, 150.0])
        item = np.repeat(np.arange(4), 9)
        values = centers[item] + draw.standard_normal(36)
        _, standing = learn_chain(values, codes={"item": item.astype(float)}, levels=[("item",)])
        for row in range(36):
            others = (item == item[row]) & (np.arange(36) != row)
            assert standing.center[row] == pytest.approx(np.median(values[others]), abs=0.02)

    def test_one_leak_moves_no_center(self) -> None:
        values = np.concatenate((np.zeros(9), [-5.0], np.full(10, 3.0), np.full(10, -3.0)))
        codes = {"item": np.repeat(np.arange(3.0), 10)}
        chain, _ = learn_chain(values, codes=codes, levels=[("item",)])
        assert abs(chain.look_up(codes, rows=30).center[0]) < 0.01

    def test_a_category_that_is_always_null_has_no_peers(self) -> None:
        codes = {"item": np.full(30, np.nan)}
        chain, standing = learn_chain(np.arange(30.0), codes=codes, levels=[("item",)])
        assert standing.count.tolist() == [0.0] * 30
        assert chain.look_up({"item": np.array([0.0])}, rows=1).count.tolist() == [0.0]


class TestFitSum:
    def test_it_recovers_a_known_sum(self) -> None:
        draw = np.random.default_rng(4)
        terms = draw.standard_normal((6000, 3))
        chance = 1 / (1 + np.exp(-(terms @ np.array([1.5, -1.0, 0.0]) - 1.0)))
        target = (draw.random(6000) < chance).astype(np.float64)
        folds = assign_folds(target, count=5, seed=1)
        fitted, margin = fit_sum(terms, target=target, folds=folds)
        assert np.allclose(fitted.weights, [1.5, -1.0, 0.0], atol=0.15)
        assert fit_line(margin, target=target, folds=folds)[0] == pytest.approx(1.0, abs=0.1)

    def test_overconfident_log_odds_are_drawn_in(self) -> None:
        draw = np.random.default_rng(5)
        honest = draw.standard_normal(4000)
        target = (draw.random(4000) < 1 / (1 + np.exp(-honest))).astype(np.float64)
        folds = assign_folds(target, count=5, seed=1)
        scale, offset = fit_line(4 * honest, target=target, folds=folds)
        assert scale == pytest.approx(0.25, abs=0.04)
        assert offset == pytest.approx(0.0, abs=0.1)


class TestEvaluate:
    def test_measures_are_those_of_the_definitions(self) -> None:
        score, target = np.array([0.9, 0.8, 0.7, 0.1]), np.array([1.0, 0.0, 1.0, 0.0])
        assert average_precision(score, target) == pytest.approx((1 + 2 / 3) / 2)
        assert captured(score, np.array([6.0, 3.0, 1.0, 0.0]), share=0.5) == pytest.approx(0.9)

    def test_ties_are_not_rewarded(self) -> None:
        assert average_precision(np.zeros(4), np.array([1.0, 0, 0, 0])) == pytest.approx(0.25)

    def test_unlabelled_rows_measure_nothing(self, fitted: Fitted) -> None:
        blind = replace(fitted.split.test, target=np.full(len(fitted.split.test), np.nan))
        metrics = recipe.evaluate(fitted.outputs, blind)
        assert set(metrics) == set(METRICS)
        assert all(np.isnan(value) for value in metrics.values())
        assert recipe.losses(fitted.outputs, blind).size == 0

    def test_there_is_a_loss_for_each_audited_row(self, fitted: Fitted) -> None:
        losses = recipe.losses(fitted.outputs, fitted.split.test)
        assert losses.shape == (len(fitted.split.test),)
        assert losses.mean() == pytest.approx(fitted.metrics["log_loss_error"])


class TestFigures:
    def test_each_picture_has_a_title_and_axes(self, fitted: Fitted, tmp_path: Path) -> None:
        drawn = dict(recipe.figures(fitted.outputs, fitted.split.test, fitted.predictor.artifact))
        assert set(drawn) == {"precision_recall", "value_captured", "calibration", "importance"}
        for name, figure in drawn.items():
            assert figure.axes[0].get_title(loc="left"), name
            figure.savefig(tmp_path / f"{name}.png")

    def test_without_labels_only_the_reasons_are_drawn(self, fitted: Fitted) -> None:
        test = fitted.split.test
        blind = replace(test, target=np.full(len(test), np.nan), amount=None)
        drawn = dict(recipe.figures(fitted.outputs, blind, fitted.predictor.artifact))
        assert set(drawn) == {"importance"}


def test_the_firm_of_the_tests_names_only_known_roles() -> None:
    from bentos.revenue_leak.bill import ROLES

    assert set(CONTENT["roles"]) <= {name.removesuffix("?") for name in ROLES}
