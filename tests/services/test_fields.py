"""From pydantic's faults to problem documents: whatever was sent, the answer is one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from bentos.problem import to_bytes
from core.refusals import FieldsInvalid
from services.access.grant import Grant
from services.access.pages import AuditQuery, KeysQuery, Rotation
from services.fields import query_refusal, read_fields
from services.history.questions import ReplayQuestion

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
NAMES = st.sampled_from([*Grant.model_fields, *Rotation.model_fields]) | TEXTS


@given(st.dictionaries(NAMES, JSON, max_size=8) | JSON)
def test_any_json_is_a_grant_or_a_problem_that_can_be_sent(value: Any) -> None:
    for kind in (Grant, Rotation):
        assert len(to_bytes(problem_of(kind, value))) < 30_000


@given(name=NAMES | st.sampled_from([*AuditQuery.model_fields]), text=TEXTS)
@pytest.mark.parametrize("kind", [AuditQuery, KeysQuery])
def test_any_query_is_read_or_a_problem_that_can_be_sent(
    kind: type[BaseModel], name: str, text: str
) -> None:
    faults: list[Any] = []
    try:
        kind.model_validate({name: text})
    except ValidationError as error:
        faults += [{**fault, "loc": ("query", *fault["loc"])} for fault in error.errors()]
    if faults:
        refusal = query_refusal(faults)
        assert refusal.detail.startswith("?")
        assert len(to_bytes(refusal.to_problem())) < 5_000


def problem_of(kind: type[BaseModel], value: object) -> dict[str, object]:
    """Give the problem document of a refused body; nothing for one that is taken."""
    try:
        read_fields(kind, value)
    except FieldsInvalid as error:
        return error.to_problem()
    return {}


def test_every_fault_is_told_with_its_field() -> None:
    with pytest.raises(FieldsInvalid) as caught:
        read_fields(Grant, {"nmae": "x", "role": "boss", "networks": "all"})
    found = {problem.field: problem for problem in caught.value.problems}
    assert set(found) == {"name", "nmae", "role", "networks"}
    assert "Did you mean 'name'?" in found["nmae"].allowed
    assert found["name"].problem == "is missing"
    assert found["networks"].problem == "is the text 'all'"


def test_an_unknown_field_is_refused_in_one_good_sentence() -> None:
    with pytest.raises(FieldsInvalid) as caught:
        read_fields(ReplayQuestion, {"zzz": 1})
    assert caught.value.detail == "zzz: is not a field here; version is."
    with pytest.raises(FieldsInvalid) as caught:
        read_fields(Grant, {"name": "x", "role": "viewer", "zzz": 1})
    assert caught.value.detail.endswith(" are.")
    assert ".." not in caught.value.detail
