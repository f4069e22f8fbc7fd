"""Pictures of the curves that the pricing model serves, and of how they did on the holdout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from bentos.pricing.predictor import PricingPredictor
from core.artifact import Artifact
from core.encoding import FloatArray
from training.frame import Frame

Outputs = Mapping[str, npt.NDArray[Any]]
INK, SOFT, ACCENT, WARM = "#1f2937", "#9ca3af", "#2563eb", "#d97706"
COLOURS = (ACCENT, WARM, "#059669")
POINTS = 121
MOST_POINTS = 5000
MOST_LEVELS = 12
BINS = 10
SHARES = (0.15, 0.5, 0.85)


def figures_of(outputs: Outputs, frame: Frame, artifact: Artifact) -> Iterator[tuple[str, Figure]]:
    """Draw curves, calibration, elasticities and the move of the prices.

    Parameters
    ----------
    outputs
        What ``answers_on`` gave: arrays of shape ``(n,)``.
    frame
        The ``n`` rows.
    artifact
        The trained model, whose curves are drawn.
    """
    predictor = PricingPredictor(artifact)
    is_win = bool(outputs["is_win"][0])
    yield "price_curves", _curves(predictor, outputs, frame, is_win=is_win)
    known = ~np.isnan(frame.target)
    own = {name: values[known] for name, values in outputs.items()}
    if is_win:
        yield "calibration", _calibration(own["response"], frame.target[known])
    else:
        yield "predicted_and_actual", _outcomes(own, frame.target[known], artifact)
    yield "elasticities", _elasticities(outputs, frame, artifact)
    yield "price_moves", _moves(outputs)


def _plain(axes: Axes, title: str, *, across: str, up: str) -> None:
    """Dress a chart plainly."""
    axes.set_title(title, loc="left", fontsize=12, color=INK)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)


def _one() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    return figure, figure.add_subplot()


def _curves(predictor: PricingPredictor, outputs: Outputs, frame: Frame, *, is_win: bool) -> Figure:
    """Draw response and profit of a flat, a usual and a steep row, over price / its best price."""
    order = np.argsort(np.abs(outputs["elasticity"]), kind="stable")
    rows = order[[int(share * (len(order) - 1)) for share in SHARES]]
    matrix = predictor.encoder.encode({k: v[rows] for k, v in frame.columns.items()})
    curves, cost = predictor.curves(matrix), predictor.costs(matrix)
    first, last = predictor.seen_prices(matrix)
    prices = np.exp(np.linspace(np.log(first), np.log(last), POINTS, axis=1))
    best = outputs["best_price"][rows][:, None]
    low, high = curves.interval(prices)
    size = np.ones_like(best) if is_win else curves.response(best)
    profit = (prices - cost[:, None]) * curves.response(prices)
    share = profit / np.maximum(profit.max(axis=1, keepdims=True), 1e-300)
    figure = Figure(figsize=(10.0, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    what = "chance to win" if is_win else "volume over that at the best price"
    across = "price over the recommended price"
    _plain(left, "Response to the price, with its interval", across=across, up=what)
    _plain(right, "Expected profit", across=across, up="share of the highest")
    for i, (colour, name) in enumerate(zip(COLOURS, ("flat", "usual", "steep"), strict=True)):
        place, scale = prices[i] / best[i], size[i]
        left.fill_between(place, low[i] / scale, high[i] / scale, color=colour, alpha=0.13, lw=0)
        left.plot(place, curves.response(prices)[i] / scale, color=colour, lw=2, label=name)
        right.plot(place, share[i], color=colour, lw=2, label=name)
        now = float(outputs["price"][rows[i]])
        held = np.interp(now, prices[i], share[i])
        right.plot(now / best[i], held, "o", color=colour, ms=7, mec="white")
    right.plot([], [], "o", color=SOFT, ms=7, label="price that was charged")
    if is_win:
        left.set_ylim(0, 1)
        left.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    else:
        left.set_yscale("log")
        left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    right.set_ylim(min(0.0, float(share[:, -1].min())), 1.05)
    right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axes in (left, right):
        axes.axvline(1.0, color=INK, lw=1, ls=":")
    left.legend(frameon=False)
    right.legend(frameon=False, loc="lower right")
    return figure


def _calibration(chance: FloatArray, won: FloatArray) -> Figure:
    figure, axes = _one()
    _plain(axes, "Predicted and actual share of wins", across="predicted chance", up="share won")
    parts = np.array_split(np.argsort(chance, kind="stable"), BINS)
    said = np.array([chance[p].mean() for p in parts if len(p)])
    was = np.array([won[p].mean() for p in parts if len(p)])
    count = np.array([len(p) for p in parts if len(p)])
    error = 1.96 * np.sqrt(np.maximum(was * (1 - was), 1e-4) / count)
    axes.plot([0, 1], [0, 1], color=SOFT, lw=1, ls="--", label="exact")
    axes.errorbar(said, was, yerr=error, fmt="o", color=ACCENT, ms=6, capsize=3,
                  label="tenth of the rows, with 95 % interval")  # fmt: skip
    ends = [max(0.0, min(said.min(), (was - error).min()) - 0.03),
            min(1.0, max(said.max(), (was + error).max()) + 0.03)]  # fmt: skip
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(frameon=False, loc="upper left")
    return figure


def _outcomes(own: Outputs, target: FloatArray, artifact: Artifact) -> Figure:
    figure, axes = _one()
    unit = artifact.config.target.unit or "units"
    _plain(axes, "Predicted and actual volume", across=f"predicted, {unit}", up=f"actual, {unit}")
    step = max(1, len(target) // MOST_POINTS)
    median = np.exp(own["eta"])
    axes.scatter(median[::step], target[::step], s=9, alpha=0.3, color=ACCENT, linewidths=0)
    ends = [min(median.min(), target.min()), max(median.max(), target.max())]
    axes.plot(ends, ends, color=INK, lw=1, label="exact")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    inside = float(((target >= own["low"]) & (target <= own["high"])).mean())
    axes.plot([], [], " ", label=f"{inside:.0%} inside the {own['level'][0]:.0%} interval")
    axes.legend(frameon=False, loc="upper left")
    return figure


def _elasticities(outputs: Outputs, frame: Frame, artifact: Artifact) -> Figure:
    """Draw the elasticities at the own price, by the finest segment."""
    figure, axes = _one()
    values = outputs["elasticity"]
    names = artifact.config.role("segments")
    levels = frame.columns[names[0]] if names else None
    if levels is None or len({str(v) for v in levels}) > MOST_LEVELS:
        _plain(axes, "Elasticities at the price charged", across="elasticity", up="rows")
        axes.hist(np.clip(values, *np.quantile(values, [0.01, 0.99])), bins=40, color=ACCENT)
        return figure
    found, codes = np.unique(levels.astype(str), return_inverse=True)
    middles = np.array([np.median(values[codes == i]) for i in range(len(found))])
    order = np.argsort(-middles, kind="stable")
    _plain(axes, "Elasticities at the price charged", across="elasticity", up="")
    boxes = axes.boxplot(
        [values[codes == i] for i in order], orientation="horizontal", showfliers=False, widths=0.6,
        patch_artist=True, tick_labels=[found[i] for i in order], whis=(5, 95),
        medianprops={"color": INK},
    )  # fmt: skip
    for box in boxes["boxes"]:
        box.set(facecolor=ACCENT, alpha=0.35, edgecolor=ACCENT)
    axes.axvline(-1.0, color=SOFT, lw=1, ls="--")
    axes.grid(visible=False, axis="y")
    return figure


def _moves(outputs: Outputs) -> Figure:
    figure, axes = _one()
    move = outputs["best_price"] / outputs["price"] - 1.0
    _plain(
        axes, "Recommended price against the one charged", across="change of the price", up="rows"
    )
    held = np.clip(move, *np.quantile(move, [0.005, 0.995]))
    edge = outputs["is_at_edge"]
    bins = np.linspace(held.min(), held.max(), 41).tolist() if np.ptp(held) else 10
    axes.hist(
        [held[~edge], held[edge]], bins=bins, stacked=True, color=[ACCENT, WARM],
        label=["inside the prices seen", f"at their edge: {edge.mean():.0%} of the rows"],
    )  # fmt: skip
    axes.axvline(0, color=INK, lw=1, ls=":")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(frameon=False)
    return figure
