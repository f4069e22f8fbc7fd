"""Pictures of the quality page: every figure on an axis where 0 is the best and 1 is the gate."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from tests.quality.figure import Figure
from tests.quality.record import Record

# Okabe & Ito (2008): told apart by the colour-blind too; each mark has its own shape besides.
OURS, MISSED, REFERENCE, ORACLE = "#0072B2", "#D55E00", "#E69F00", "#009E73"
INK, FAINT, RULE, BEYOND, OTHERS = "#222222", "#707070", "#E6E6E6", "#FBEDE6", "#9A9A9A"
# Right end of the axis; what lies beyond is an arrow there.
MOST = 1.6
LONGEST_LABEL = 52
DOTS_PER_INCH = 130
LEGEND = (
    ("o", OURS, "ours, gate reached", True),
    ("X", MISSED, "ours, gate missed", True),
    ("D", REFERENCE, "named reference", False),
    ("|", ORACLE, "oracle", True),
)
OTHER = (".", OTHERS, "other methods", True)
# Where the columns of numbers begin, as shares of the axis' width right of its end.
COLUMNS = (("ours", 0.03), ("gate", 0.19), ("oracle", 0.41), ("reference", 0.55))


@dataclass(frozen=True)
class Row:
    """One line of a picture: a figure, or a heading without one."""

    label: str
    figure: Figure | None = None


def draw_overview(records: Sequence[Record], path: Path) -> None:
    """Draw one line a figure that has a gate, the models in two columns.

    Parameters
    ----------
    records
        What was measured; those of one model stand together.
    path
        The PNG that is written.
    """
    blocks = [
        [Row(_words(model)), *(row for record in part for row in _rows(record))]
        for model, part in groupby(records, lambda record: record.model)
    ]
    columns = _balanced(blocks)
    longest = max(len(column) for column in columns)
    canvas = _canvas(width=14, height=longest * 0.215 + 1.25)
    room = 0.95 / canvas.get_figheight()
    tall = 1 - room - 0.5 / canvas.get_figheight()
    for place, column in enumerate(columns):
        share = tall * len(column) / longest if longest else tall
        left = 0.5 * place + 0.215
        axes = canvas.add_axes((left, 1 - room - share, 0.265, share))
        _draw(axes, column, size=6, font=7.6, spans=False)
    figures = [row.figure for column in columns for row in column if row.figure]
    passed = sum(figure.passes for figure in figures)
    _head(canvas, f"{passed} of {len(figures)} gates reached", LEGEND)
    canvas.savefig(path, metadata={"Software": None})


def draw_model(records: Sequence[Record], path: Path) -> None:
    """Draw one line a metric of a model, data set by data set, with the values beside it.

    Parameters
    ----------
    records
        Those of one model; one or more.
    path
        The PNG that is written.
    """
    rows = []
    for record in records:
        found = [Row(figure.metric, figure) for figure in _gated(record)]
        rows += [Row(_words(record.data)), *found] if found else []
    canvas = _canvas(width=14.5, height=len(rows) * 0.27 + 1.35)
    room, foot = 1.0 / canvas.get_figheight(), 0.45 / canvas.get_figheight()
    axes = canvas.add_axes((0.26, foot, 0.33, 1 - room - foot))
    _draw(axes, rows, size=7.5, font=9, spans=True)
    _numbers(axes, rows)
    passed = [row.figure.passes for row in rows if row.figure]
    _head(canvas, f"{_words(records[0].model)}: {sum(passed)} of {len(passed)} gates reached",
          (*LEGEND, OTHER))  # fmt: skip
    canvas.savefig(path, metadata={"Software": None})


def _gated(record: Record) -> list[Figure]:
    return [figure for figure in record.figures if figure.place(figure.ours) is not None]


def _rows(record: Record) -> list[Row]:
    return [Row(_short(f"{_words(record.data)}: {f.metric}"), f) for f in _gated(record)]


def _short(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1].rstrip()}…"


def _balanced(blocks: Sequence[list[Row]]) -> list[list[Row]]:
    """Part the models, in their order, into two columns of about the same length."""
    total = sum(len(block) for block in blocks)
    columns: list[list[Row]] = [[], []]
    for block in blocks:
        left = len(columns[0]) + len(block) / 2 <= total / 2 and not columns[1]
        columns[0 if left else 1].extend(block)
    return [column for column in columns if column] or [[]]


def _canvas(*, width: float, height: float) -> Canvas:
    canvas = Canvas(figsize=(width, max(height, 2.2)), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(canvas)
    return canvas


def _draw(axes: Axes, rows: Sequence[Row], *, size: float, font: float, spans: bool) -> None:
    axes.set_xlim(-0.04, MOST)
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    axes.axvspan(1.0, MOST, color=BEYOND, zorder=0, linewidth=0)
    axes.axvline(1.0, color=INK, linewidth=1.1, zorder=1)
    for height, row in enumerate(rows):
        if row.figure is None:
            axes.axhspan(height - 0.5, height + 0.5, color="white", zorder=1.5, linewidth=0)
            continue
        axes.axhline(height, color=RULE, linewidth=0.7, zorder=0.5)
        _marks(axes, row.figure, height, size=size, spans=spans)
    axes.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=font, color=INK)
    for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("normal" if row.figure else "bold")
    axes.set_xticks([0, 0.5, 1.0, 1.5], ["best", "half way", "gate", "1.5"], fontsize=font)
    axes.tick_params(length=0, colors=INK)
    for side in axes.spines.values():
        side.set_visible(False)


def _marks(axes: Axes, figure: Figure, height: float, *, size: float, spans: bool) -> None:
    """Draw ours with its interval, the reference, and the oracle."""
    colour = OURS if figure.passes else MISSED
    for rival in figure.rivals if spans else ():
        place = figure.place(rival.value)
        far = place is not None and place > MOST
        _mark(axes, place, height, OTHER[0], OTHERS, size=size * (0.5 if far else 1.0))
    span = _span(figure) if spans else []
    if span:
        axes.plot(span, [height, height], color=colour, linewidth=3, alpha=0.28, zorder=2)
    if figure.oracle is not None:
        _mark(axes, figure.place(figure.oracle), height, "|", ORACLE, size=size * 1.7)
    shape = "o" if figure.passes else "X"
    _mark(axes, figure.place(figure.ours), height, shape, colour, size=size)
    if figure.reference_value is not None:
        place = figure.place(figure.reference_value)
        _mark(axes, place, height, "D", REFERENCE, size=size * 0.95, filled=False)


def _span(figure: Figure) -> list[float]:
    """Give both ends of our interval on the axis; empty where there is none."""
    if figure.low is None or figure.high is None:
        return []
    ends = [figure.place(end) for end in (figure.low, figure.high)]
    known = [_within(end) for end in ends if end is not None]
    if figure.least is not None and figure.most is not None:
        middle = (figure.least + figure.most) / 2
        # The interval of a gate with two sides passes through the best.
        known += [0.0] if figure.low <= middle <= figure.high else []
    return [min(known), max(known)] if known else []


def _mark(
    axes: Axes,
    place: float | None,
    height: float,
    shape: str,
    colour: str,
    *,
    size: float,
    filled: bool = True,
) -> None:
    if place is None:
        return
    axes.plot(
        [_within(place)], [height], marker=">" if place > MOST else shape, color=colour,
        markersize=size, linestyle="none", markerfacecolor=colour if filled else "none",
        markeredgewidth=1.5, zorder=4 if filled else 5, clip_on=False,
    )  # fmt: skip


def _within(place: float) -> float:
    return min(max(place, 0.0), MOST)


def _numbers(axes: Axes, rows: Sequence[Row]) -> None:
    """Write the numbers in columns right of the axis."""
    style: dict[str, Any] = {"fontsize": 9, "va": "center", "transform": axes.get_yaxis_transform()}
    for name, place in COLUMNS:
        axes.text(1 + place, -1.0, name, color=FAINT, **style)
    for height, row in enumerate(rows):
        figure = row.figure
        if figure is None:
            continue
        oracle = "" if figure.oracle is None else f"{figure.oracle:.4g}"
        reference = figure.reference
        if figure.reference_value is not None:
            reference = f"{figure.reference_value:.4g}  {figure.reference_name}"
        values = (f"{figure.ours:.4g}", figure.gate.split(" (")[0], oracle, reference)
        for (_, place), value in zip(COLUMNS, values, strict=True):
            axes.text(1 + place, height, value, color=INK, **style)


def _head(canvas: Canvas, title: str, legend: Sequence[tuple[str, str, str, bool]]) -> None:
    """Put the title, the legend and how to read the axis on top."""
    high = canvas.get_figheight()
    canvas.text(0.015, 1 - 0.3 / high, title, fontsize=13, color=INK, va="center", weight="bold")
    canvas.text(
        0.985, 1 - 0.3 / high, "left of the line: gate reached  ·  0 is the best there can be",
        fontsize=9, color=FAINT, va="center", ha="right",
    )  # fmt: skip
    handles = [
        Line2D(
            [], [], marker=shape, color=colour, linestyle="none", label=name, markersize=7,
            markerfacecolor=colour if filled else "none", markeredgewidth=1.5,
        )
        for shape, colour, name, filled in legend
    ]  # fmt: skip
    canvas.legend(
        handles=handles, loc="center left", bbox_to_anchor=(0.008, 1 - 0.62 / high),
        ncols=len(legend), frameon=False, fontsize=9, handletextpad=0.2, columnspacing=1.6,
    )  # fmt: skip


def _words(name: str) -> str:
    return name.replace("_", " ")
