"""One measured figure beside its gate, its reference and the best possible, and when it passes."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal

import numpy as np

# Share of the gap by which one seed of several may be worse than the gate.
SEED_SHARE = 0.25
_SAME = 1e-12


@dataclass(frozen=True)
class Rival:
    """What another method reaches on the same rows, or with the same seeds.

    Parameters
    ----------
    name
        The method, for a person.
    value
        Its figure in the same metric.
    difference
        Ours less its own, paired by row or by seed.
    standard_error
        Of that difference; 0 or more.
    """

    name: str
    value: float
    difference: float | None = None
    standard_error: float | None = None

    @classmethod
    def over_seeds(cls, name: str, theirs: Sequence[float], *, ours: Sequence[float]) -> "Rival":
        """Pair a rival's seeds with ours.

        Parameters
        ----------
        name
            The method.
        theirs, ours
            One value a seed, in the same order.

        Raises
        ------
        ValueError
            There are not as many values of each, or fewer than two.
        """
        gaps = np.subtract(ours, theirs)
        if len(theirs) != len(ours) or gaps.size < 2:
            raise ValueError(f"{name}: a pair of values for each of two or more seeds is needed")
        error = float(gaps.std(ddof=1) / np.sqrt(gaps.size))
        return cls(name, float(np.mean(theirs)), float(gaps.mean()), error)


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    A figure without seeds passes when it lies within ``least`` and ``most``. One with seeds passes
    when their mean does, and no seed is worse than the gate by more than a quarter of the gap: the
    distance from the gate to the best there can be, which is ``best``, else ``oracle``, else an
    error of 0 or a share of 1; of a gate with two sides, half their distance. A gap that nothing
    tells is 0, so that every seed has to pass.

    Parameters
    ----------
    metric
        What is measured, for a person.
    ours
        The value; the mean where there are seeds.
    least, most
        The gate; ``least`` alone means that higher is better, ``most`` alone that lower is.
    reference
        Text about the reference, where there is no value of it.
    reference_value, reference_name
        What the named reference reached in the same run.
    difference, standard_error
        Ours less the reference, paired, and its standard error.
    oracle
        What the truth itself would reach.
    stretch
        The goal beyond the gate, shown beside it.
    low, high
        Lowest and highest seed, or a 95 % interval on a single test set.
    seeds
        One value a seed.
    better
        Which way is better, where no gate tells.
    best
        The best value there can be, where neither the oracle nor the metric's kind tells: 1 of a
        ratio to the oracle's error, say.
    rivals
        Further methods of the same run.
    """

    metric: str
    ours: float
    least: float | None = None
    most: float | None = None
    reference: str = ""
    _: KW_ONLY
    reference_value: float | None = None
    reference_name: str = ""
    difference: float | None = None
    standard_error: float | None = None
    oracle: float | None = None
    stretch: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: tuple[float, ...] = ()
    better: Literal["higher", "lower"] | None = None
    best: float | None = None
    rivals: tuple[Rival, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether the mean passes, and each seed but for a quarter of the gap."""
        return self._holds(self.ours, 0.0) and all(self._holds(s, self.slack) for s in self.seeds)

    @property
    def reached(self) -> str:
        """Whether the gate is reached, for a person; empty without one."""
        if not self.gate:
            return ""
        if self.passes:
            return "yes"
        return "**no**, a seed misses" if self._holds(self.ours, 0.0) else "**no**"

    @property
    def slack(self) -> float:
        """By how much one seed may be worse than the gate."""
        return SEED_SHARE * self.gap

    def _holds(self, value: float, slack: float) -> bool:
        above = self.least is None or value >= self.least - slack
        return bool(above and (self.most is None or value <= self.most + slack))

    @property
    def gap(self) -> float:
        """What a seed's slack is a quarter of; 0 or more."""
        if self.least is not None and self.most is not None:
            return (self.most - self.least) / 2
        if self.bound is None or self.summit is None:
            return 0.0
        return abs(self.bound - self.summit)

    @property
    def bound(self) -> float | None:
        """The gate of one side."""
        if self.least is not None and self.most is not None:
            return None
        return self.most if self.least is None else self.least

    @property
    def gate(self) -> str:
        """The gate, for a person."""
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}"
        goal = "" if self.stretch is None else f" (stretch {self.stretch:g})"
        if self.least is not None:
            return f"at least {self.least:g}{goal}"
        return f"at most {self.most:g}{goal}" if self.most is not None else ""

    @property
    def direction(self) -> Literal["higher", "lower", "within"] | None:
        """Which way is better."""
        if self.least is not None and self.most is not None:
            return "within"
        if self.least is not None:
            return "higher"
        return "lower" if self.most is not None else self.better

    @property
    def lead(self) -> float | None:
        """By how much ours is better than the reference's value (below 0: worse)."""
        if self.reference_value is None or self.direction is None:
            return None
        if self.least is not None and self.most is not None:
            middle = (self.least + self.most) / 2
            return abs(self.reference_value - middle) - abs(self.ours - middle)
        ahead = self.ours - self.reference_value
        return ahead if self.direction == "higher" else -ahead

    def place(self, value: float) -> float | None:
        """Put a value on the common axis: 0 is the best there can be, 1 is the gate.

        Returns
        -------
        float or None
            Share of the allowed distance from the best that is used up; None without a gate.
        """
        if self.least is not None and self.most is not None:
            middle = (self.least + self.most) / 2
            return abs(value - middle) / max((self.most - self.least) / 2, _SAME)
        bound = self.bound
        if bound is None:
            return None
        best = self.summit
        if best is None and bound != 0:
            # Nothing is the best: how far beyond the gate, in gates.
            return 1 - (bound - value if self.direction == "lower" else value - bound) / abs(bound)
        if best is None or abs(bound - best) < _SAME:
            return 0.0 if self._holds(value, 0.0) else 2.0
        return (value - best) / (bound - best)

    @property
    def summit(self) -> float | None:
        """The best value there can be; None where nothing tells."""
        if self.best is not None:
            return self.best
        # An oracle that does not reach the gate itself is no best to measure from.
        if self.oracle is not None and self._holds(self.oracle, 0.0):
            return self.oracle
        if self.direction == "lower":
            return 0.0 if self.most is not None and self.most >= 0 else None
        # A share has its best at 1.
        return 1.0 if self.least is not None and 0 <= self.least < 1 else None

    def against(self, reference: Rival, *others: Rival) -> "Figure":
        """Set the figure beside the named reference, and beside further methods."""
        return replace(
            self,
            reference_name=reference.name,
            reference_value=reference.value,
            difference=reference.difference,
            standard_error=reference.standard_error,
            rivals=others,
        )

    def row(self) -> str:
        """Give the figure as a row of a model card's table."""
        cells = (self.metric, with_interval(self), self.gate, beside(self), self.reached)
        return f"| {' | '.join(cells)} |"


def over_seeds(
    metric: str,
    values: Sequence[float],
    *,
    best: float | None = None,
    least: float | None = None,
    most: float | None = None,
    stretch: float | None = None,
    oracle: float | None = None,
    better: Literal["higher", "lower"] | None = None,
) -> Figure:
    """Make a figure of one value a seed: their mean, between the lowest and the highest.

    Parameters
    ----------
    metric
        What is measured.
    values
        One value a seed; one or more.
    best, least, most, stretch, oracle, better
        As in ``Figure``.
    """
    seeds = tuple(float(value) for value in values)
    return Figure(
        metric,
        float(np.mean(seeds)),
        least=least,
        most=most,
        stretch=stretch,
        oracle=oracle,
        better=better,
        best=best,
        seeds=seeds,
        low=min(seeds),
        high=max(seeds),
    )


def with_interval(figure: Figure) -> str:
    """Give our value with its interval, for a person."""
    if figure.low is None or figure.high is None:
        return f"{figure.ours:.4g}"
    return f"{figure.ours:.4g} ({figure.low:.3g} to {figure.high:.3g})"


def beside(figure: Figure) -> str:
    """Give the reference and the oracle in one cell, for a person."""
    parts = [figure.reference] if figure.reference else []
    if figure.reference_value is not None:
        parts.append(f"{figure.reference_value:.4g} {figure.reference_name}".strip())
    if figure.oracle is not None:
        parts.append(f"oracle {figure.oracle:.4g}")
    return "; ".join(parts)
