"""Rows that the contract allows and nobody would send: answered or refused, never a failure."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentos.answering import answer_rows, read_row
from bentos.catalog import CATALOG, predictor_type
from bentos.release import Release, open_release, read_pointer
from bentos.tabular import answer_table, batch_json, rows_of
from core.config import Feature
from core.errors import AnswerRefused, RowInvalid
from core.table import CloserLook

_LARGEST_INTEGER = 2**53
# The others look at a row as a whole.
TABULAR = ("profitability", "churn", "revenue_leak")


@pytest.fixture
def release(tiny_home: Path, model: str) -> Release:
    folder = tiny_home / "releases" / model
    pointer = read_pointer(folder)
    assert pointer is not None
    kind = predictor_type(model)
    return open_release(folder / pointer.version, pointer=pointer, kind=kind)


def values_of(feature: Feature) -> st.SearchStrategy[Any]:
    """Give all that a feature accepts, its ends first of all."""
    found: st.SearchStrategy[Any]
    low, high = feature.minimum, feature.maximum
    if feature.type == "boolean":
        found = st.booleans()
    elif feature.type == "category":
        levels = feature.categories
        found = st.sampled_from(levels) if levels else st.text(min_size=1, max_size=8)
    elif feature.type == "integer":
        ends = (
            -_LARGEST_INTEGER if low is None else int(low),
            _LARGEST_INTEGER if high is None else int(high),
        )
        found = st.sampled_from(ends) | st.integers(*ends)
    else:
        found = st.floats(low, high, allow_nan=False, allow_infinity=False)
    return found | st.none() if feature.nullable else found


@st.composite
def extreme_row(draw: st.DrawFn, release: Release) -> dict[str, Any]:
    """Draw a row whose features lie anywhere in their bounds; the task's own fields stay."""
    row = release.contract.example()
    for name, feature in release.contract.config.asked_features.items():
        if name in row and draw(st.booleans()):
            row[name] = draw(values_of(feature))
    return row


@pytest.mark.parametrize("model", CATALOG)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_row_within_its_bounds_is_answered_as_promised_or_refused_with_a_reason(
    release: Release, data: st.DataObject
) -> None:
    row = data.draw(extreme_row(release))
    with warnings.catch_warnings():
        # What numpy says of numbers that overflow; that the answer holds none is what is tested.
        warnings.simplefilter("ignore", RuntimeWarning)
        outcomes = [*answer_rows(release, [row]), *answer_rows(release, [row], explain=True)]
    for outcome in outcomes:
        if outcome.answer is None:
            assert isinstance(outcome.error, RowInvalid | AnswerRefused), outcome.error
        else:
            release.predictor.RESULT.model_validate(outcome.answer["result"])


@pytest.mark.parametrize("model", TABULAR)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_table_gives_what_its_rows_give(release: Release, data: st.DataObject) -> None:
    form = release.form
    assert form is not None
    rows = data.draw(st.lists(extreme_row(release), min_size=1, max_size=20))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            table, _ = form.read(rows)
            said = batch_json(release, table, answer_table(release, table))["rows"]
        except CloserLook:
            return
        expected = [outcome.to_json() for outcome in answer_rows(release, rows)]
    for one, other in zip(said, expected, strict=True):
        assert one["answer"]["result"] == other["answer"]["result"]
        assert one["answer"]["flags"] == other["answer"]["flags"]
        assert one["answer"]["entity"] == other["answer"]["entity"]
    as_read = [read_row(release, row) for row in rows]
    assert [read_row(release, row) for row in rows_of(table, release)] == as_read
