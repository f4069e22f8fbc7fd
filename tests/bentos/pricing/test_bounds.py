from typing import Any

import pytest

from bentos.pricing.bounds import Bounds, Offer, bounds_of
from bentos.pricing.task import PriceLimits, PricingTask
from core.errors import AnswerRefused, RowInvalid

SEEN = (60.0, 240.0)


def bounds(*, price: float = 120.0, cost: float = 80.0, **limits: float) -> Bounds:
    task = PricingTask(limits=PriceLimits(**limits))
    return bounds_of(task, Offer(price, cost, "cost_amount"), SEEN)


def clash(**asked: Any) -> str:
    with pytest.raises(RowInvalid) as caught:
        bounds(**asked)
    return caught.value.detail


def test_without_limits_cost_and_history_bind() -> None:
    assert bounds() == Bounds(80.0, 240.0, "cost", "history")


def test_the_narrowest_limits_bind() -> None:
    found = bounds(lowest_price=90, highest_price=150, largest_change_ratio=0.1)
    assert found.low == pytest.approx(108)
    assert found.high == pytest.approx(132)
    assert (found.low_limit, found.high_limit) == ("largest_change_ratio", "largest_change_ratio")


def test_the_margin_is_of_the_price() -> None:
    found = bounds(least_margin_ratio=0.5)
    assert (found.low, found.low_limit) == (160.0, "least_margin_ratio")


def test_a_negative_margin_allows_prices_below_cost() -> None:
    assert bounds(least_margin_ratio=-0.25).low == pytest.approx(64.0)


def test_a_cost_above_the_highest_price_names_the_pair() -> None:
    said = clash(highest_price=70)
    assert "limits.highest_price: allows prices up to 70, and cost_amount only from 80" in said


def test_a_margin_above_the_highest_price_names_the_pair() -> None:
    said = clash(highest_price=150, least_margin_ratio=0.5)
    assert "limits.highest_price" in said
    assert "limits.least_margin_ratio only from 160" in said


def test_a_lowest_price_beyond_the_largest_change_names_the_pair() -> None:
    said = clash(lowest_price=150, largest_change_ratio=0.1)
    assert "limits.largest_change_ratio: allows prices up to 132" in said
    assert "limits.lowest_price only from 150" in said


def test_a_cost_that_the_largest_change_cannot_reach_names_the_pair() -> None:
    said = clash(price=60, largest_change_ratio=0.1)
    assert "limits.largest_change_ratio" in said
    assert "cost_amount only from 80" in said


def test_volume_is_held_by_its_margin_floor() -> None:
    task = PricingTask(objective="volume", margin_floor_ratio=0.2)
    found = bounds_of(task, Offer(120.0, 80.0, "cost"), SEEN)
    assert (found.low, found.low_limit) == (100.0, "margin_floor_ratio")


def test_a_change_of_nothing_leaves_one_price() -> None:
    found = bounds(largest_change_ratio=0.0)
    assert found.low == found.high == 120.0


@pytest.mark.parametrize("limits", [{"lowest_price": 300.0}, {"highest_price": 59.0}])
def test_prices_that_history_does_not_hold_are_refused_with_the_reason(
    limits: dict[str, float],
) -> None:
    with pytest.raises(AnswerRefused) as caught:
        bounds(cost=10.0, **limits)
    assert "history holds prices from 60 to 240" in caught.value.detail


def test_the_limit_at_which_a_price_lies_is_named() -> None:
    found = Bounds(100.0, 140.0, "cost", "highest_price")
    assert [found.binding(p) for p in (100.0, 120.0, 140.0)] == ["cost", None, "highest_price"]
