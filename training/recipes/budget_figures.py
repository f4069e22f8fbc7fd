"""Pictures of a budget release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from bentos.budget.curves import Responses
from bentos.budget.predictor import CHANNELS, CURVES
from core.artifact import Artifact
from training.frame import Frame

Outputs = Mapping[str, npt.NDArray[Any]]
_COLOURS = ("#1f6fb4", "#d9822b", "#3a9a6a", "#b5485d", "#7a5fb0", "#8a6d3b", "#2f9fb0", "#777777")
_INK, _GREY = "#222222", "#555555"
_HISTORY = "history.npz"
_COLUMNS = 3


def figures(outputs: Outputs, frame: Frame, artifact: Artifact) -> Iterator[tuple[str, Figure]]:
    """Draw the curves, what each channel brought week by week, the test, and past returns."""
    yield "response_curves", _curves(artifact)
    yield "what_brought_the_outcome", _weeks(artifact)
    yield "held_out_weeks", _test(outputs, frame, artifact)
    yield "past_returns", _returns(artifact)


def _known(artifact: Artifact) -> tuple[list[dict[str, Any]], Responses]:
    listed, arrays = artifact.read_json(CHANNELS), artifact.read_arrays(CURVES)
    responses = Responses(listed["form"], arrays["worth"], arrays["half"], arrays["shape"])
    return listed["channels"], responses


def _short(name: str) -> str:
    return name.removesuffix("_amount").replace("_", " ")


def _curves(artifact: Artifact) -> Figure:
    """Show what steady spend brings, with its interval and today's place."""
    channels, responses = _known(artifact)
    rows = -(-len(channels) // _COLUMNS)
    figure = Figure(figsize=(11, 3.1 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axis in axes[len(channels) :]:
        axis.set_axis_off()
    for place, channel in enumerate(channels):
        axis, colour = axes[place], _COLOURS[place % len(_COLOURS)]
        spend = np.linspace(0, 1.2 * channel["most_seen_amount"], 80)
        wide = np.zeros((80, 1, len(channels)))
        wide[:, 0, place] = spend
        brought = (responses.worth * responses.share(wide))[:, :, place]
        low, high = np.quantile(brought, [0.05, 0.95], axis=1)
        axis.fill_between(spend, low, high, color=colour, alpha=0.18, lw=0)
        axis.plot(spend, brought.mean(axis=1), color=colour, lw=2)
        now = channel["recent_amount"]
        axis.axvline(now, color=_GREY, ls=":", lw=1)
        axis.plot(now, np.interp(now, spend, brought.mean(axis=1)), "o", color=_INK, ms=5)
        unsure = "" if channel["reason"] is None else "  (not identified)"
        axis.set_title(_short(channel["channel"]) + unsure, fontsize=10)
        axis.set_xlim(0, spend[-1] or 1)
        axis.set_ylim(0)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle("What steady spend brings a week: mean, 90 %, and today's place", fontsize=11)
    figure.supxlabel("spend a week", fontsize=9)
    figure.supylabel(_unit(artifact) + " a week", fontsize=9)
    return figure


def _weeks(artifact: Artifact) -> Figure:
    """Stack what each channel brought in each week upon the base."""
    channels, _ = _known(artifact)
    kept = artifact.read_arrays(_HISTORY)
    times = kept["weeks"].astype("datetime64[s]")
    brought, outcome = kept["brought"], kept["outcome"]
    base = outcome - brought.sum(axis=1)
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    axis = figure.subplots()
    floor = _running(base)
    axis.fill_between(times, 0, floor, color="#e4e4e4", lw=0, label="without marketing")
    for place, channel in enumerate(channels):
        top = floor + brought[:, place]
        colour = _COLOURS[place % len(_COLOURS)]
        axis.fill_between(times, floor, top, color=colour, alpha=0.85, lw=0,
                          label=_short(channel["channel"]))  # fmt: skip
        floor = top
    axis.plot(times, outcome, color=_INK, lw=1, label="what came")
    axis.set_ylim(0)
    axis.set_xlim(times[0], times[-1])
    axis.set_ylabel(_unit(artifact) + " a week")
    axis.set_title("What brought the outcome, week by week", fontsize=11)
    axis.legend(frameon=False, fontsize=8, ncols=1, loc="center left", bbox_to_anchor=(1, 0.5))
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _running(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Take the noise out of the base for the picture: a mean of five weeks."""
    padded = np.concatenate([values[:1], values[:1], values, values[-1:], values[-1:]])
    smooth: npt.NDArray[Any] = np.convolve(padded, np.ones(5) / 5, mode="valid")
    return smooth


def _test(outputs: Outputs, frame: Frame, artifact: Artifact) -> Figure:
    """Show the prediction of the weeks that were held out."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axis = figure.subplots()
    times = frame.as_of if frame.as_of is not None else np.arange(len(frame))
    order = np.argsort(times)
    axis.fill_between(times[order], outputs["low"][order], outputs["high"][order],
                      color=_COLOURS[0], alpha=0.18, lw=0, label="90 %")  # fmt: skip
    axis.plot(times[order], outputs["value"][order], color=_COLOURS[0], lw=2, label="predicted")
    axis.plot(times[order], frame.target[order], "o", color=_COLOURS[1], ms=4, label="what came")
    axis.set_ylabel(_unit(artifact) + " a week")
    axis.set_title("Held-out weeks, predicted from their spend and controls", fontsize=11)
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _returns(artifact: Artifact) -> Figure:
    """Show what a unit of spend brought in the past, with its interval."""
    channels, _ = _known(artifact)
    kept = artifact.read_arrays(_HISTORY)
    ratio = kept["total"] / kept["spend"].sum(axis=0)
    low, middle, high = np.quantile(ratio, [0.05, 0.5, 0.95], axis=0)
    order = np.argsort(middle)
    figure = Figure(figsize=(8, 0.5 * len(channels) + 1.4), layout="constrained")
    axis = figure.subplots()
    for row, place in enumerate(order):
        colour = _COLOURS[place % len(_COLOURS)]
        axis.plot([low[place], high[place]], [row, row], color=colour, lw=5, alpha=0.3,
                  solid_capstyle="round")  # fmt: skip
        axis.plot(middle[place], row, "o", color=colour, ms=8)
    axis.set_yticks(range(len(order)), [_short(channels[i]["channel"]) for i in order])
    axis.set_ylim(-0.6, len(order) - 0.4)
    axis.set_xlim(0)
    axis.set_xlabel("return on a unit of spend over the history: median and 90 %")
    axis.set_title("What each channel returned", fontsize=11)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _unit(artifact: Artifact) -> str:
    return artifact.config.target.unit or "outcome"
