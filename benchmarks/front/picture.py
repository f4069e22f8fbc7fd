"""The table as a picture: horizontal bars, a panel a figure."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.front.rounds import Seen
from benchmarks.front.table import BARE, OURS, middle

_OURS, _BARE, _OTHER = "#0b6e4f", "#5b6770", "#b9c2c9"
_PANELS = (
    (32, "per_second", "rows a second, 32 connections", False),
    (256, "per_second", "rows a second, 256 connections", False),
    (1, "p50_ms", "median latency, one connection (ms, log)", True),
    (256, "p99_ms", "p99 latency, 256 connections (ms, log)", True),
)


def draw(seen: Sequence[Seen], path: Path) -> None:
    """Draw the servers of one model.

    Parameters
    ----------
    seen
        What was measured of each.
    path
        The PNG file.
    """
    names = len(seen)
    figure = Figure(figsize=(12, 1.6 + 0.62 * names), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2, sharey=True).ravel()
    for panel, (count, name, title, is_log) in zip(axes, _PANELS, strict=True):
        _panel(panel, seen, [middle(one, count, name) for one in seen], is_log=is_log)
        panel.set_title(title, fontsize=10, loc="left")
    figure.suptitle("One model behind every server, one serving process each", fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _panel(
    panel: Axes, seen: Sequence[Seen], values: Sequence[float | None], *, is_log: bool
) -> None:
    places = list(range(len(seen)))
    known = [0.0 if value is None else value for value in values]
    colours = [_colour(one) for one in seen]
    if is_log and any(known):
        # A bar has no length on an axis without a zero: a dot says where, and no more.
        panel.set_xscale("log")
        panel.xaxis.set_minor_formatter(NullFormatter())
        least = min(value for value in known if value)
        panel.set_xlim(10 ** floor(log10(least)), 10 ** ceil(log10(2 * max(known))))
        panel.scatter(known, places, c=colours, s=60, zorder=3)
        panel.grid(axis="x", which="major", color="#e3e7ea")
    elif any(known):
        panel.barh(places, known, color=colours, height=0.7)
        panel.set_xlim(0, 1.18 * max(known))
    for place, value in zip(places, values, strict=True):
        text = "not measured" if value is None else _shown(value, is_log=is_log)
        at = (value or panel.get_xlim()[0], place)
        panel.annotate(text, at, xytext=(7, 0), textcoords="offset points", va="center", fontsize=8)
    panel.set_yticks(places, [one.server.title for one in seen], fontsize=9)
    if not panel.yaxis_inverted():
        panel.invert_yaxis()
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(axis="x", labelsize=8)


def _colour(one: Seen) -> str:
    name = one.server.name
    if name.startswith(OURS):
        return _OURS
    return _BARE if name.startswith(BARE) else _OTHER


def _shown(value: float, *, is_log: bool) -> str:
    return f"{value:.2f}" if is_log and value < 10 else f"{value:,.0f}"  # noqa: PLR2004 - digits
