from typing import Any

import numpy as np
import pytest

from bentos.pricing.predictor import PricingPredictor
from bentos.pricing.task import PriceLimits
from core.artifact import open_artifact
from core.contract import Contract
from core.errors import AnswerRefused, ConfigError, RowInvalid
from tests.offers import config_of, offers, rows_of, sales, train, volume_config
from training.fitting import Fitted


@pytest.fixture(scope="module", params=["win", "volume"])
def fitted(request: pytest.FixtureRequest) -> Fitted:
    if request.param == "win":
        return train(config_of(), offers(1200))
    return train(volume_config(), sales(1200))


@pytest.fixture(scope="module")
def predictor(fitted: Fitted) -> PricingPredictor:
    return PricingPredictor(open_artifact(fitted.predictor.artifact.folder))


class TestPredict:
    def test_a_batch_gives_the_very_answers_of_single_rows(
        self, fitted: Fitted, predictor: PricingPredictor
    ) -> None:
        rows = rows_of(fitted.split.test, 60)
        for i, row in enumerate(rows):
            row["objective"] = ("profit", "revenue")[i % 2]
            row["with_curve"] = i % 3 == 0
        together = predictor.predict(rows, explain=True)
        for i in range(0, 60, 7):
            assert predictor.predict([rows[i]], explain=True) == [together[i]]

    def test_results_keep_to_their_type(self, fitted: Fitted, predictor: PricingPredictor) -> None:
        for row in rows_of(fitted.split.test, 20):
            [answer] = predictor.predict([row | {"with_curve": True}])
            predictor.RESULT.model_validate(answer["result"])
            assert len(answer["result"]["curve"]) > 20

    def test_profit_is_the_highest_of_the_objectives(
        self, fitted: Fitted, predictor: PricingPredictor
    ) -> None:
        for row in rows_of(fitted.split.test, 20):
            asked = [row | {"objective": "profit"}, row | {"objective": "revenue"},
                     row | {"objective": "volume", "margin_floor_ratio": 0.1}]  # fmt: skip
            profit, revenue, volume = (a["result"] for a in predictor.predict(asked))
            assert profit["profit_amount"] >= revenue["profit_amount"] - 1e-9
            assert revenue["revenue_amount"] >= profit["revenue_amount"] - 1e-9
            assert volume["recommended_price_amount"] <= profit["recommended_price_amount"]
            assert volume["binding_limit"] in {"margin_floor_ratio", "history"}

    def test_no_price_breaks_a_limit(self, fitted: Fitted, predictor: PricingPredictor) -> None:
        limits = PriceLimits(largest_change_ratio=0.03, least_margin_ratio=0.05)
        for row in rows_of(fitted.split.test, 40):
            if row["price"] * 1.03 * 0.95 < row["cost"]:
                continue
            row["limits"] = limits
            try:
                predictor.check(row)
            except AnswerRefused:
                continue
            price = predictor.predict([row])[0]["result"]["recommended_price_amount"]
            assert abs(price / row["price"] - 1) <= 0.03 + 1e-9
            assert (price - row["cost"]) / price >= 0.05 - 1e-9

    def test_the_uplift_is_the_difference_of_the_profits(
        self, fitted: Fitted, predictor: PricingPredictor
    ) -> None:
        for answer in predictor.predict(rows_of(fitted.split.test, 20)):
            result = answer["result"]
            gained = result["profit_amount"] - result["current_profit_amount"]
            assert result["profit_uplift_amount"] == pytest.approx(gained)
            assert result["profit_uplift_low_amount"] <= gained <= (
                result["profit_uplift_high_amount"]
            )  # fmt: skip

    def test_unseen_kinds_and_nulls_are_answered_and_flagged(
        self, fitted: Fitted, predictor: PricingPredictor
    ) -> None:
        row = rows_of(fitted.split.test, 1)[0] | {"kind": "never seen", "rivals": None}
        [answer] = predictor.predict([row])
        assert {"feature": "kind", "flag": "level_not_seen", "seen": None} in answer["flags"]
        assert answer["result"]["recommended_price_amount"] > 0

    def test_the_inputs_stay_as_they_were(
        self, fitted: Fitted, predictor: PricingPredictor
    ) -> None:
        columns = fitted.split.test.columns
        before = {name: values.copy() for name, values in columns.items()}
        predictor.score(columns)
        predictor.drivers(columns)
        for name, values in before.items():
            np.testing.assert_array_equal(values, columns[name])


class TestDrivers:
    def test_reasons_add_up_to_the_response_at_the_current_price(
        self, fitted: Fitted, predictor: PricingPredictor
    ) -> None:
        columns = fitted.split.test.columns
        drivers = predictor.drivers(columns)
        total = drivers.base + drivers.contributions.sum(axis=1)
        np.testing.assert_allclose(total, drivers.total, rtol=0, atol=1e-9)
        np.testing.assert_allclose(drivers.total, fitted.outputs["eta"], atol=1e-9)

    def test_a_higher_price_lowers_its_own_reason(
        self, fitted: Fitted, predictor: PricingPredictor
    ) -> None:
        row = rows_of(fitted.split.test, 1)[0]
        parts = []
        for factor in (1.0, 1.1):
            [answer] = predictor.predict([row | {"price": row["price"] * factor}], explain=True)
            named = {d["feature"]: d["contribution"] for d in answer["drivers"]["contributions"]}
            parts.append(named["price"])
        assert parts[1] < parts[0]


class TestCheck:
    def test_a_price_of_zero_is_refused(self, fitted: Fitted, predictor: PricingPredictor) -> None:
        row = rows_of(fitted.split.test, 1)[0] | {"price": 0.0}
        with pytest.raises(RowInvalid, match=r"price: is 0\.0; a number above 0 is allowed"):
            predictor.check(row)

    def test_a_cost_above_the_highest_price_names_the_pair(
        self, fitted: Fitted, predictor: PricingPredictor
    ) -> None:
        row = rows_of(fitted.split.test, 1)[0]
        row["limits"] = PriceLimits(highest_price=row["cost"] / 2)
        with pytest.raises(RowInvalid, match=r"limits.highest_price: .* and cost only from"):
            predictor.check(row)

    def test_prices_far_from_history_are_refused_with_the_reason(
        self, fitted: Fitted, predictor: PricingPredictor
    ) -> None:
        row = rows_of(fitted.split.test, 1)[0]
        row["limits"] = PriceLimits(lowest_price=row["price"] * 50)
        with pytest.raises(AnswerRefused, match="history holds prices from"):
            predictor.check(row)

    def test_the_contracts_own_example_is_answered(self, predictor: PricingPredictor) -> None:
        contract = Contract(predictor.config, predictor.TASKS)
        row: dict[str, Any] = contract.parse_row(contract.example())
        predictor.check(row)
        assert predictor.predict([row])[0]["result"]["recommended_price_amount"] > 0


def test_a_price_that_may_be_null_is_refused_in_the_config() -> None:
    features = config_of().model_dump()["features"]
    features["price"]["nullable"] = True
    with pytest.raises(ConfigError, match="the price 'price' must be a number"):
        train(config_of(features=features), offers(200))


def test_an_experiment_that_requests_would_have_is_refused_in_the_config() -> None:
    features = config_of().model_dump()["features"]
    features["by_chance"]["history_only"] = False
    with pytest.raises(ConfigError, match="set history_only: true"):
        train(config_of(features=features), offers(200))
