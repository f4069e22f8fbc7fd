from typing import Any

import pytest

from bentos.budget.task import BudgetTask
from core.contract import Contract, Row
from core.errors import RowInvalid
from tests.campaigns import config_of


def parse(**asked: Any) -> Row:
    contract = Contract(config_of(), (BudgetTask,))
    return contract.parse_row({"total_amount": 100.0, "period_weeks": 4} | asked)


def fault(**asked: Any) -> str:
    with pytest.raises(RowInvalid) as caught:
        parse(**asked)
    return caught.value.detail


def test_a_total_and_a_period_are_enough() -> None:
    row = parse()
    assert (row["objective"], row["with_curves"], row["channels"]) == ("return", False, None)


def test_the_example_is_accepted() -> None:
    contract = Contract(config_of(), (BudgetTask,))
    assert contract.parse_row(contract.example())["period_weeks"] == 13


def test_no_feature_of_the_history_is_asked_for() -> None:
    assert "tv: is not a field of this model" in fault(tv=3.0)


def test_a_period_of_no_weeks_is_refused() -> None:
    said = fault(period_weeks=0)
    assert "period_weeks: is the number 0" in said
    assert "greater than or equal to 1" in said


def test_a_total_of_nothing_is_refused() -> None:
    assert "total_amount" in fault(total_amount=0.0)


def test_least_above_most_is_refused() -> None:
    said = fault(channels={"tv": {"least_amount": 60.0, "most_amount": 50.0}})
    assert "channels.tv.least_amount: is 60, above most_amount 50" in said


@pytest.mark.parametrize("limits", [{"most_amount": 10.0}, {"least_amount": 30.0}])
def test_a_fixed_amount_outside_of_its_limits_is_refused(limits: dict[str, float]) -> None:
    said = fault(channels={"tv": {"fixed_amount": 20.0, **limits}})
    assert "channels.tv.fixed_amount: is 20, outside of its own limits" in said


def test_a_negative_amount_names_its_place() -> None:
    assert "channels.tv.least_amount" in fault(channels={"tv": {"least_amount": -1.0}})


def test_the_least_return_needs_its_objective() -> None:
    said = fault(least_return_ratio=2.0)
    assert "least_return_ratio: does not go with the objective return" in said


def test_the_objective_needs_the_least_return() -> None:
    assert "least_return_ratio: is missing" in fault(objective="revenue_at_least_return")


def test_every_conflict_is_named() -> None:
    limits = {name: {"least_amount": 2.0, "most_amount": 1.0} for name in ("tv", "radio")}
    with pytest.raises(RowInvalid) as caught:
        parse(channels=limits)
    named = [problem.field for problem in caught.value.problems]
    assert named == ["channels.tv.least_amount", "channels.radio.least_amount"]
