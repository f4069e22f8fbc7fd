"""Titles say what was asked."""

from __future__ import annotations

from typing import Any

import pytest

from services.history.questions import Filters
from services.history.reader.wording import listed, subject_of, words_of_field


@pytest.mark.parametrize(
    ("asked", "title"),
    [
        ({}, "churn"),
        ({"where": ["region:north"]}, "churn (region north)"),
        ({"where": ["input.region:a:b", "result.band:low"]}, "churn (region a:b, result.band low)"),
        ({"version": "2", "caller": "abc", "source": "batch"},
         "churn (version 2, caller abc, source batch)"),
        ({"flagged": True, "least": 0.5}, "churn (flagged, probability at least 0.5)"),
        ({"flagged": False, "most": 0.0}, "churn (not flagged, probability at most 0)"),
        ({"field": "input.hours", "least": 1, "most": 2}, "churn (input.hours 1 to 2)"),
        ({"entity": "x" * 99}, f"churn (entity {'x' * 39}…)"),
    ],
)  # fmt: skip
def test_each_filter_stands_in_the_title(asked: dict[str, Any], title: str) -> None:
    assert subject_of(Filters(model="churn", **asked), "probability") == title


def test_many_filters_leave_room_for_what_is_drawn() -> None:
    asked = Filters(model="churn", where=[f"region{i}:{'x' * 30}" for i in range(8)])
    title = subject_of(asked, "probability")
    assert title.startswith(f"churn (region0 {'x' * 30}, region1 ")
    assert title.endswith("…)")
    assert len(title) < 90


def test_what_is_compared_is_no_filter_of_both() -> None:
    asked = Filters(model="churn", version="1", where=["input.region:north", "plan:pro"])
    assert subject_of(asked, "p", but="version") == "churn (region north, plan pro)"
    assert subject_of(asked, "p", but="region") == "churn (version 1, plan pro)"


def test_a_number_of_many_parts_is_named_in_words() -> None:
    assert words_of_field("steps.value") == "sum of steps"
    assert words_of_field("channels.amount") == "sum of amount of channels"
    assert words_of_field("input.hours") == "input.hours"
    assert words_of_field("result.probability") == "result.probability"
    assert [listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a", "a and b", "a, b and c",
    ]  # fmt: skip
