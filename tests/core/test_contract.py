import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import ModelConfig
from core.contract import Contract
from core.errors import RowInvalid

CONFIG = ModelConfig.model_validate(
    {
        "model": "churn",
        "title": "Churn",
        "description": "Will the client leave?",
        "source": {"kind": "csv", "path": "x.csv", "columns": {"hours": "Hours Worked"}},
        "entity": "client_id",
        "as_of": "as_of",
        "target": {"column": "churned", "description": "left", "positive": "Yes"},
        "features": {
            "hours": {"type": "number", "unit": "hours", "minimum": 0, "maximum": 100,
                      "description": "hours a week", "example": 12.5},
            "seats": {"type": "integer", "description": "seats", "nullable": True},
            "plan": {"type": "category", "categories": ["monthly", "annual"],
                     "description": "plan"},
            "city": {"type": "category", "description": "city", "nullable": True},
            "late": {"type": "boolean", "description": "paid late"},
        },
        "split": {"rule": "entity", "test_share": 0.2},
        "gate": {"metric": "log_loss_error"},
    }
)  # fmt: skip
CONTRACT = Contract(CONFIG)
GOOD: dict[str, Any] = {"hours": 3, "plan": "annual", "late": True}


def problems(**changes: object) -> dict[str, tuple[str, str]]:
    with pytest.raises(RowInvalid) as caught:
        CONTRACT.parse_row({k: v for k, v in (GOOD | changes).items() if v != "__drop__"})
    return {p.field: (p.problem, p.allowed) for p in caught.value.problems}


class TestParseRow:
    def test_fills_absent_nullable_features_with_null(self) -> None:
        row = CONTRACT.parse_row(GOOD)
        assert row["seats"] is None
        assert row["city"] is None
        assert row["hours"] == 3.0

    def test_accepts_its_own_example(self) -> None:
        assert CONTRACT.parse_row(CONTRACT.example())["hours"] == 12.5

    @pytest.mark.parametrize(
        ("field", "value", "says", "allowed"),
        [
            ("hours", "__drop__", "is missing", "a number from 0 to 100 in hours is allowed"),
            ("hours", None, "is null", "a number from 0 to 100 in hours is allowed"),
            ("hours", "3", "is the text '3'", "a number from 0 to 100"),
            ("hours", True, "is the boolean true", "a number from 0 to 100"),
            ("hours", 100.5, "is the number 100.5", "a number from 0 to 100"),
            ("hours", float("nan"), "is the number nan", "a number from 0 to 100"),
            ("hours", float("inf"), "more digits than a 64-bit float holds", "a number from 0"),
            ("hours", 10**400, "more digits than", "a number from 0"),
            ("hours", [1], "is a list", "a number from 0"),
            ("seats", 1.5, "is the number 1.5", "an integer is allowed, or null"),
            ("seats", 2**60, "more digits than a 64-bit float", "an integer"),
            ("plan", "weekly", "is the text 'weekly'", "one of monthly, annual is allowed"),
            ("city", "", "is the text ''", "a text of 1 to 512 characters"),
            ("city", "x" * 600, "is the text 'xxx", "a text of 1 to 512 characters"),
            ("late", 1, "is the number 1", "true or false is allowed"),
            ("hourz", 1, "is not a field of this model", "did you mean 'hours'?"),
            ("client_id", 7, "is the number 7", "a text of 1 to 512"),
            ("as_of", 1767225600, "is the number 1767225600", "2026-01-31T00:00:00Z"),
            ("as_of", "2026-01-31", "not a time with its zone", "2026-01-31T00:00:00Z"),
        ],
    )
    def test_names_the_field_the_fault_and_what_is_allowed(
        self, field: str, value: object, says: str, allowed: str
    ) -> None:
        fault, fix = problems(**{field: value})[field]
        assert says in fault
        assert allowed in fix

    def test_names_every_fault_at_once(self) -> None:
        assert set(problems(hours=-1, plan="x", more=1)) == {"hours", "plan", "more"}

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_refuses_whatever_else_with_a_row_invalid(self, value: object) -> None:
        with pytest.raises(RowInvalid):
            CONTRACT.parse_row(value)


def test_the_template_bears_the_names_of_the_source_and_a_row_to_copy() -> None:
    header, row = list(csv.reader(io.StringIO(CONTRACT.template_csv())))
    assert "Hours Worked" in header
    assert dict(zip(header, row, strict=True))["churned"] == "Yes"


def test_the_schema_tells_units_bounds_and_an_example() -> None:
    schema = CONTRACT.row_type.model_json_schema()
    assert schema["additionalProperties"] is False
    assert "Unit: hours" in schema["properties"]["hours"]["description"]
    assert schema["properties"]["hours"]["maximum"] == 100
    assert CONTRACT.parse_row(schema["example"])
