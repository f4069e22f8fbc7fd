import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.strict_json import read_json
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
TIME = "2026-01-31T00:00:00Z"
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


SCALARS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(),
    st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**64, 10**400, 0.1, -0.0, 5e-324]),
    st.booleans(),
    st.none(),
    st.text(max_size=8),
    st.sampled_from(["annual", "monthly", "2026-01-31T00:00:00Z", "2026-01-31T10:00+02:00", "a:b"]),
    st.lists(st.integers(), max_size=2),
)
PLAIN_ROWS = st.fixed_dictionaries(
    {
        "hours": st.floats(0, 100) | st.integers(0, 100) | SCALARS,
        "plan": st.sampled_from(["annual", "monthly"]) | SCALARS,
        "late": st.booleans() | SCALARS,
    },
    optional={
        "seats": st.integers(-5, 5) | SCALARS,
        "city": st.text(min_size=1, max_size=9) | SCALARS,
        "client_id": st.text(min_size=1, max_size=9) | SCALARS,
        "as_of": st.sampled_from(["2026-01-31T00:00:00Z", "2026-01-31T10:00+02:00"]) | SCALARS,
        "other": SCALARS,
    },
)
MARKS = (
    '"',
    ":",
    " ",
    ",",
    "{",
    "}",
    "\\",
    "\n",
    "\t",
    "NaN",
    "1e999",
    '"hours":1,',
    '"late" :true,',
)


@given(
    row=PLAIN_ROWS,
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : "), (",\n", "\t:\n")]),
    is_ascii=st.integers(0, 1),
    cut=st.tuples(st.integers(0, 200), st.sampled_from(MARKS)) | st.none(),
    again=st.sampled_from(["", ',"plan":"annual"', ',"seats" :1', ', "late": true']),
)
def test_a_row_read_from_its_text_is_the_one_that_strict_json_gives(
    row: dict[str, Any],
    separators: tuple[str, str],
    is_ascii: int,
    cut: tuple[int, str] | None,
    again: str,
) -> None:
    text = json.dumps(row, ensure_ascii=bool(is_ascii), separators=separators)
    text = text[:-1] + again + "}"
    if cut is not None:
        text = text[: cut[0]] + cut[1] + text[cut[0] :]
    body = text.encode("utf-8", "surrogatepass")
    quick = CONTRACT.parse_plain(body)
    if quick is not None:
        assert repr(quick) == repr(CONTRACT.parse_row(read_json(body, max_depth=16)))


def test_most_rows_are_read_from_their_text() -> None:
    for extra in ({}, {"seats": None, "city": "a:b", "client_id": "é"}, {"as_of": TIME}):
        for separators in ((",", ":"), (", ", ": "), (" , ", " : ")):
            body = json.dumps({**GOOD, **extra}, ensure_ascii=False, separators=separators).encode()
            assert CONTRACT.parse_plain(body) == CONTRACT.parse_row({**GOOD, **extra})


def test_a_name_that_comes_twice_is_left_to_strict_json() -> None:
    assert CONTRACT.parse_plain(b'{"hours": 3, "plan": "annual", "late": true}') is not None
    for twice in (b'"late": true', b'"late" :false', b'"hours": 3'):
        assert (
            CONTRACT.parse_plain(b'{"hours": 3, "plan": "annual", "late": true, %b}' % twice)
            is None
        )
