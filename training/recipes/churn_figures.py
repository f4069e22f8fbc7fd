"""Pictures of a churn run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from bentos.churn.predictor import ChurnPredictor
from core.artifact import Artifact
from training.frame import Frame

_BINS = 10
_MOST_ROWS = 2000
_MOST_BARS = 15
_BLUE, _GREY = "#2f6db5", "#8a8f98"


def figures(
    outputs: Mapping[str, npt.NDArray[Any]], frame: Frame, artifact: Artifact
) -> Iterator[tuple[str, Figure]]:
    """Draw calibration, ROC curve, scores and importance."""
    known = ~np.isnan(frame.target)
    target, chance = frame.target[known], outputs["probability"][known].astype(np.float64)
    yield "calibration", _calibration(target, chance)
    if len(np.unique(target)) > 1:
        yield "roc", _roc(target, chance)
    yield "scores", _scores(target, chance)
    yield "importance", _importance(frame, artifact)


def _calibration(target: npt.NDArray[Any], chance: npt.NDArray[Any]) -> Figure:
    figure = Figure(figsize=(5.4, 5), layout="constrained")
    axes = figure.subplots()
    order = np.argsort(chance, kind="stable")
    edges = np.linspace(0, len(order), _BINS + 1).round().astype(int)
    bins = [order[a:b] for a, b in pairwise(edges) if b > a]
    said = np.array([chance[rows].mean() for rows in bins])
    true = np.array([target[rows].mean() for rows in bins])
    error = np.array(
        [1.96 * np.sqrt(t * (1 - t) / len(r)) for t, r in zip(true, bins, strict=True)]
    )
    top = float(min(1.0, max(said.max(), (true + error).max()) * 1.08))
    axes.plot([0, top], [0, top], color=_GREY, linestyle="--", label="perfect")
    axes.errorbar(said, true, yerr=error, fmt="o-", color=_BLUE, capsize=3, label="model, 95 %")
    axes.set(xlim=(0, top), ylim=(0, top), xlabel="probability said", ylabel="share that left")
    axes.set_title(f"Calibration, {_BINS} bins of {len(order) // _BINS:,} rows")
    axes.legend(frameon=False)
    return figure


def _roc(target: npt.NDArray[Any], chance: npt.NDArray[Any]) -> Figure:
    figure = Figure(figsize=(5.4, 5), layout="constrained")
    axes = figure.subplots()
    false_rate, true_rate, _ = roc_curve(target, chance)
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--")
    axes.plot(false_rate, true_rate, color=_BLUE)
    axes.set(xlabel="share of stayers flagged", ylabel="share of leavers found", title="ROC curve")
    return figure


def _scores(target: npt.NDArray[Any], chance: npt.NDArray[Any]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    edges = np.linspace(0, max(chance.max(), 1e-6), 31)
    parts = ((chance[target == 0], "stayed", _GREY), (chance[target == 1], "left", _BLUE))
    for values, label, colour in parts:
        axes.hist(values, bins=edges.tolist(), alpha=0.7, color=colour, label=label)
    axes.set(xlabel="probability said", ylabel="clients", title="What was said, by what happened")
    axes.legend(frameon=False)
    return figure


def _importance(frame: Frame, artifact: Artifact) -> Figure:
    rows = frame.take(np.arange(min(len(frame), _MOST_ROWS)))
    drivers = ChurnPredictor(artifact).drivers(rows.columns)
    weight = np.abs(drivers.contributions).mean(axis=0)
    order = np.argsort(weight)[-_MOST_BARS:]
    figure = Figure(figsize=(6.4, 0.5 + 0.3 * len(order)), layout="constrained")
    axes = figure.subplots()
    axes.barh([drivers.names[i] for i in order], weight[order], color=_BLUE)
    axes.set(xlabel="mean effect on the log-odds", title="Importance")
    return figure
