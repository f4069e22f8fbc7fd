"""The groups into which the values of an input fall, and what share of training is in each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

NULL, BELOW, ABOVE, UNSEEN = "null", "below training", "above training", "not in training"
OTHERS = "other levels"
# Of an empty group, so that a logarithm can be taken.
_LEAST_SHARE = 1e-4
# Every second edge: ten groups, as is usual.
_EVERY = 2
# So few steps below a number that comes often are not told apart from it: edges say too little.
_NEAR = 2
# Of chance: so many cases are drawn, and so many of them lie within.
_DRAWS, _SURE = 400, 0.95


@dataclass(frozen=True)
class Mark:
    """Where a group of numbers ends.

    Parameters
    ----------
    value
        The number.
    is_within
        Whether the number itself is still in the group.
    share
        Training values up to there.
    """

    value: float
    is_within: bool
    share: float


def marks_of(profile: Mapping[str, Any]) -> list[Mark]:
    """Give where groups of numbers end, the first being what lies below training.

    Parameters
    ----------
    profile
        Of training: ``edges`` of groups of equal size.

    Returns
    -------
    list of Mark
        A number that stands on several edges, as integers do, is a group of its own.
    """
    edges = [float(edge) for edge in profile.get("edges", ())]
    if not edges:
        return []
    steps = max(len(edges) - 1, 1)
    marks: list[Mark] = []
    for cut in sorted({*edges[::_EVERY], edges[-1]}):
        first, last = edges.index(cut), len(edges) - 1 - edges[::-1].index(cut)
        is_often, is_end = last > first, cut in {edges[0], edges[-1]}
        if not is_often and not is_end and _lies_between(edges, first):
            continue
        # Where such a number begins and ends among the ranks is known to half a step.
        under = (first - is_often / 2) / steps if first else 0.0
        upto = (last + is_often / 2) / steps if last < steps else 1.0
        near = _NEAR if is_often else int(bool(marks) and marks[-1].is_within)
        is_apart = not marks or under - marks[-1].share > near / steps
        if is_apart and (is_often or cut != edges[-1]):
            marks.append(Mark(cut, is_within=False, share=under))
        if is_often or cut == edges[-1]:
            marks.append(Mark(cut, is_within=True, share=upto))
    return marks


def _lies_between(edges: Sequence[float], place: int) -> bool:
    """Say whether an edge is no value, but lies between two that come often."""
    near = edges[max(place - 2, 0) : place], edges[place + 1 : place + 3]
    return all(len(side) > 1 and side[0] == side[1] for side in near)


def names_of(marks: Sequence[Mark]) -> list[str]:
    """Name the groups of numbers: below, those between marks, and above."""
    if not marks:
        return [UNSEEN]
    texts = _texts([mark.value for mark in marks])
    between = [
        texts[i + 1] if _is_one(*marks[i : i + 2]) else f"{texts[i]} to {texts[i + 1]}"
        for i in range(len(marks) - 1)
    ]
    return [BELOW, *between, ABOVE]


def _is_one(a: Mark, b: Mark) -> bool:
    """Say whether between two marks there is one number, as far as one can know."""
    is_next = a.is_within and b.is_within and b.value - a.value == 1 and a.value == int(a.value)
    return a.value == b.value or is_next


def shares_of(marks: Sequence[Mark], nulls: float) -> list[float]:
    """Give training's share of each group of numbers, and of nulls."""
    upto = [0.0, *(mark.share for mark in marks), 1.0]
    parts = [b - a for a, b in pairwise(upto)] if marks else [0.0]
    return [*(part * (1 - nulls) for part in parts), nulls]


def stability(now: Sequence[float], then: Sequence[float]) -> float:
    """Give the population stability index of shares.

    Parameters
    ----------
    now, then
        Shares of the same groups.

    Returns
    -------
    float
        The sum of ``(now - then) * ln(now / then)`` over groups, those that are empty taken for a
        ten-thousandth: 0 for the same, over 0.25 for a large shift (Siddiqi 2006, Credit Risk
        Scorecards; it is Jeffreys' divergence of 1946).
    """
    total = 0.0
    for a, b in zip(now, then, strict=True):
        present, past = max(a, _LEAST_SHARE), max(b, _LEAST_SHARE)
        total += (present - past) * math.log(present / past)
    return total


@dataclass(frozen=True)
class Usual:
    """What a stability index comes to when nothing has changed.

    Parameters
    ----------
    mean
        On average.
    most
        In 95 of 100 cases no more.
    """

    mean: float
    most: float


class Chance:
    """Tells what stability indexes come to when nothing has changed, by drawing it.

    The known formula (Yurdakul and Naranjo 2020, Journal of Risk Model Validation 14) is of many
    rows; of ten, most groups are empty, and the index is far above it.

    Parameters
    ----------
    shares
        Training's share of each group; they add up to one.
    rows
        Of training.
    """

    def __init__(self, shares: Sequence[float], rows: int) -> None:
        given = np.asarray(shares, dtype=np.float64)
        self._shares = given / given.sum()
        # The same question has the same answer.
        self._random = np.random.default_rng(0)
        self._then = self._drawn(max(rows, 1))
        self._known: dict[int, Usual] = {}

    def of(self, rows: int) -> Usual:
        """Give it for a number of rows, of which two digits count.

        Parameters
        ----------
        rows
            At least one.
        """
        rounded = int(float(f"{rows:.2g}"))
        if rounded not in self._known:
            now = self._drawn(rounded)
            found = ((now - self._then) * np.log(now / self._then)).sum(axis=1)
            most = float(np.quantile(found, _SURE))
            self._known[rounded] = Usual(float(found.mean()), most)
        return self._known[rounded]

    def _drawn(self, rows: int) -> npt.NDArray[np.float64]:
        """Draw shares, shape ``(draws, groups)``."""
        counts = self._random.multinomial(rows, self._shares, _DRAWS)
        return np.maximum(counts / rows, _LEAST_SHARE)


def _texts(values: Sequence[float]) -> list[str]:
    """Write numbers as short as they can be told apart."""
    for digits in range(3, 17):
        texts = {value: f"{value:.{digits}g}" for value in values}
        if len(set(texts.values())) == len(texts):
            return [_plain(texts[value]) for value in values]
    return [repr(value) for value in values]


def _plain(text: str) -> str:
    """Write 1.2e+03 as 1200."""
    number = float(text)
    is_long = "e" in text and abs(number) < 1e15 and number == int(number)  # noqa: PLR2004 - exact
    return f"{number:,.0f}" if is_long else text
