"""What the text of a cell says."""

import pytest

from core.cells import null_words, parse_boolean
from core.config import Feature


def feature(**content: object) -> Feature:
    return Feature.model_validate({"description": "A column", **content})


@pytest.mark.parametrize(
    ("text", "said"),
    [("Yes", True), (" t ", True), ("1.0", True), ("no", False), ("0", False), ("maybe", None)],
)
def test_reads_yes_and_no_in_the_words_of_exports(text: str, said: bool | None) -> None:  # noqa: FBT001
    assert parse_boolean(text) is said


def test_none_and_na_are_null_in_a_number_and_words_in_a_text() -> None:
    assert {"", "NA", "None"} <= null_words(feature(type="number"))
    assert not {"NA", "None"} & null_words(feature(type="category"))
    assert not {"NA", "None"} & null_words(None)


def test_a_level_that_the_config_names_is_never_null() -> None:
    assert "NULL" not in null_words(feature(type="category", categories=["NULL", "some"]))
