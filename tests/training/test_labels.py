"""How the words of a target become what the model learns."""

import numpy as np
import pyarrow as pa
import pytest

from core.config import Target
from training.coercion import Coerced
from training.labels import coerce_target


def coerced(cells: list[object], **target: object) -> Coerced:
    config = Target.model_validate({"column": "left", "description": "Left.", **target})
    return coerce_target(pa.chunked_array([cells]), config)


@pytest.mark.parametrize(
    ("cells", "positive", "wanted"),
    [
        (["yes", "No", " YES"], "yes", [1, 0, 1]),
        (["1", "0", "1.0"], 1, [1, 0, 1]),
        ([1, 0, 1], "yes", [1, 0, 1]),
        ([1.0, 0.0, 1.0], 1, [1, 0, 1]),
        ([True, False, True], True, [1, 0, 1]),
        (["yes", "no", "no"], "no", [0, 1, 1]),
        (["Gone", "stayed", "gone"], "gone", [1, 0, 1]),
    ],
)
def test_the_positive_value_is_one_in_whatever_words(
    cells: list[object], positive: object, wanted: list[int]
) -> None:
    found = coerced(cells, positive=positive)
    assert found.values.tolist() == wanted
    assert not found.faults
    assert found.note is None


def test_a_word_that_is_neither_yes_nor_no_is_a_fault() -> None:
    [fault] = coerced(["yes", "no", "yess"], positive="yes").faults
    assert fault.mask.tolist() == [False, False, True]
    assert fault.reason == "is neither yes nor no"


def test_names_that_count_as_no_are_told_when_there_are_several() -> None:
    found = coerced(["gone", "active", "active", "paused"], positive="gone")
    assert found.values.tolist() == [1, 0, 0, 0]
    assert found.note == "in left, all of these mean not gone: active (2), paused (1)"


def test_the_unknown_value_and_null_are_no_label() -> None:
    found = coerced(["fraud", "ok", "unkn", None, ""], positive="fraud", unknown="unkn",
                    nullable=True)  # fmt: skip
    np.testing.assert_array_equal(found.values, [1, 0, np.nan, np.nan, np.nan])
    assert not found.faults


def test_none_can_be_the_name_of_the_positive_value() -> None:
    assert coerced(["None", "some", "None"], positive="None").values.tolist() == [1, 0, 1]


def test_amounts_are_numbers_and_names_are_faults_that_say_what_to_set() -> None:
    found = coerced(["1.5", "-2", "yes", "1e999"])
    assert found.values[:2].tolist() == [1.5, -2]
    assert [fault.reason for fault in found.faults] == ["is no number", "is infinite"]
    assert "set target.positive" in found.faults[0].allowed


def test_a_boolean_column_needs_no_positive_value() -> None:
    assert coerced([True, False]).values.tolist() == [1, 0]
