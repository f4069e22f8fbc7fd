"""What the fast way accepts, the row way accepts too, with the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import ModelConfig
from core.contract import Contract
from core.encoding import rows_to_columns
from core.errors import RowInvalid
from core.table import CloserLook, Form
from tests.tiny import CONTENT

CONTRACT = Contract(ModelConfig.model_validate(CONTENT))
ROW: dict[str, Any] = {
    "tenure_months": 12, "hours": 3.5, "is_active": True, "plan": "basic", "region": "north",
}  # fmt: skip
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "tenure_months": st.sampled_from([0, 12, 600, 601, -1, 1.0, True, None, "3", 10**30]),
    "hours": st.sampled_from([0.0, 3.5, 7, -0.1, None, True, float("inf"), "1", 10**400]),
    "is_active": st.sampled_from([True, False, 1, None, "true"]),
    "plan": st.sampled_from(["basic", "pro", "gold", None, 3]),
    "region": st.sampled_from(["north", "", "x" * 512, "x" * 513, None, 5]),
    "client_id": st.sampled_from(["a:b", None, "", 7]),
    "as_of": st.sampled_from(["2026-01-31T00:00:00Z", "2026-01-31T00:00:00", None, 3, "x"]),
    "stranger": st.just(1),
}


def form() -> Form:
    found = Form.of(CONTRACT)
    assert found is not None
    return found


@st.composite
def batches(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows that are mostly valid, with a few cells of any kind in them."""
    rows = [dict(ROW) for _ in range(draw(st.integers(1, 4)))]
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(sorted(CELLS)))
        row = draw(st.sampled_from(rows))
        row[name] = draw(CELLS[name])
    if draw(st.booleans()):
        for row in rows:
            row.setdefault("client_id", draw(CELLS["client_id"]))
    if draw(st.booleans()):
        for row in rows:
            row.setdefault("as_of", draw(CELLS["as_of"]))
    if draw(st.integers(0, 5)) == 0:
        rows[-1].pop(draw(st.sampled_from(sorted(ROW))))
    return rows


@given(batches())
@settings(max_examples=600, deadline=None)
def test_what_is_accepted_as_columns_is_accepted_row_by_row_with_the_same_values(
    rows: list[dict[str, Any]],
) -> None:
    try:
        table, colons = form().read(rows)
    except CloserLook:
        return
    parsed = [CONTRACT.parse_row(row) for row in rows]
    expected = rows_to_columns(parsed, CONTRACT.config.asked_features)
    assert list(table.columns) == list(expected)
    for name, column in expected.items():
        np.testing.assert_array_equal(table.columns[name], column)
    texts = [value for row in rows for value in row.values() if isinstance(value, str)]
    assert colons == sum(text.count(":") for text in texts)
    times = [row.get("as_of") for row in parsed]
    assert list(table.times or [None] * len(rows)) == [t and t.isoformat() for t in times]


@given(batches())
@settings(max_examples=300, deadline=None)
def test_what_the_rows_refuse_the_columns_never_accept(rows: list[dict[str, Any]]) -> None:
    try:
        for row in rows:
            CONTRACT.parse_row(row)
    except RowInvalid:
        with pytest.raises(CloserLook):
            form().read(rows)


def test_plain_valid_rows_need_no_closer_look() -> None:
    table, _ = form().read([ROW | {"client_id": f"c{i}"} for i in range(5)])
    assert table.size == 5
    assert table.entities == tuple(f"c{i}" for i in range(5))


def test_a_model_whose_rows_hold_more_than_features_has_no_form() -> None:
    from bentos.catalog import contract_of
    from core.config import load_model_config
    from core.settings import ROOT

    contract = contract_of(load_model_config(ROOT / "configs" / "models" / "pricing.yaml"))
    assert Form.of(contract) is None
