"""Asks both sides by turns, on every log, round by round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from benchmarks.history.questions import CASES, Case, Log
from benchmarks.history.sides import Historian, Rival

_SEED = 13


@dataclass
class Seen:
    """What was measured of one kind of question on one log, in milliseconds.

    Parameters
    ----------
    case
        What was asked.
    count
        Predictions of the log.
    ours, theirs
        One a question, in the same order.
    first
        What the very first one took, of each.
    others
        Answers that were not the same on both sides.
    """

    case: Case
    count: int
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    first: tuple[float, float] = (0.0, 0.0)
    others: int = 0

    @property
    def ratio(self) -> float:
        """The median of ours over theirs, question by question."""
        return median(a / b for a, b in zip(self.ours, self.theirs, strict=True))


@dataclass(frozen=True)
class Pair:
    """Both sides of one log.

    Parameters
    ----------
    count
        Predictions of it.
    log
        What is asked about.
    historian, rival
        Who is asked.
    """

    count: int
    log: Log
    historian: Historian
    rival: Rival


def measure(pairs: Sequence[Pair], *, rounds: int, say: Callable[[str], None]) -> list[Seen]:
    """Ask everything.

    Parameters
    ----------
    pairs
        One a log.
    rounds
        How often, after one that only warms up.
    say
        Is told what is done.
    """
    random = np.random.default_rng(_SEED)
    seen = [Seen(case, pair.count) for pair in pairs for case in CASES]
    by_key = {(id(one.case), one.count): one for one in seen}
    for number in range(rounds + 1):
        for case in CASES:
            for pair in pairs:
                one = by_key[id(case), pair.count]
                for _ in range(case.asks):
                    ours, theirs = _ask(one, pair, random)
                    if number:
                        one.ours.append(ours)
                        one.theirs.append(theirs)
                    elif one.first == (0.0, 0.0):
                        one.first = (ours, theirs)
        say(f"questions: {'warm' if not number else f'round {number} of {rounds}'}")
    return seen


def _ask(seen: Seen, pair: Pair, random: np.random.Generator) -> tuple[float, float]:
    """Ask both sides the same, one of them first by chance."""
    asked = seen.case.make(pair.log, random)
    if random.integers(0, 2):
        theirs, rows = pair.rival.ask(asked.sql, asked.params)
        ours, answer = pair.historian.ask(asked.name, asked.content)
    else:
        ours, answer = pair.historian.ask(asked.name, asked.content)
        theirs, rows = pair.rival.ask(asked.sql, asked.params)
    seen.others += not asked.is_same(answer, rows)
    return ours, theirs
