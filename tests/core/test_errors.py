import inspect

import pytest

from core import denials, errors, refusals
from core.errors import FieldProblem, RowInvalid, SeptetError, nearest

CLASSES = [
    kind
    for module in (errors, refusals, denials)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, SeptetError) and kind.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_drawing_at_the_head_shows_every_class_with_its_status(kind: type[SeptetError]) -> None:
    lines = [line for line in (errors.__doc__ or "").splitlines() if kind.__name__ in line]
    assert len(lines) == 1
    assert str(kind.status) in lines[0]


def test_a_problem_document_has_what_rfc_9457_asks_for() -> None:
    error = RowInvalid([FieldProblem("hours", "is missing", "a number is allowed")])
    problem = error.to_problem(instance="r-1")
    assert problem["type"] == "urn:septet:problem:RowInvalid"
    assert problem["status"] == 422
    assert problem["instance"] == "r-1"
    assert problem["detail"] == "hours: is missing; a number is allowed."
    assert problem["problems"] == [
        {"field": "hours", "problem": "is missing", "allowed": "a number is allowed"}
    ]


def test_the_nearest_name_is_offered_and_a_far_one_is_not() -> None:
    assert nearest("chrun", ["churn", "demand"]) == " Did you mean 'churn'?"
    assert nearest("zzz", ["churn"]) == ""
