"""Pictures of how the profitability model did on the holdout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from bentos.profitability.predictor import ProfitabilityPredictor
from core.artifact import Artifact
from core.encoding import FloatArray
from training.frame import Frame

INK, SOFT, ACCENT = "#1f2937", "#9ca3af", "#2563eb"
SIZE = (7.2, 4.6)
MOST_POINTS = 5000
MOST_EXPLAINED = 1000
MOST_FEATURES = 15
GROUPS = 10


def figures_of(
    outputs: Mapping[str, npt.NDArray[Any]], frame: Frame, artifact: Artifact
) -> Iterator[tuple[str, Figure]]:
    """Draw outcomes, residuals, coverage and importance.

    Parameters
    ----------
    outputs
        What ``Predictor.score`` gave: arrays of shape ``(n,)``.
    frame
        The ``n`` rows.
    artifact
        The trained model, whose reasons are drawn.
    """
    known = np.flatnonzero(~np.isnan(frame.target))
    target = frame.target[known]
    predicted, low, high = (
        outputs[name][known] for name in ("profit_amount", "low_amount", "high_amount")
    )
    unit = artifact.config.target.unit or "money"
    yield "predicted_and_actual", _outcomes(target, predicted, unit)
    yield "residuals", _residuals(target, predicted, unit)
    inside = (target >= low) & (target <= high)
    yield "coverage", _coverage(inside, predicted, float(outputs["level"][0]))
    yield "importance", _importance(artifact, frame.take(known[:: _step(len(known))]), unit)


def _step(count: int) -> int:
    """Give the step that leaves at most as many rows as are explained."""
    return max(1, -(-count // MOST_EXPLAINED))


def _axes(title: str, *, across: str, up: str) -> tuple[Figure, Axes]:
    """Give an empty, plain chart."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=12, color=INK)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _money(axis: Any) -> None:
    """Write amounts with thousands parted."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _symmetric_log(axes: Axes, values: FloatArray, *, both: bool) -> None:
    """Spread heavy tails: linear up to the usual size, logarithmic beyond."""
    # Where most gaps are rounding, a ten thousandth of the largest is fine enough to see.
    most = float(np.abs(values).max())
    usual = max(float(np.quantile(np.abs(values), 0.75)), 1e-4 * most)
    if most > 20 * usual:
        threshold = 10.0 ** np.floor(np.log10(usual))
        axes.set_yscale("symlog", linthresh=threshold)
        if both:
            axes.set_xscale("symlog", linthresh=threshold)


def _outcomes(target: FloatArray, predicted: FloatArray, unit: str) -> Figure:
    figure, axes = _axes(
        "Predicted and actual profit", across=f"predicted, {unit}", up=f"actual, {unit}"
    )
    step = max(1, len(target) // MOST_POINTS)
    _symmetric_log(axes, target, both=True)
    ends = [float(min(target.min(), predicted.min())), float(max(target.max(), predicted.max()))]
    axes.scatter(predicted[::step], target[::step], s=9, alpha=0.35, color=ACCENT, linewidths=0)
    axes.plot(ends, ends, color=INK, linewidth=1, label="exact")
    axes.legend(frameon=False, loc="upper left")
    axes.tick_params(axis="x", labelrotation=30)
    _money(axes.xaxis)
    _money(axes.yaxis)
    return figure


def _residuals(target: FloatArray, predicted: FloatArray, unit: str) -> Figure:
    gap = target - predicted
    figure, axes = _axes(
        "Residuals over the size of the prediction",
        across="rank of the prediction, 0 lowest to 1 highest",
        up=f"actual less predicted, {unit}",
    )
    rank = np.argsort(np.argsort(predicted, kind="stable"), kind="stable") / len(predicted)
    step = max(1, len(target) // MOST_POINTS)
    _symmetric_log(axes, gap, both=False)
    axes.scatter(rank[::step], gap[::step], s=9, alpha=0.35, color=ACCENT, linewidths=0)
    axes.axhline(0, color=INK, linewidth=1)
    _money(axes.yaxis)
    return figure


def _coverage(inside: npt.NDArray[np.bool_], predicted: FloatArray, level: float) -> Figure:
    figure, axes = _axes(
        "Share of outcomes inside the interval",
        across="tenth of the rows, by predicted profit",
        up="share inside",
    )
    parts = np.array_split(np.argsort(predicted, kind="stable"), min(GROUPS, len(predicted)))
    shares = [float(inside[part].mean()) for part in parts]
    places = np.arange(1, len(parts) + 1)
    axes.bar(places, shares, width=0.7, color=ACCENT)
    axes.axhline(level, color=INK, linewidth=1.2, linestyle="--", label=f"stated: {level:.0%}")
    axes.set_xticks(places)
    axes.set_ylim(max(0.0, min(*shares, level) - 0.15), 1.0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return figure


def _importance(artifact: Artifact, frame: Frame, unit: str) -> Figure:
    drivers = ProfitabilityPredictor(artifact).drivers(frame.columns)
    sizes = np.abs(drivers.contributions).mean(axis=0)
    order = np.argsort(-sizes, kind="stable")[:MOST_FEATURES][::-1]
    figure, axes = _axes(
        "What moves the prediction", across=f"mean absolute contribution, {unit}", up=""
    )
    axes.barh([drivers.names[i] for i in order], sizes[order], height=0.65, color=ACCENT)
    axes.grid(visible=False, axis="y")
    _money(axes.xaxis)
    return figure
