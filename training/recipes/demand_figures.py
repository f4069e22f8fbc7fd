"""Pictures of a demand release."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from bentos.demand.panel import SERIES
from core.artifact import Artifact
from training.frame import Frame

Outputs = Mapping[str, npt.NDArray[Any]]
_SHOWN = 6
_BLUE, _GREY, _ORANGE = "#1f6fb4", "#555555", "#d9822b"


def figures(outputs: Outputs, frame: Frame, artifact: Artifact) -> Iterator[tuple[str, Figure]]:
    """Draw the forecast fans of some series, the error by step, and the methods chosen."""
    yield "forecast_fans", _fans(outputs, frame, artifact)
    yield "error_by_step", _by_step(outputs, frame)
    yield "methods", _methods(artifact)


def _fans(outputs: Outputs, frame: Frame, artifact: Artifact) -> Figure:
    """Show forecast, interval and what came, of series spread over the range of errors."""
    names = frame.entity.astype(str)
    unique = np.unique(names)
    errors = np.array([np.nanmean(_scaled(outputs, frame)[names == name]) for name in unique])
    order = unique[np.argsort(np.nan_to_num(errors, nan=np.inf))]
    picked = order[np.linspace(0, len(order) - 1, min(_SHOWN, len(order))).astype(int)]
    figure = Figure(figsize=(11, 6.2), layout="constrained")
    axes = figure.subplots(2, 3, squeeze=False).ravel()
    for axis in axes[len(picked) :]:
        axis.set_axis_off()
    for axis, name in zip(axes, picked, strict=False):
        rows = np.flatnonzero(names == name)
        rows = rows[np.argsort(outputs["step"][rows])]
        step = outputs["step"][rows]
        low, high = outputs["low"][rows], outputs["high"][rows]
        axis.fill_between(step, low, high, color=_BLUE, alpha=0.18, lw=0)
        axis.plot(step, outputs["naive"][rows], color=_GREY, lw=1, ls=":", label="last season")
        axis.plot(step, outputs["value"][rows], color=_BLUE, lw=2, label="forecast, 95 %")
        axis.plot(step, frame.target[rows], "o", color=_ORANGE, ms=4, label="what came")
        axis.set_title(str(name), fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    unit = artifact.config.target.unit or "demand"
    axes[0].set_ylabel(unit)
    axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle("Held-out forecasts, from the best series to the worst", fontsize=11)
    figure.supxlabel("steps ahead", fontsize=9)
    return figure


def _by_step(outputs: Outputs, frame: Frame) -> Figure:
    """Show how errors and coverage go with the step."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    known = np.isfinite(outputs["value"])
    step = outputs["step"][known].astype(int)
    missed = _scaled(outputs, frame)[known]
    naive = (np.abs(frame.target - outputs["naive"]) / outputs["scale"])[known]
    target = frame.target[known]
    held = (target >= outputs["low"][known]) & (target <= outputs["high"][known])
    steps = np.unique(step)
    left.plot(steps, [naive[step == s].mean() for s in steps], color=_GREY, ls=":",
              label="last season")  # fmt: skip
    left.plot(steps, [missed[step == s].mean() for s in steps], color=_BLUE, label="forecast")
    left.set(title="mean absolute scaled error", xlabel="steps ahead", ylim=(0, None))
    left.legend(frameon=False)
    right.plot(steps, [held[step == s].mean() for s in steps], color=_BLUE)
    right.axhline(0.95, color=_GREY, ls=":")
    right.set(title="share within the 95 % interval", xlabel="steps ahead", ylim=(0.5, 1.01))
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _methods(artifact: Artifact) -> Figure:
    """Count the series of each method."""
    counts = Counter(found["method"] for found in artifact.read_json(SERIES)["series"])
    named = counts.most_common()[::-1]
    figure = Figure(figsize=(6.5, 0.5 + 0.4 * len(named)), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh([name for name, _ in named], [count for _, count in named], color=_BLUE)
    axis.bar_label(bars, padding=3)
    axis.set(title="series by method", xticks=[])
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    return figure


def _scaled(outputs: Outputs, frame: Frame) -> npt.NDArray[np.float64]:
    errors: npt.NDArray[np.float64] = np.abs(frame.target - outputs["value"]) / outputs["scale"]
    return errors
