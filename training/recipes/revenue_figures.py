"""Pictures of a leak model: what it finds, what reviewing pays, whether it says what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bentos.revenue_leak.predictor import RevenueLeakPredictor
from core.artifact import Artifact
from core.encoding import FloatArray
from training.frame import Frame
from training.recipes.revenue_measures import average_precision, true_amounts

INK, MUTED, ACCENT, SECOND = "#222222", "#8a8a8a", "#1f5fa8", "#c8641e"
MOST_EXPLAINED_ROWS = 2_000
MOST_BARS = 15
CALIBRATION_BINS = 10


def figures(
    outputs: Mapping[str, FloatArray], frame: Frame, artifact: Artifact
) -> Iterator[tuple[str, Figure]]:
    """Draw what a person judges a leak model by; pictures without data for them are left out.

    Parameters
    ----------
    outputs
        What ``RevenueLeakPredictor.score`` gave, each of shape ``(n,)``.
    frame
        The ``n`` rows.
    artifact
        The model, for the reasons.

    Yields
    ------
    tuple of str and Figure
        A name and its picture: ``precision_recall``, ``value_captured``, ``calibration``,
        ``importance``.
    """
    known = ~np.isnan(frame.target)
    target, probability = frame.target[known], outputs["probability"][known]
    if 0 < target.sum() < len(target):
        yield "precision_recall", _drawn(lambda axes: _precision_recall(axes, probability, target))
        yield "calibration", _drawn(lambda axes: _calibration(axes, probability, target))
    amount = true_amounts(frame)[known]
    if amount.sum() > 0:
        expected = outputs["expected_missing_amount"][known]
        yield (
            "value_captured",
            _drawn(lambda axes: _value_captured(axes, expected, probability, amount)),
        )
    yield "importance", _drawn(lambda axes: _importance(axes, frame, artifact))


def _drawn(draw: Callable[[Axes], None]) -> Figure:
    """Make a figure with one plain pair of axes and draw on it."""
    figure = Figure(figsize=(7.0, 4.4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    draw(axes)
    return figure


def _precision_recall(axes: Axes, probability: FloatArray, target: FloatArray) -> None:
    order = np.argsort(-probability, kind="stable")
    hits = np.cumsum(target[order])
    axes.plot(hits / hits[-1], hits / np.arange(1, len(hits) + 1), color=ACCENT, linewidth=2)
    axes.axhline(target.mean(), color=MUTED, linestyle="--", linewidth=1)
    axes.annotate(
        f"picking at random: {target.mean():.1%}",
        (0.99, target.mean()), xytext=(0, 4), textcoords="offset points",
        ha="right", color=MUTED, fontsize=9,
    )  # fmt: skip
    score = average_precision(probability, target)
    axes.set(
        xlim=(0, 1), ylim=(0, 1.03),
        xlabel="recall: share of all leaks that is found",
        ylabel="precision: share of picks that leak",
    )  # fmt: skip
    axes.set_title(f"Finding leaks by probability: PR-AUC {score:.3f}", loc="left", color=INK)


def _value_captured(
    axes: Axes, expected: FloatArray, probability: FloatArray, amount: FloatArray
) -> None:
    share = np.arange(1, len(amount) + 1) / len(amount)
    rankings = (
        ("the best order there is", amount, MUTED, ":"),
        ("by probability", probability, SECOND, "--"),
        ("by expected missing amount", expected, ACCENT, "-"),
    )
    for label, ranking, color, line in rankings:
        found = np.cumsum(amount[np.argsort(-ranking, kind="stable")]) / amount.sum()
        axes.plot(share, found, color=color, linestyle=line, linewidth=2, label=label)
    for limit in (0.04, 0.08):
        axes.axvline(limit, color="#d0d0d0", linewidth=1)
    axes.set(
        xlim=(0, 0.25), ylim=(0, 1.03),
        xlabel="share of records reviewed", ylabel="share of missing money found",
    )  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    axes.set_title("Money found for the records reviewed", loc="left", color=INK)


def _calibration(axes: Axes, probability: FloatArray, target: FloatArray) -> None:
    # Most records leak almost surely not: bins hold equal shares of the leaks expected.
    order = np.argsort(probability, kind="stable")
    reached = np.cumsum(probability[order]) / probability.sum()
    edges = np.searchsorted(reached, np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS)
    bins = [rows for rows in np.split(order, edges) if len(rows)]
    said = np.array([probability[rows].mean() for rows in bins])
    seen = np.array([target[rows].mean() for rows in bins])
    size = np.array([len(rows) for rows in bins])
    error = 1.96 * np.sqrt(np.maximum(said * (1 - said), 1e-9) / size)
    bars = np.minimum(error, seen), np.minimum(error, 1.0 - seen)
    top = max(float(said.max()), float(seen.max())) * 1.08
    axes.plot((0, top), (0, top), color=MUTED, linestyle="--", linewidth=1, label="exactly so")
    axes.errorbar(
        said, seen, yerr=bars, color=ACCENT, fmt="o", markersize=5, capsize=3,
        label="seen, with the range chance allows",
    )  # fmt: skip
    axes.set(
        xlim=(0, top), ylim=(0, min(top + 0.1, 1.05)),
        xlabel="probability that was said", ylabel="share that leaked",
    )  # fmt: skip
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    axes.set_title("Said and seen, bins of equal expected leaks", loc="left", color=INK)


def _importance(axes: Axes, frame: Frame, artifact: Artifact) -> None:
    step = max(1, len(frame) // MOST_EXPLAINED_ROWS)
    sample = {name: values[::step] for name, values in frame.columns.items()}
    drivers = RevenueLeakPredictor(artifact).drivers(sample)
    weight = np.abs(drivers.contributions).mean(axis=0)
    order = np.argsort(weight, kind="stable")[-MOST_BARS:]
    names = [drivers.names[i].replace("_", " ") for i in order]
    axes.barh(names, weight[order], color=ACCENT, height=0.65)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("mean absolute effect on the log-odds of a leak")
    axes.set_title("What the answers rest on", loc="left", color=INK)
