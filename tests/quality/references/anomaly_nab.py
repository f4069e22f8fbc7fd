"""The score of the Numenta Anomaly Benchmark, v1.1, standard profile (Lavin & Ahmad 2015)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FALSE_ALARM_WEIGHT = 0.11
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Tally:
    """What the detections of one file come to.

    Parameters
    ----------
    score
        Sum of weights: each window found early adds up to 1, a missed one takes 1.
    windows, found
        Windows that are scored, and those with a detection.
    false_alarms
        Detections outside of every window.
    """

    score: float
    windows: int
    found: int
    false_alarms: int


def probation(rows: int) -> int:
    """Give how many first rows of a file are not scored."""
    return min(math.floor(0.15 * rows), 750)


def windows_of(label: npt.NDArray[np.int8]) -> list[tuple[int, int]]:
    """Give first and last row of each run of ones."""
    edges = np.diff(np.concatenate([[0], label.astype(np.int8), [0]]))
    return list(
        zip(
            np.flatnonzero(edges == 1).tolist(),
            (np.flatnonzero(edges == -1) - 1).tolist(),
            strict=True,
        )
    )


def tally(is_detected: Bools, windows: Sequence[tuple[int, int]]) -> Tally:
    """Weigh one file's detections; the first rows, of ``probation``, count for nothing."""
    start = probation(len(is_detected))
    scored = [(first, last) for first, last in windows if last >= start]
    best: list[float | None] = [None] * len(scored)
    score, false_alarms = 0.0, 0
    for row in np.flatnonzero(is_detected).tolist():
        if row < start:
            continue
        inside = next((i for i, (a, b) in enumerate(scored) if a <= row <= b), None)
        if inside is None:
            score += FALSE_ALARM_WEIGHT * _past(row, windows)
            false_alarms += 1
            continue
        first, last = scored[inside]
        gain = _sigmoid(-(last - row + 1) / (last - first + 1)) / _sigmoid(-1.0)
        known = best[inside]
        best[inside] = gain if known is None else max(gain, known)
    gains = [gain for gain in best if gain is not None]
    score += sum(gains) - (len(scored) - len(gains))
    return Tally(score, len(scored), len(gains), false_alarms)


def nab_score(tallies: Sequence[Tally]) -> float:
    """Give 0 for a detector that never speaks and 100 for one that is always right at once."""
    windows = sum(each.windows for each in tallies)
    return 100.0 * (sum(each.score for each in tallies) + windows) / (2.0 * windows)


def event_f1(tallies: Sequence[Tally]) -> float:
    """Give F1 of windows found, where each detection outside of a window is a false one."""
    found = sum(each.found for each in tallies)
    false = sum(each.false_alarms for each in tallies)
    windows = sum(each.windows for each in tallies)
    return 2.0 * found / (windows + found + false)


def _past(row: int, windows: Sequence[tuple[int, int]]) -> float:
    """Weigh a false alarm: less when it follows close on a window."""
    before = [(a, b) for a, b in windows if b < row]
    if not before:
        return -1.0
    first, last = before[-1]
    return _sigmoid((row - last) / max(last - first, 1))


def _sigmoid(position: float) -> float:
    return -1.0 if position > 3.0 else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0
