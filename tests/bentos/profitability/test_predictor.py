import numpy as np
import pytest

from bentos.profitability.predictor import ProfitabilityPredictor
from core.artifact import open_artifact
from core.errors import ConfigError
from tests.shop import config_of, lines, rows_of, train
from training.fitting import Fitted

ROLES = {
    "list price": config_of().roles,
    "revenue alone": {"revenue": "sales"},
    "planned cost": {"revenue": "sales", "cost": "weight"},
    "none": {},
}


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return train(config_of(), lines(900))


@pytest.fixture(scope="module")
def predictor(fitted: Fitted) -> ProfitabilityPredictor:
    return ProfitabilityPredictor(open_artifact(fitted.predictor.artifact.folder))


class TestScore:
    def test_a_batch_gives_the_very_bits_of_single_rows(
        self, fitted: Fitted, predictor: ProfitabilityPredictor
    ) -> None:
        test = fitted.split.test
        batch = predictor.score(test.columns)
        for row in range(0, len(test), 7):
            single = predictor.score(test.take(np.array([row])).columns)
            for name, values in batch.items():
                assert single[name].tobytes() == values[row : row + 1].tobytes(), name

    def test_the_inputs_stay_as_they_were(
        self, fitted: Fitted, predictor: ProfitabilityPredictor
    ) -> None:
        columns = fitted.split.test.columns
        before = {name: values.copy() for name, values in columns.items()}
        predictor.score(columns)
        predictor.drivers(columns)
        for name, values in before.items():
            np.testing.assert_array_equal(values, columns[name])

    def test_the_interval_holds_the_prediction(
        self, fitted: Fitted, predictor: ProfitabilityPredictor
    ) -> None:
        outputs = predictor.score(fitted.split.test.columns)
        assert (outputs["low_amount"] <= outputs["profit_amount"]).all()
        assert (outputs["high_amount"] >= outputs["profit_amount"]).all()
        assert (outputs["level"] == 0.9).all()

    def test_the_margin_is_the_profit_over_the_revenue(
        self, fitted: Fitted, predictor: ProfitabilityPredictor
    ) -> None:
        columns = fitted.split.test.columns
        outputs = predictor.score(columns)
        expected = outputs["profit_amount"] / columns["sales"]
        np.testing.assert_allclose(outputs["margin_ratio"], expected)


class TestPredict:
    def test_an_unseen_item_is_answered_and_flagged(
        self, fitted: Fitted, predictor: ProfitabilityPredictor
    ) -> None:
        row = {**rows_of(fitted.split.test, 1)[0], "item": "never sold"}
        answer = predictor.predict([row])[0]
        assert np.isfinite(answer["result"]["profit_amount"])
        assert {"feature": "item", "flag": "level_not_seen", "seen": None} in answer["flags"]

    def test_an_unseen_item_gets_the_wider_interval(self) -> None:
        frame = lines(1500, noise=0.005)
        trained = train(config_of(), frame)
        row = rows_of(trained.split.test, 1)[0]
        known, unknown = trained.predictor.predict([row, {**row, "item": "never sold"}])

        def width(answer: dict[str, dict[str, float]]) -> float:
            return answer["result"]["high_amount"] - answer["result"]["low_amount"]

        assert width(unknown) > 2 * width(known)

    def test_no_revenue_means_no_margin(
        self, fitted: Fitted, predictor: ProfitabilityPredictor
    ) -> None:
        row = {**rows_of(fitted.split.test, 1)[0], "sales": 0.0}
        result = predictor.predict([row])[0]["result"]
        assert result["margin_ratio"] is None
        assert np.isfinite(list(filter(None, result.values()))).all()

    def test_a_null_is_answered(self, fitted: Fitted, predictor: ProfitabilityPredictor) -> None:
        row = {**rows_of(fitted.split.test, 1)[0], "weight": None, "units": None, "item": None}
        assert np.isfinite(predictor.predict([row])[0]["result"]["profit_amount"])

    def test_results_keep_to_their_type(
        self, fitted: Fitted, predictor: ProfitabilityPredictor
    ) -> None:
        for answer in predictor.predict(rows_of(fitted.split.test, 20)):
            predictor.RESULT.model_validate(answer["result"])


class TestDrivers:
    @pytest.mark.parametrize("roles", list(ROLES.values()), ids=list(ROLES))
    def test_reasons_add_up_to_the_amount_whatever_the_roles(self, roles: dict[str, str]) -> None:
        trained = train(config_of(roles=roles), lines(500))
        columns = trained.split.test.columns
        amounts = trained.row_predictor.score(columns)["profit_amount"]
        drivers = trained.row_predictor.drivers(columns)
        total = drivers.base + drivers.contributions.sum(axis=1)
        np.testing.assert_allclose(total, amounts, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(drivers.total, amounts)
        assert drivers.names == tuple(trained.predictor.config.features)

    def test_the_base_is_the_mean_profit_of_training(
        self, fitted: Fitted, predictor: ProfitabilityPredictor
    ) -> None:
        drivers = predictor.drivers(fitted.split.test.columns)
        known = np.concatenate([fitted.split.train.target, fitted.split.calibration.target])
        assert drivers.base == pytest.approx(known.mean())

    def test_a_discount_is_named_as_the_cost_it_is(
        self, fitted: Fitted, predictor: ProfitabilityPredictor
    ) -> None:
        columns = fitted.split.test.columns
        drivers = predictor.drivers(columns)
        part = drivers.contributions[:, drivers.names.index("discount")]
        assert part[columns["discount"] > 0.2].mean() < -1.0


def test_an_unknown_role_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'revenue'"):
        train(config_of(roles={"revenu": "sales"}), lines(200))
