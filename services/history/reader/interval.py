"""How two samples differ: intervals at 95 %, and sizes that do not depend on a unit.

Everything is about the second sample minus the first. Nothing is ever ``nan``: what two samples do
not tell is ``None``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

LEVEL = 0.95
_Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
_FEWEST = 2
_WORDS = ("none", "small", "medium", "large")
_OF_MEANS = (0.2, 0.5, 0.8)
_OF_RANKS = (0.147, 0.33, 0.474)
Array = npt.NDArray[np.float64]
Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class Moments:
    """What is known of a sample.

    Parameters
    ----------
    size
        How many.
    mean, variance
        Of them; nothing for too few.
    """

    size: int
    mean: float | None
    variance: float | None


@dataclass(frozen=True)
class Effect:
    """A size that does not depend on a unit.

    Parameters
    ----------
    size, low, high
        With its interval; nothing where it cannot be told.
    words
        none, small, medium or large.
    """

    size: float | None = None
    low: float | None = None
    high: float | None = None
    words: str | None = None


def of_means(a: Moments, b: Moments) -> Ends:
    """Give the interval of a difference of means.

    Parameters
    ----------
    a, b
        Both samples; their variances may differ.

    Returns
    -------
    tuple
        Both ends (Welch 1947, Biometrika 34).
    """
    if not _are_enough(a.size, b.size):
        return None, None
    parts = _number(a.variance) / a.size, _number(b.variance) / b.size
    difference = _number(b.mean) - _number(a.mean)
    error = math.sqrt(sum(parts))
    if error == 0:
        return difference, difference
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (a.size - 1) + parts[1] ** 2 / (b.size - 1))
    reach = float(stdtrit(freedom, 0.5 + LEVEL / 2)) * error
    return difference - reach, difference + reach


def of_shares(hits_a: int, size_a: int, hits_b: int, size_b: int) -> Ends:
    """Give the interval of a difference of shares.

    Parameters
    ----------
    hits_a, size_a, hits_b, size_b
        Of both samples.

    Returns
    -------
    tuple
        Both ends: method 10 of Newcombe (1998, Statistics in Medicine 17), from Wilson's.
    """
    if not _are_enough(size_a, size_b):
        return None, None
    share_a, share_b = hits_a / size_a, hits_b / size_b
    (low_a, high_a), (low_b, high_b) = _wilson(share_a, size_a), _wilson(share_b, size_b)
    difference = share_b - share_a
    return (
        difference - math.hypot(share_b - low_b, high_a - share_a),
        difference + math.hypot(high_b - share_b, share_a - low_a),
    )


def of_medians(a: Array, b: Array) -> Ends:
    """Give the interval of a difference of medians.

    Parameters
    ----------
    a, b
        Both samples, each of shape ``(n,)``, sorted.

    Returns
    -------
    tuple
        Both ends: from the order statistics of each (Price and Bonett 2002, Journal of Statistical
        Computation and Simulation 72), whatever the distributions.
    """
    if not _are_enough(a.size, b.size):
        return None, None
    difference = float(np.median(b) - np.median(a))
    reach = _Z * math.hypot(_error_of_median(a), _error_of_median(b))
    return difference - reach, difference + reach


def of_standard(a: Moments, b: Moments) -> Effect:
    """Give Cohen's d: the difference of means in standard deviations.

    Parameters
    ----------
    a, b
        Both samples.

    Returns
    -------
    Effect
        With the interval of Hedges and Olkin (1985, chapter 5) and the words of Cohen (1988,
        Statistical Power Analysis): small from 0.2, medium from 0.5, large from 0.8.
    """
    if not _are_enough(a.size, b.size):
        return Effect()
    freedom = a.size + b.size - 2
    pooled = (a.size - 1) * _number(a.variance) + (b.size - 1) * _number(b.variance)
    difference = _number(b.mean) - _number(a.mean)
    if pooled <= 0:
        return Effect(0.0, 0.0, 0.0, _WORDS[0]) if difference == 0 else Effect()
    size = difference / math.sqrt(pooled / freedom)
    both = a.size + b.size
    reach = _Z * math.sqrt(both / (a.size * b.size) + size**2 / (2 * both))
    return Effect(size, size - reach, size + reach, _words(size, _OF_MEANS))


def of_angles(hits_a: int, size_a: int, hits_b: int, size_b: int) -> Effect:
    """Give Cohen's h: the difference of shares as that of angles (Cohen 1988, chapter 6).

    Parameters
    ----------
    hits_a, size_a, hits_b, size_b
        Of both samples.
    """
    if not _are_enough(size_a, size_b):
        return Effect()
    size = 2 * (math.asin(math.sqrt(hits_b / size_b)) - math.asin(math.sqrt(hits_a / size_a)))
    # The variance of such an angle is 1/n, whatever the share.
    reach = _Z * math.sqrt(1 / size_a + 1 / size_b)
    return Effect(size, size - reach, size + reach, _words(size, _OF_MEANS))


def of_ranks(a: Array, b: Array) -> Effect:
    """Give Cliff's delta: how much oftener a value of the second is larger than smaller.

    Parameters
    ----------
    a, b
        Both samples, each of shape ``(n,)``, sorted.

    Returns
    -------
    Effect
        From -1 to 1, with the interval of Feng and Cliff (2004, Journal of Modern Applied
        Statistical Methods 3) and the words of Romano and others (2006), which answer to Cohen's.
    """
    if not _are_enough(a.size, b.size):
        return Effect()
    # How much oftener all of the other sample lie below each one than above it.
    under_a, over_a = np.searchsorted(b, a, "left"), b.size - np.searchsorted(b, a, "right")
    under_b, over_b = np.searchsorted(a, b, "left"), a.size - np.searchsorted(a, b, "right")
    of_a, of_b = (over_a - under_a) / b.size, (under_b - over_b) / a.size
    size = float(of_a.mean())
    untied = float((over_a + under_a).sum())
    pairs = a.size * b.size
    variance = (
        b.size**2 * float(((of_a - size) ** 2).sum())
        + a.size**2 * float(((of_b - size) ** 2).sum())
        - (untied - pairs * size**2)
    ) / (pairs * (a.size - 1) * (b.size - 1))
    # It may come out below what it can be at least.
    variance = max(variance, (1 - size**2) / (pairs - 1))
    spread = _Z**2 * variance
    below = 1 - size**2 + spread
    if below <= 0:
        return Effect(size, size, size, _words(size, _OF_RANKS))
    reach = _Z * math.sqrt(variance) * math.sqrt((1 - size**2) ** 2 + spread)
    ends = [max(-1.0, min(1.0, (size - size**3 + sign * reach) / below)) for sign in (-1, 1)]
    return Effect(size, min(ends[0], size), max(ends[1], size), _words(size, _OF_RANKS))


def _error_of_median(values: Array) -> float:
    """Give the standard error of a median from values about the middle, sorted."""
    size = values.size
    first = max(1, round((size + 1) / 2 - math.sqrt(size)))
    # What the interval between these two really holds.
    outside = _below(size, first - 1)
    z = NormalDist().inv_cdf(1 - outside)
    return float(values[size - first] - values[first - 1]) / (2 * z)


def _below(size: int, most: int) -> float:
    """Give the chance that of so many coins no more than ``most`` fall on one side."""
    if size > 200:  # noqa: PLR2004 - the normal curve is as good, and no sum of hundreds
        return NormalDist(size / 2, math.sqrt(size) / 2).cdf(most + 0.5)
    return float(sum(math.comb(size, i) for i in range(most + 1)) / 2**size)


def _wilson(share: float, size: int) -> tuple[float, float]:
    """Give Wilson's interval of a share (1927)."""
    middle = share + _Z**2 / (2 * size)
    reach = _Z * math.sqrt(share * (1 - share) / size + _Z**2 / (4 * size**2))
    below = 1 + _Z**2 / size
    return max(0.0, (middle - reach) / below), min(1.0, (middle + reach) / below)


def _words(size: float, steps: tuple[float, float, float]) -> str:
    return _WORDS[sum(abs(size) >= step for step in steps)]


def _are_enough(*sizes: int) -> bool:
    return min(sizes) >= _FEWEST


def _number(value: float | None) -> float:
    return 0.0 if value is None else value
