"""Gathers what several methods reach seed by seed, and makes figures of it."""

from typing import Any

from tests.quality.figure import Figure, Rival, over_seeds

OURS, ORACLE = "ours", "oracle"


class Seeds:
    """One value a seed, of each method and metric.

    ``add`` what each method reaches with a seed, ours under ``OURS`` and the truth's under
    ``ORACLE``; then ask for the figures.
    """

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[float]]] = {}

    def add(self, method: str, **metrics: float) -> None:
        """Keep the metrics of one method with the seed under way."""
        of_method = self._values.setdefault(method, {})
        for metric, value in metrics.items():
            of_method.setdefault(metric, []).append(float(value))

    def of(self, method: str, metric: str) -> list[float]:
        """Give the values, in the order of the seeds; empty where there are none."""
        return self._values.get(method, {}).get(metric, [])

    def figure(self, metric: str, label: str, **facts: Any) -> Figure:
        """Make the figure of a metric: ours, beside every method that has it too.

        Parameters
        ----------
        metric
            Name under which it was added.
        label
            The metric, for a person.
        facts
            Gate, goal and best as in ``over_seeds``. The first method that was added is the
            reference; the oracle's mean is set where it was added.
        """
        ours, truth = self.of(OURS, metric), self.of(ORACLE, metric)
        if truth:
            facts = {"oracle": sum(truth) / len(truth)} | facts
        figure = over_seeds(label, ours, **facts)
        methods = [name for name in self._values if name not in {OURS, ORACLE}]
        rivals = [
            Rival.over_seeds(name, self.of(name, metric), ours=ours)
            for name in methods
            if self.of(name, metric)
        ]
        return figure.against(*rivals) if rivals else figure
