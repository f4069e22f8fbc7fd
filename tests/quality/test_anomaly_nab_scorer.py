"""The NAB scorer gives what NAB's own rules give by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quality.references.anomaly_nab import event_f1, nab_score, probation, tally, windows_of


def _detected(rows: int, *places: int) -> np.ndarray:
    found = np.zeros(rows, dtype=np.bool_)
    found[list(places)] = True
    return found


def test_a_silent_detector_scores_nought() -> None:
    assert nab_score([tally(_detected(1000), [(500, 599)])]) == 0.0


def test_the_first_row_of_a_window_scores_a_hundred() -> None:
    assert nab_score([tally(_detected(1000, 500), [(500, 599)])]) == pytest.approx(100.0)


def test_a_later_find_scores_less_and_a_second_one_adds_nothing() -> None:
    early, late = (tally(_detected(1000, p), [(500, 599)]).score for p in (510, 590))
    assert early > late > 0.0
    assert tally(_detected(1000, 510, 590), [(500, 599)]).score == pytest.approx(early)


def test_a_false_alarm_before_any_window_takes_its_whole_weight() -> None:
    assert tally(_detected(1000, 300), [(500, 599)]).score == pytest.approx(-1.11)


def test_a_false_alarm_close_after_a_window_takes_less() -> None:
    near, far = (tally(_detected(2000, p), [(500, 599)]).score for p in (605, 1500))
    assert pytest.approx(far) == -1.11
    assert far < near < -1.0


def test_the_first_rows_are_not_scored() -> None:
    assert probation(1000) == 150
    assert probation(100_000) == 750
    assert tally(_detected(1000, 149), [(500, 599)]).false_alarms == 0


def test_runs_of_labels_are_windows() -> None:
    assert windows_of(np.array([1, 1, 0, 0, 1], dtype=np.int8)) == [(0, 1), (4, 4)]


def test_event_f1_counts_windows_and_false_alarms() -> None:
    assert event_f1([tally(_detected(1000, 300, 510), [(500, 599), (800, 850)])]) == 0.5
