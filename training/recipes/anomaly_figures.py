"""Pictures of an anomaly release."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bentos.anomaly.predictor import AnomalyPredictor
from core.artifact import Artifact
from training.frame import Frame

Outputs = Mapping[str, npt.NDArray[Any]]
_BLUE, _GREY, _ORANGE = "#1f6fb4", "#777777", "#d9822b"
_SHOWN, _LEAST = 200, 10


def figures(outputs: Outputs, frame: Frame, artifact: Artifact) -> Iterator[tuple[str, Figure]]:
    """Draw the scores, whether p-values are honest, and what makes flagged records unusual."""
    yield "scores", _scores(outputs)
    yield "p_values", _p_values(outputs)
    yield "unusual_features", _reasons(outputs, frame, artifact)


def _scores(outputs: Outputs) -> Figure:
    """Show how the scores lie, and what is flagged."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axis = figure.subplots()
    flagged = outputs["is_anomaly"].astype(bool)
    bins = np.linspace(0, 1, 51).tolist()
    axis.hist(outputs["score"][~flagged], bins=bins, color=_BLUE, alpha=0.8, label="usual")
    axis.hist(outputs["score"][flagged], bins=bins, color=_ORANGE, label="flagged")
    axis.set_yscale("log")
    axis.set(title=f"scores of the test: {flagged.mean():.2%} flagged", xlabel="score",
             ylabel="records")  # fmt: skip
    axis.legend(frameon=False)
    _plain(axis)
    return figure


def _p_values(outputs: Outputs) -> Figure:
    """Show the share of records at or below each p-value: the diagonal is honest."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axis = figure.subplots()
    p_value = np.sort(outputs["p_value"].astype(np.float64))
    share = np.arange(1, len(p_value) + 1) / len(p_value)
    least = 1 / len(p_value)
    axis.plot([least, 1], [least, 1], color=_GREY, ls=":", label="honest")
    axis.plot(np.maximum(p_value, least / 10), share, color=_BLUE, label="test")
    axis.set(xscale="log", yscale="log", xlabel="p-value", ylabel="share of records at most there",
             title="p-values of the test")  # fmt: skip
    axis.legend(frameon=False)
    _plain(axis)
    return figure


def _reasons(outputs: Outputs, frame: Frame, artifact: Artifact) -> Figure:
    """Count which feature is named first for the most unusual records."""
    flagged = int(np.count_nonzero(outputs["is_anomaly"]))
    order = np.argsort(-outputs["score"], kind="stable")[: min(max(flagged, _LEAST), _SHOWN)]
    drivers = AnomalyPredictor(artifact).drivers({n: v[order] for n, v in frame.columns.items()})
    first = [drivers.names[i] for i in drivers.contributions.argmax(axis=1)]
    named = Counter(first).most_common()[::-1]
    figure = Figure(figsize=(6.5, 0.9 + 0.35 * len(named)), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh([name for name, _ in named], [count for _, count in named], color=_BLUE)
    axis.bar_label(bars, padding=3)
    axis.set(title=f"what stands out first in the {len(order)} most unusual records", xticks=[])
    _plain(axis)
    axis.spines["bottom"].set_visible(False)
    return figure


def _plain(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
