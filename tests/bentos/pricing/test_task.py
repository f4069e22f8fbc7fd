from typing import Any

import pytest

from bentos.pricing.task import PricingTask
from core.contract import Contract
from core.errors import RowInvalid
from tests.offers import config_of

ROW = {"kind": "kind-0", "rivals": 1, "cost": 100.0, "price": 140.0}


def refusal(**asked: Any) -> str:
    with pytest.raises(RowInvalid) as caught:
        Contract(config_of(), (PricingTask,)).parse_row(ROW | asked)
    return caught.value.detail


def test_a_row_without_a_task_asks_for_profit_without_limits() -> None:
    row = Contract(config_of(), (PricingTask,)).parse_row(ROW)
    assert row["objective"] == "profit"
    assert row["limits"].lowest_price is None
    assert row["with_curve"] is False


def test_the_example_is_accepted() -> None:
    contract = Contract(config_of(), (PricingTask,))
    assert contract.parse_row(contract.example())["limits"].least_margin_ratio == 0.1


def test_lowest_above_highest_names_the_pair() -> None:
    said = refusal(limits={"lowest_price": 200.0, "highest_price": 150.0})
    assert "limits.lowest_price" in said
    assert "is 200, above limits.highest_price, which is 150" in said


def test_volume_needs_its_margin_floor() -> None:
    said = refusal(objective="volume")
    assert said.startswith("margin_floor_ratio: is null, and the objective volume needs it")


def test_a_margin_floor_goes_with_volume_alone() -> None:
    assert "goes with the objective volume" in refusal(margin_floor_ratio=0.2)


@pytest.mark.parametrize(
    ("limits", "path"),
    [
        ({"lowest_price": 0}, "limits.lowest_price"),
        ({"least_margin_ratio": 1.0}, "limits.least_margin_ratio"),
        ({"largest_change_ratio": -0.1}, "limits.largest_change_ratio"),
        ({"lowst_price": 3.0}, "limits.lowst_price"),
    ],
)
def test_a_wrong_limit_is_named_by_its_path(limits: dict[str, float], path: str) -> None:
    assert path in refusal(limits=limits)


def test_an_unknown_objective_is_refused() -> None:
    assert "objective" in refusal(objective="margin")
