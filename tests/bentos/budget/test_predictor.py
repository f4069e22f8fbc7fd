import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bentos.budget.predictor import BudgetPredictor
from core.contract import Contract
from core.errors import ConfigError, RowInvalid
from tests.campaigns import config_of, release, responses


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> BudgetPredictor:
    folder = tmp_path_factory.mktemp("release") / "artifact"
    return release(folder, responses(shape=1.3), reasons=(None, None, "it never moved"))


def row_of(predictor: BudgetPredictor, **asked: Any) -> dict[str, Any]:
    contract = Contract(predictor.config, predictor.TASKS)
    row = contract.parse_row({"total_amount": 520.0, "period_weeks": 13} | asked)
    predictor.check(row)
    return row


def ask(predictor: BudgetPredictor, **asked: Any) -> dict[str, Any]:
    [answer] = predictor.predict([row_of(predictor, **asked)])
    predictor.RESULT.model_validate(answer["result"])
    result: dict[str, Any] = answer["result"]
    return result


def fault(predictor: BudgetPredictor, **asked: Any) -> str:
    with pytest.raises(RowInvalid) as caught:
        row_of(predictor, **asked)
    return caught.value.detail


def amounts(result: dict[str, Any]) -> dict[str, float]:
    return {c["channel"]: c["amount"] for c in result["channels"]}


class TestSplit:
    def test_the_sum_is_the_total(self, predictor: BudgetPredictor) -> None:
        for total in (0.07, 1.1, 520.0, 1234.56, 1e7):
            result = ask(predictor, total_amount=total)
            assert math.fsum(amounts(result).values()) == total == result["total_amount"]

    def test_limits_hold_and_are_named(self, predictor: BudgetPredictor) -> None:
        limits = {"tv": {"most_amount": 33.33}, "radio": {"fixed_amount": 77.7}}
        result = ask(predictor, channels=limits)
        found = amounts(result)
        assert (found["tv"], found["radio"]) == (33.33, 77.7)
        assert math.fsum(found.values()) == 520.0
        assert [c["binding"] for c in result["channels"]] == ["most", None, "fixed"]

    def test_a_least_amount_holds(self, predictor: BudgetPredictor) -> None:
        result = ask(predictor, channels={"radio": {"least_amount": 300.0}})
        assert amounts(result)["radio"] == 300.0
        assert result["channels"][2]["binding"] == "least"

    def test_the_split_is_no_worse_than_today(self, predictor: BudgetPredictor) -> None:
        result = ask(predictor)
        assert result["uplift_amount"] > 0
        assert (
            result["uplift_low_amount"] <= result["uplift_amount"] <= result["uplift_high_amount"]
        )
        assert result["optimality_gap_ratio"] < 1e-3

    def test_the_best_split_has_no_uplift_over_itself(self, predictor: BudgetPredictor) -> None:
        best = amounts(ask(predictor))
        assert ask(predictor, current_split=best)["uplift_amount"] == pytest.approx(0, abs=1e-6)

    def test_uplift_is_over_the_same_total(self, predictor: BudgetPredictor) -> None:
        result = ask(predictor, total_amount=100.0)
        assert result["uplift_amount"] > 0
        assert any("proportions of the same total" in note for note in result["notes"])

    def test_a_channel_without_today_spends_nothing_today(self, predictor: BudgetPredictor) -> None:
        result = ask(predictor, current_split={"tv": 520.0})
        assert [c["current_amount"] for c in result["channels"]] == pytest.approx([520, 0, 0])

    def test_a_longer_period_at_the_same_pace_brings_as_much_a_week(
        self, predictor: BudgetPredictor
    ) -> None:
        once, twice = ask(predictor), ask(predictor, total_amount=1040.0, period_weeks=26)
        assert twice["expected_return_amount"] == pytest.approx(2 * once["expected_return_amount"])

    def test_more_money_brings_no_less(self, predictor: BudgetPredictor) -> None:
        brought = [
            ask(predictor, total_amount=t)["expected_return_amount"]
            for t in (10.0, 100.0, 1e3, 1e5)
        ]
        assert brought == sorted(brought)


class TestLeastReturn:
    def test_no_more_is_spent_than_brings_it_back(self, predictor: BudgetPredictor) -> None:
        result = ask(
            predictor, total_amount=5000.0, objective="revenue_at_least_return",
            least_return_ratio=4.0,
        )  # fmt: skip
        assert result["total_amount"] < 5000
        ratio = result["expected_return_amount"] / result["total_amount"]
        assert ratio == pytest.approx(4.0, rel=1e-3)
        assert any("of the total are not spent" in note for note in result["notes"])

    def test_a_return_that_is_easy_spends_all(self, predictor: BudgetPredictor) -> None:
        result = ask(predictor, objective="revenue_at_least_return", least_return_ratio=0.5)
        assert result["total_amount"] == 520.0

    def test_a_return_beyond_reach_is_refused(self, predictor: BudgetPredictor) -> None:
        said = fault(
            predictor, objective="revenue_at_least_return", least_return_ratio=500.0,
            channels={"tv": {"least_amount": 100.0}},
        )  # fmt: skip
        assert "least_return_ratio: is 500, which no split within the limits brings" in said


class TestAnswer:
    def test_a_batch_gives_the_very_answers_of_single_rows(
        self, predictor: BudgetPredictor
    ) -> None:
        rows = [
            row_of(predictor, total_amount=50.0 * (i + 1), with_curves=i == 1) for i in range(4)
        ]
        together = predictor.predict(rows, explain=True)
        assert together == [predictor.predict([row], explain=True)[0] for row in rows]

    def test_drivers_sum_to_the_expected_return(self, predictor: BudgetPredictor) -> None:
        [answer] = predictor.predict([row_of(predictor)], explain=True)
        drivers = answer["drivers"]
        parts = sum(part["contribution"] for part in drivers["contributions"])
        assert drivers["base"] + parts == pytest.approx(drivers["total"], abs=1e-9)
        assert drivers["total"] == pytest.approx(answer["result"]["expected_return_amount"])
        assert drivers["scale"] == "amount"

    def test_curves_rise_within_their_intervals(self, predictor: BudgetPredictor) -> None:
        result = ask(predictor, with_curves=True)
        assert [curve["channel"] for curve in result["curves"]] == ["tv", "search", "radio"]
        for curve in result["curves"]:
            means = [point["expected_return_amount"] for point in curve["points"]]
            assert means == sorted(means)
            assert means[0] == 0
            for point in curve["points"]:
                assert point["low_amount"] <= point["high_amount"]

    def test_a_channel_that_is_not_identified_is_said(self, predictor: BudgetPredictor) -> None:
        result = ask(predictor)
        assert [c["is_identified"] for c in result["channels"]] == [True, True, False]
        assert result["channels"][2]["reason"] == "it never moved"
        assert any("does not tell what radio does" in note for note in result["notes"])

    def test_spend_beyond_what_was_seen_is_said(self, predictor: BudgetPredictor) -> None:
        result = ask(
            predictor, channels={"radio": {"fixed_amount": 13 * 51.0}}, total_amount=1000.0
        )
        assert any("radio would get more a week than it ever did" in n for n in result["notes"])

    def test_intervals_hold_the_mean(self, predictor: BudgetPredictor) -> None:
        for channel in ask(predictor)["channels"]:
            assert (
                channel["low_amount"] <= channel["expected_return_amount"] <= channel["high_amount"]
            )

    def test_no_rows_have_no_answers(self, predictor: BudgetPredictor) -> None:
        assert predictor.predict([]) == []


class TestRefused:
    def test_an_unknown_channel_names_the_nearest(self, predictor: BudgetPredictor) -> None:
        said = fault(predictor, channels={"serch": {"least_amount": 1.0}})
        assert "channels.serch: is not a channel of this model" in said
        assert "search" in said

    def test_an_unknown_channel_of_today_is_named(self, predictor: BudgetPredictor) -> None:
        assert "current_split.posters: is not a channel" in fault(
            predictor, current_split={"posters": 1.0}
        )

    def test_a_total_under_the_least_amounts_says_their_sum(
        self, predictor: BudgetPredictor
    ) -> None:
        limits = {"tv": {"least_amount": 400.0}, "radio": {"fixed_amount": 200.0}}
        said = fault(predictor, channels=limits)
        assert "total_amount: is 520, less than the least amounts need together" in said
        assert "least and fixed amounts sum to 600" in said

    def test_a_total_above_the_most_amounts_says_their_sum(
        self, predictor: BudgetPredictor
    ) -> None:
        limits = {name: {"most_amount": 100.0} for name in ("tv", "search", "radio")}
        said = fault(predictor, channels=limits)
        assert "more than the channels may take together" in said
        assert "most and fixed amounts sum to 300" in said

    def test_fixed_amounts_of_all_channels_may_fill_the_total(
        self, predictor: BudgetPredictor
    ) -> None:
        limits = {"tv": 100.1, "search": 200.2, "radio": 0.3}
        result = ask(
            predictor, total_amount=300.6,
            channels={name: {"fixed_amount": amount} for name, amount in limits.items()},
        )  # fmt: skip
        assert amounts(result) == limits

    def test_a_role_that_is_unknown_is_named(self) -> None:
        from bentos.predictor import check_roles

        config = config_of(roles={"chanels": ["tv", "search"]})
        with pytest.raises(ConfigError, match="chanels"):
            check_roles(config, BudgetPredictor.ROLES)


def test_form_of_the_curves_is_that_of_the_release(tmp_path: Path) -> None:
    tanh = release(tmp_path / "a", responses("tanh"), reasons=(None, None, None))
    assert tanh.responses.form == "tanh"
    assert np.isfinite(ask(tanh)["expected_return_amount"])
