"""Draws one panel of a picture: lines over time, bars, or intervals about zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from services.history.reader.plot import Line, Plot
from services.history.reader.step import name_of

# Okabe and Ito, without the yellow that white swallows and the black of the text.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)))
_OTHERS, _NONE, _REFERENCE = "#C4C4C4", "#8C8C8C", "#555555"
# As many points can be seen as such.
_MOST_MARKED = 45
_MOST_BOLD = 250
# About a single point of time.
_AROUND = timedelta(days=2)
# Of a band that is a single point.
_BAND_POINTS = 9
_LARGE, _MILLION, _HUGE = 1e7, 1e6, 1e15
_MINUS = "\N{MINUS SIGN}"
# Zero is shown when it is not far below what is drawn.
_NEAR_ZERO = 0.4


def draw_panel(axis: Axes, plot: Plot) -> None:
    """Draw a panel.

    Parameters
    ----------
    axis
        Where.
    plot
        What.
    """
    draw_kind: dict[str, Callable[[Axes, Plot], None]] = {
        "line": _lines, "bar": _bars, "interval": _intervals,
    }  # fmt: skip
    draw_kind[plot.kind](axis, plot)
    if plot.title is not None:
        axis.set_title(plot.title, fontweight="bold")


def legend(axis: Axes, plots: list[Plot]) -> None:
    """Name the lines of all panels, beside one of them.

    Parameters
    ----------
    axis
        The one: at the top, on the right.
    plots
        All panels.
    """
    named: dict[str, Artist] = {}
    for plot in plots:
        for place, line in enumerate(plot.lines):
            if line.name is not None:
                named.setdefault(line.name, _key(plot, place))
    others = max((len(plot.others) for plot in plots), default=0)
    if others:
        named[f"{others} more"] = Line2D([], [], color=_OTHERS, linewidth=1)
    entries = {**named, **_references(plots)}
    if not entries:
        return
    axis.legend(
        list(entries.values()),
        # One that begins with an underscore would be left out.
        [f"\u200b{name}" if name.startswith("_") else name for name in entries],
        loc="upper left",
        bbox_to_anchor=(1.01, 1.02),
        borderaxespad=0,
        title=plots[0].by if named else None,
        alignment="left",
    )


def _references(plots: list[Plot]) -> dict[str, Artist]:
    found: dict[str, Artist] = {}
    for plot, line in ((one, line) for one in plots for line in one.lines):
        for number, (name, values) in enumerate(line.references.items()):
            has_points = _marks(plot, Line(None, line.x, values)) != []
            found[name] = Line2D(
                [], [], color=_REFERENCE, linewidth=1.2, linestyle=_dots(number),
                marker="D" if has_points else "", markersize=4, markerfacecolor="white",
            )  # fmt: skip
    return found


def _marks(plot: Plot, line: Line) -> list[int]:
    """Give the places of what a line is held against that are seen as points."""
    known = [i for i, value in enumerate(line.y) if not math.isnan(value)]
    # What happens at moments happened at each; steps follow one another.
    return known if plot.step is None and len(known) <= _MOST_MARKED else line.alone


def _dots(number: int) -> tuple[int, tuple[float, ...]]:
    """Give the dashes of what a line is held against; the first is the main one."""
    return (0, (4, 2)) if number == 0 else (0, (1.2, 2))


def _key(plot: Plot, place: int) -> Artist:
    colour, dashes = _look(plot, place)
    if plot.kind == "line":
        return Line2D([], [], color=colour, linestyle=dashes, linewidth=1.8)
    return Line2D([], [], color=colour, linestyle="", marker="s", markersize=8)


def _look(plot: Plot, place: int) -> tuple[str, Any]:
    """Give the colour and dashes of a line; what has no value is grey."""
    if plot.lines[place].name == "none":
        return _NONE, _DASHES[0]
    return COLOURS[place % len(COLOURS)], _DASHES[place // len(COLOURS) % len(_DASHES)]


def _lines(axis: Axes, plot: Plot) -> None:
    for line in plot.others:
        axis.plot(line.x, line.y, color=_OTHERS, linewidth=0.8, zorder=1.5)
    for place, line in enumerate(plot.lines):
        colour, dashes = _look(plot, place)
        is_marked = len(line.x) <= _MOST_MARKED
        axis.plot(
            line.x, line.y, color=colour, linestyle=dashes, zorder=3,
            linewidth=1.8 if len(line.x) <= _MOST_BOLD else 0.9,
            marker="o", markersize=4 if is_marked else 2.5,
            markevery=None if is_marked else line.alone,
            # A point on the axis is seen whole.
            clip_on=False,
        )  # fmt: skip
        _band(axis, line, colour)
        for number, values in enumerate(line.references.values()):
            _reference(axis, Line(None, line.x, values), number, plot, place)
    _values(axis, plot, "y")
    if plot.is_time:
        _times(axis)
    else:
        axis.set_xlabel(plot.x_label or "")


def _band(axis: Axes, line: Line, colour: str) -> None:
    """Draw a band; upright where it is that of a point alone, which has no width."""
    if line.low is None or line.high is None:
        return
    axis.fill_between(line.x, line.low, line.high, color=colour, alpha=0.16, linewidth=0, zorder=2)
    known = [i for i in line.alone if not math.isnan(line.low[i] + line.high[i])]
    axis.vlines(
        [line.x[i] for i in known], [line.low[i] for i in known], [line.high[i] for i in known],
        color=colour, alpha=0.16, linewidth=_BAND_POINTS, zorder=2,
    )  # fmt: skip


def name_single(axis: Axes, plots: list[Plot]) -> None:
    """Name the time of a picture that has one alone: an axis about it would tell another.

    Parameters
    ----------
    axis
        Any: they share that of time.
    plots
        All panels.
    """
    places = {place for plot in plots for place in plot.places}
    if len(places) == 1 and all(plot.is_time and plot.kind == "line" for plot in plots):
        place = places.pop()
        axis.set_xlim(place - _AROUND, place + _AROUND)
        axis.set_xticks([place], [name_of(place, plots[0].step)])


def _reference(axis: Axes, line: Line, number: int, plot: Plot, place: int) -> None:
    axis.plot(
        line.x, line.y, linewidth=1.2, linestyle=_dots(number), zorder=2.8,
        color=_look(plot, place)[0] if len(plot.lines) > 1 else _REFERENCE,
        marker="D", markersize=4, markerfacecolor="white", clip_on=False,
        markevery=_marks(plot, line),
    )  # fmt: skip


def _bars(axis: Axes, plot: Plot) -> None:
    """Draw bars: of times upright, of words lying, so that these can be read."""
    places = {x: i for i, x in enumerate(plot.places)}
    size = 0.8 / max(1, len(plot.lines))
    for number, line in enumerate(plot.lines):
        shift = (number - (len(plot.lines) - 1) / 2) * size
        at = [(places[x] + shift, y) for x, y in zip(line.x, line.y, strict=True) if x in places]
        where, values = [one[0] for one in at], [one[1] for one in at]
        draw = axis.bar if plot.is_time else axis.barh
        draw(where, values, size * 0.94, color=_look(plot, number)[0], zorder=3)
    if plot.is_time:
        texts = [f"{x:%d %b %Y}" for x in plot.places]
        every = max(1, -(-len(texts) // 10))
        axis.set_xticks(range(0, len(texts), every), texts[::every])
        _values(axis, plot, "y")
        return
    _words(axis, plot)
    _values(axis, plot, "x")


def _intervals(axis: Axes, plot: Plot) -> None:
    """Draw a point and its interval a row, about zero."""
    places = {x: i for i, x in enumerate(plot.places)}
    for number, line in enumerate(plot.lines):
        colour = _look(plot, number)[0]
        for i, (x, y) in enumerate(zip(line.x, line.y, strict=True)):
            if x not in places or math.isnan(y):
                continue
            if line.low is not None and line.high is not None:
                axis.plot(
                    [line.low[i], line.high[i]], [places[x]] * 2,
                    color=colour, linewidth=2.6, solid_capstyle="butt", zorder=3,
                )  # fmt: skip
            axis.plot(
                [y], [places[x]], color=colour, marker="o", markersize=8,
                markeredgecolor="white", markeredgewidth=1.2, zorder=4,
            )  # fmt: skip
    axis.axvline(0, color="#555555", linewidth=1.1, zorder=2)
    _words(axis, plot)
    _values(axis, plot, "x", is_whole=False)
    left, right = axis.get_xlim()
    axis.set_xlim(min(left, -plot.least_reach), max(right, plot.least_reach))


def _words(axis: Axes, plot: Plot) -> None:
    """Write the rows' names, the first above."""
    axis.set_yticks(range(len(plot.places)), plot.places)
    axis.set_ylim(len(plot.places) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")


def _times(axis: Axes) -> None:
    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]  # theirs
    formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]  # theirs
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(formatter)
    axis.xaxis.get_offset_text().set_fontsize(9)


def _values(axis: Axes, plot: Plot, which: str, *, is_whole: bool = True) -> None:
    """Name and number the axis of values."""
    of = axis.yaxis if which == "y" else axis.xaxis
    of.set_label_text(plot.label)
    of.set_major_locator(MaxNLocator(nbins=5 if which == "y" else 7, steps=[1, 2, 2.5, 5, 10]))
    of.set_major_formatter(FuncFormatter(_share_of if plot.is_share else _figure_of))
    if is_whole:
        _keep_zero(axis, plot, which)


def _keep_zero(axis: Axes, plot: Plot, which: str) -> None:
    """Begin at zero where that is near; show a line of zeros as one at the bottom."""
    values = [
        value
        for line in [*plot.lines, *plot.others]
        for series in (line.y, line.low or [], line.high or [], *line.references.values())
        for value in series
        if not math.isnan(value)
    ]
    least, most = min(values), max(values)
    limit = axis.set_ylim if which == "y" else axis.set_xlim
    if least == most == 0:
        limit(0, 1)
    elif least >= 0 and (plot.from_zero or least <= _NEAR_ZERO * most or least == most):
        limit(0, most * 1.06)


def _share_of(value: float, _: int | None = None) -> str:
    """Write a share on an axis."""
    return f"{100 * value:.6g} %".replace("-", _MINUS)


def _figure_of(value: float, _: int | None = None) -> str:
    """Write a number of an axis."""
    if abs(value) >= _HUGE:
        return f"{value:.6g}".replace("-", _MINUS)
    if abs(value) >= _LARGE:
        return f"{value / _MILLION:,.6g} M".replace("-", _MINUS)
    return f"{value:,.8g}".replace("-", _MINUS)
