"""What a task asks beside the features: nested fields, conflicts, and more than one shape."""

from typing import Any, ClassVar, Self

import pytest
from pydantic import Field, model_validator

from core.config import ModelConfig
from core.contract import Contract
from core.errors import ConfigError, FieldProblem, RowInvalid
from core.task import Conflict, Part, Task, Time
from tests.tiny import CONTENT


class Bounds(Part):
    lowest_price: float | None = Field(default=None, gt=0, description="Least price, in money.")
    highest_price: float | None = Field(default=None, gt=0, description="Largest price.")

    @model_validator(mode="after")
    def _fit(self) -> Self:
        low, high = self.lowest_price, self.highest_price
        if low is not None and high is not None and low > high:
            raise Conflict(
                [FieldProblem("limits.lowest_price", f"is {low:g}", f"at most {high:g} is allowed")]
            )
        return self


class PriceTask(Task):
    EXAMPLE: ClassVar[dict[str, Any]] = {"limits": {"lowest_price": 1.0}}

    limits: Bounds | None = Field(default=None, description="Limits of the price.")


class Point(Part):
    time: Time = Field(description="When.")
    value: float = Field(description="What was measured.")


class PointsTask(Task):
    ASKS_FEATURES: ClassVar[bool] = False
    MARK: ClassVar[str | None] = "points"

    points: list[Point] = Field(min_length=2, description="The window.")


def config_of(**changes: Any) -> ModelConfig:
    return ModelConfig.model_validate({**CONTENT, **changes})


PRICES = Contract(config_of(), (PriceTask,))
BOTH = Contract(config_of(), (PointsTask,))


def faults(contract: Contract, row: object) -> dict[str, tuple[str, str]]:
    with pytest.raises(RowInvalid) as caught:
        contract.parse_row(row)
    return {p.field: (p.problem, p.allowed) for p in caught.value.problems}


def test_a_task_stands_beside_the_features() -> None:
    row = PRICES.parse_row(PRICES.example())
    assert row["limits"].lowest_price == 1.0
    assert row["tenure_months"] == 12


def test_a_fault_in_a_part_names_the_path_and_what_it_means() -> None:
    row = PRICES.example() | {"limits": {"lowest_price": 0, "highest_prize": 3}}
    found = faults(PRICES, row)
    assert found["limits.lowest_price"][0] == "is the number 0"
    assert "greater than 0 (Least price, in money.)" in found["limits.lowest_price"][1]
    assert found["limits.highest_prize"][1] == "did you mean 'highest_price'?"


def test_a_conflict_tells_both_sides_in_the_words_of_the_task() -> None:
    row = PRICES.example() | {"limits": {"lowest_price": 5, "highest_price": 3}}
    assert faults(PRICES, row) == {"limits.lowest_price": ("is 5", "at most 3 is allowed")}


def test_a_mark_chooses_the_other_shape_which_asks_for_no_features() -> None:
    times = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]
    row = BOTH.parse_row({"points": [{"time": t, "value": 1} for t in times]})
    assert len(row["points"]) == 2
    assert "tenure_months" not in row
    assert BOTH.parse_row(BOTH.example())["tenure_months"] == 12


@pytest.mark.parametrize("time", [1767225600, "2026-01-01", "yesterday", None])
def test_a_time_of_a_point_needs_its_zone(time: object) -> None:
    found = faults(BOTH, {"points": [{"time": time, "value": 1}] * 2})
    assert "a time with its zone is allowed" in found["points.0.time"][1]


def test_what_only_history_has_is_not_asked_for() -> None:
    tenure = CONTENT["features"]["tenure_months"] | {"history_only": True}
    contract = Contract(config_of(features=CONTENT["features"] | {"tenure_months": tenure}))
    assert "tenure_months" not in contract.example()
    assert "tenure_months" in contract.template_csv()
    assert (
        "is not a field"
        in faults(contract, contract.example() | {"tenure_months": 3})["tenure_months"][0]
    )


def test_a_feature_may_not_bear_the_name_of_a_tasks_field() -> None:
    features = CONTENT["features"] | {"limits": CONTENT["features"]["hours"]}
    with pytest.raises(ConfigError, match="takes the field 'limits' itself"):
        Contract(config_of(features=features), (PriceTask,))


@pytest.mark.parametrize("text", ["0.5", "1700000000", "-1700000000", "20260131", "1e9", ""])
def test_a_text_of_digits_is_no_time(text: str) -> None:
    contract = Contract(config_of())
    with pytest.raises(RowInvalid, match="not a time with its zone"):
        contract.parse_row(contract.example() | {"as_of": text})
