"""What the overload's benchmark says."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.front.open_loop import Outcome, Tail
from benchmarks.front.overload import CASES, Memory, report

NONE = Tail(0, 0.0, 0.0, 0.0, 0.0)
OUTCOME = Outcome(
    due=3_000, statuses={"200": 950, "429": 2_050}, unsent=3,
    good=Tail(950, 10.0, 20.0, 30.0, 40.0),
    shed=Tail(2_050, 1.0, 2.0, 3.0, 49.0), shed_served=Tail(2_050, 1.0, 2.0, 3.0, 49.0),
    shed_without_retry_after=0, good_per_second=950.0, lag_p99_ms=0.1,
)  # fmt: skip


def said(outcome: Outcome, *samples: float) -> str:
    return report(
        CASES["light"], outcome, capacity=1_000.0, before=100.0, memory=Memory(list(samples)),
        times=3.0,
    )  # fmt: skip


def test_what_holds_under_overload_passes() -> None:
    text = said(OUTCOME, 110.0, 119.0)
    assert "**miss**" not in text
    assert "| 95 % | at least 90 % | pass |" in text
    assert "100 to 119 MiB, +19 %" in text


def test_one_shed_answer_that_came_late_is_a_miss() -> None:
    late = replace(OUTCOME, shed_served=Tail(2_050, 1.0, 2.0, 3.0, 51.0))
    assert said(late, 100.0).count("**miss**") == 1


def test_a_shed_answer_without_retry_after_is_a_miss() -> None:
    assert "| 1 | none | **miss** |" in said(replace(OUTCOME, shed_without_retry_after=1), 100.0)


def test_memory_that_grew_and_went_down_again_still_counts() -> None:
    assert "100 to 121 MiB, +21 % | under +20 % | **miss** |" in said(OUTCOME, 121.0, 100.0)


def test_when_nothing_was_shed_nothing_is_said_of_it() -> None:
    assert said(replace(OUTCOME, shed=NONE, shed_served=NONE), 100.0).count("not measured") == 2
