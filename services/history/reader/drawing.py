"""Draws a series as a picture, the same bytes for the same series.

Colours are those of Okabe and Ito, which the colour-blind tell apart
(https://jfly.uni-koeln.de/color/). Matplotlib takes a second to import: only when it draws.
"""

from __future__ import annotations

import io
import threading
import warnings
from typing import TYPE_CHECKING, Any

from services.history.answers import Series
from services.history.reader.plot import BAND, MOST_DRAWN, Plot, is_beyond, plain, plots_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, PALE = "#222222", "#666666"
_WIDTH, _HEAD = 9.6, 0.7
_DPI = 120
_FONT = "DejaVu Sans"
_NOTE_POINTS, _TITLE_POINTS, _TITLE_LINES = 8, 13, 2
_TEXT_WIDTH = 0.97 * _WIDTH
_MOST_NOTES = 6
_BAND = "The band about a line holds 80 % of the values."
# More panels than this stand in two columns.
_MOST_IN_COLUMN = 3
# Matplotlib's settings are the whole process's.
_LOCK = threading.Lock()
_STYLE: Any = {
    # Texts come from outside: $ is a dollar.
    "text.parse_math": False,
    "text.color": INK,
    "font.family": [_FONT],
    "font.size": 10,
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.unicode_minus": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.title_fontsize": 9,
    "svg.hashsalt": "septet",
    "svg.fonttype": "path",
    "timezone": "UTC",
}


def draw(series: Series, form: str) -> bytes:
    """Draw a series.

    Parameters
    ----------
    series
        What is shown.
    form
        png or svg.

    Returns
    -------
    bytes
        The picture; one that says so when there is nothing to show.
    """
    import matplotlib as mpl  # noqa: PLC0415 - takes a second

    with _LOCK, mpl.rc_context(_STYLE), warnings.catch_warnings():
        # Scripts that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = _figure(series)
        sink = io.BytesIO()
        without = {"Date": None} if form == "svg" else {"Software": None}
        figure.savefig(sink, format=form, dpi=_DPI, metadata=without)
    return sink.getvalue()


def _figure(series: Series) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes a second

    from services.history.reader.lettering import Lettering  # noqa: PLC0415 - as above

    plots = plots_of(series)
    across = 2 if len(plots) > _MOST_IN_COLUMN else 1
    down = max(1, -(-len(plots) // across))
    notes = _notes(series, plots)
    height = (
        _HEAD
        + 0.16 * len(notes)
        + sum(
            max(plot.height for plot in plots[i * across : (i + 1) * across] or [_EMPTY])
            for i in range(down)
        )
    )
    figure = Figure(figsize=(_WIDTH, height), layout="constrained", facecolor="white")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.11, h_pad=0.11)
    letters = Lettering(_FONT, _TITLE_POINTS, _TEXT_WIDTH, is_bold=True)
    title = "\n".join(letters.lines_of(plain(series.title, 400), _TITLE_LINES))
    figure.suptitle(title, x=0.012, ha="left", fontsize=_TITLE_POINTS, fontweight="bold")
    if notes:
        text = "\n".join(notes)
        figure.supxlabel(text, x=0.012, ha="left", fontsize=_NOTE_POINTS, color=PALE)
    if not plots:
        _say(figure, "Too little to draw" if series.rows else "No predictions in this time")
        return figure
    _fill(figure, plots, (down, across))
    return figure


_EMPTY = Plot.empty()


def _fill(figure: Figure, plots: list[Plot], grid: tuple[int, int]) -> None:
    from services.history.reader.panel import draw_panel, legend, name_single  # noqa: PLC0415 - as above

    down, across = grid
    heights = [
        max(plot.height for plot in plots[i * across : (i + 1) * across]) for i in range(down)
    ]
    axes = figure.subplots(
        down, across, squeeze=False, height_ratios=heights, sharex=all(p.is_time for p in plots)
    )
    for place, axis in enumerate(axes.flat):
        if place < len(plots):
            draw_panel(axis, plots[place])
            axis.tick_params(labelbottom=across > 1 or place == len(plots) - 1)
        else:
            axis.set_axis_off()
    name_single(axes[0, 0], plots)
    figure.align_ylabels()
    legend(axes[0, -1], plots)


def _say(figure: Figure, words: str) -> None:
    axis = figure.subplots()
    axis.set(xticks=[], yticks=[], facecolor="#F6F6F6")
    axis.spines[:].set_visible(False)
    axis.text(
        0.5, 0.5, words,
        ha="center", va="center", fontsize=15, color=PALE, transform=axis.transAxes,
    )  # fmt: skip


def _notes(series: Series, plots: list[Plot]) -> list[str]:
    """Give the notes as lines that fit."""
    from services.history.reader.lettering import Lettering  # noqa: PLC0415 - imports Matplotlib

    letters = Lettering(_FONT, _NOTE_POINTS, _TEXT_WIDTH)
    has_band = any(line.low is not None for plot in plots for line in plot.lines)
    band = [_BAND] if has_band else []
    notes = [line for note in series.notes for line in (band if note == BAND else [note])]
    if is_beyond(series):
        notes.append(f"Numbers beyond {MOST_DRAWN:.0e} are not drawn.".replace("+", ""))
    lines = [line for note in notes for line in letters.lines_of(plain(note, 600), _MOST_NOTES)]
    if len(lines) > _MOST_NOTES:
        lines = [*lines[: _MOST_NOTES - 1], "…"]
    return lines
