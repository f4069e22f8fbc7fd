"""From the rows of a series to what each panel of its picture shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from services.history.answers import Series, SeriesColumn
from services.history.reader.step import following

MOST_LINES = 12
# Units that are no word for an axis: shares are written in percent, the others are bare numbers.
SHARES = frozenset({"ratio", "share"})
# More bands hide each other.
MOST_BANDS = 4
# Where bands are drawn it is told of them instead.
BAND = "low and high hold 80 % of the values."
INDEX, EFFECT = "index", "effect size"
_SILENT = frozenset({None, INDEX, EFFECT, *SHARES})
# What is read by its height.
_FROM_ZERO = frozenset({INDEX, "predictions", "rows", "ms", *SHARES})
# Effects below a fifth are none: they should look so.
_EFFECT_REACH = 0.3
_MOST_BARS = 40
# Beyond it an axis has no room for its margins: the largest number that there is is 1.8e308.
MOST_DRAWN = 1e300
_NAME_SIGNS = 42
_PANEL, _HIGH, _ROW, _FRAME = 2.7, 3.4, 0.38, 1.0
# So many names fit beside a panel.
_MOST_BESIDE = 8


@dataclass(frozen=True)
class Line:
    """Points that belong together.

    Parameters
    ----------
    name
        Value of the column that parts lines; nothing where there is none.
    x, y
        The points, in order; ``nan`` where there is none.
    low, high
        The band, where there is one.
    references
        Names and values of what it is held against.
    """

    name: str | None
    x: list[Any]
    y: list[float]
    low: list[float] | None = None
    high: list[float] | None = None
    references: dict[str, list[float]] = field(default_factory=dict)

    @property
    def alone(self) -> list[int]:
        """Places of points that no line would show, because those beside them are missing."""
        edges = [math.nan, *self.y, math.nan]
        return [
            i
            for i, value in enumerate(self.y)
            if not math.isnan(value) and math.isnan(edges[i]) and math.isnan(edges[i + 2])
        ]


@dataclass(frozen=True)
class Plot:
    """What one panel shows.

    Parameters
    ----------
    kind
        line, bar or interval.
    title
        Above it; nothing where the axis says it all.
    label
        Of the axis of values, with its unit; that alone where there is a title.
    x_label
        Of the other axis; nothing for time.
    is_time
        Whether that axis is time.
    is_share
        Whether values are shares of one.
    from_zero
        Whether their axis always begins at zero.
    least_reach
        How far to either side of zero their axis goes at least.
    by
        Name of what parts the lines.
    step
        Length of a step of time; nothing for moments.
    places
        All that stands along the axis, in order.
    lines
        What is drawn.
    others
        Lines beyond those that a legend can name.
    height
        In inches.
    """

    kind: str
    title: str | None
    label: str
    x_label: str | None
    is_time: bool
    is_share: bool
    by: str | None
    places: list[Any]
    lines: list[Line]
    others: list[Line]
    from_zero: bool = False
    least_reach: float = 0.0
    step: Literal["hour", "day", "week", "month"] | None = None
    height: float = _PANEL

    @classmethod
    def empty(cls) -> Plot:
        """Give the panel of a picture without any."""
        return cls(
            "line", None, "", None, is_time=True, is_share=False, by=None, places=[], lines=[],
            others=[],
        )  # fmt: skip


def plots_of(series: Series) -> list[Plot]:
    """Give the panels of a series, from the top; none when nothing can be shown.

    Parameters
    ----------
    series
        What is shown.
    """
    chart = series.chart
    table = _Table(series)
    plots = []
    for value, rows in table.parts(chart.panels):
        for place, name in enumerate(chart.y):
            lines = table.lines(rows, name, is_first=place == 0)
            if any(not math.isnan(y) for line in lines for y in line.y):
                plots.append(table.plot(name, lines, rows, value))
    return plots


def is_beyond(series: Series) -> bool:
    """Say whether a series has numbers that are too large to be drawn, infinite ones among them.

    Parameters
    ----------
    series
        What is shown.
    """
    chart = series.chart
    drawn = {*chart.y, chart.low, chart.high, *chart.reference}
    places = [place for place, column in enumerate(series.columns) if column.name in drawn]
    cells = (row[place] for row in series.rows for place in places)
    return any(cell is not None and abs(float(cell)) > MOST_DRAWN for cell in cells)


def plain(text: object, most: int = _NAME_SIGNS) -> str:
    """Write a text from outside in one line that can be drawn.

    Parameters
    ----------
    text
        Any value.
    most
        Signs that are kept.
    """
    if isinstance(text, bool):
        text = str(text).lower()
    line = "".join(sign if sign.isprintable() else " " for sign in str(text)).strip()
    return line if len(line) <= most else f"{line[: most - 1]}…"


class _Table:
    """The rows of a series, by the names of its chart."""

    def __init__(self, series: Series) -> None:
        self._chart = series.chart
        self._rows = series.rows
        self._columns: dict[str, SeriesColumn] = {one.name: one for one in series.columns}
        self._places = {one.name: place for place, one in enumerate(series.columns)}
        self._is_time = self._columns[series.chart.x].kind == "time"
        self._nothing = [None] * len(series.columns)

    def parts(self, column: str | None) -> list[tuple[str | None, list[list[Any]]]]:
        """Part rows by the values of a column, in the order in which they come."""
        if column is None:
            return [(None, self._rows)]
        return _parted(self._rows, self._places[column])

    def lines(self, rows: list[list[Any]], name: str, *, is_first: bool) -> list[Line]:
        """Give the lines of a panel; one where all would be the same."""
        by = self._chart.by
        parts = [(None, rows)] if by is None else _parted(rows, self._places[by])
        x, y = self._places[self._chart.x], self._places[name]
        is_one = len({row[x] for row in rows}) == len({(row[x], row[y]) for row in rows})
        if is_one and not is_first and self._chart.kind == "line":
            parts = [(None, rows)]
        return [self._line(key, part, name, is_first=is_first) for key, part in parts]

    def _line(self, key: str | None, rows: list[list[Any]], name: str, *, is_first: bool) -> Line:
        chart = self._chart
        if chart.kind == "interval":
            # A row without a point would only say that there is none.
            rows = [row for row in rows if row[self._places[name]] is not None]
        # Rows of one place on the axis repeat what is about that place.
        first: dict[Any, list[Any]] = {}
        for row in rows:
            if (x := self._x(row)) is not None:
                first.setdefault(x, row)
        is_run = chart.kind == "line" and self._is_time
        order = self._broken(sorted(first)) if is_run else list(first)
        kept = [first.get(x, self._nothing) for x in order]
        has_band = is_first and chart.low is not None and chart.high is not None
        return Line(
            name=key,
            x=order,
            y=self._numbers(kept, name),
            low=self._numbers(kept, chart.low) if has_band else None,
            high=self._numbers(kept, chart.high) if has_band else None,
            references={
                self._label(other): values
                for other in self._held_against(name)
                if not all(map(math.isnan, values := self._numbers(kept, other)))
            },
        )

    def _broken(self, times: list[datetime]) -> list[datetime]:
        """Add a point where a step has no row, so that no line leads over it."""
        if (step := self._chart.step) is None:
            return times
        found: list[datetime] = []
        for time in times:
            if found and (missing := following(found[-1], step)) < time:
                found.append(missing)
            found.append(time)
        return found

    def _held_against(self, name: str) -> list[str]:
        """Name what a panel is held against: what bears its name; the rest is of the first."""
        found = []
        for other in self._chart.reference:
            own = next((y for y in self._chart.y if other.startswith(f"{y}_")), self._chart.y[0])
            found += [other] if own == name else []
        return found

    def plot(self, name: str, lines: list[Line], rows: list[list[Any]], title: str | None) -> Plot:
        """Give a panel of lines."""
        chart = self._chart
        shown, others = _shown(lines)
        if chart.kind == "line" and len(shown) > MOST_BANDS:
            shown = [replace(line, low=None, high=None) for line in shown]
        others = [replace(line, low=None, high=None) for line in others]
        unit = self._unit(name, rows)
        if chart.kind == "interval":
            shown.sort(
                key=lambda line: max((abs(y) for y in line.y if not math.isnan(y)), default=0.0)
            )
        known = {x for line in lines for x in line.x}
        places = [x for x in self._xs(rows) if x in known]
        # Words stand below each other, so that they can be read.
        lies = chart.kind == "interval" or (chart.kind == "bar" and not self._is_time)
        bars = len(places) * (max(1, len(shown)) if chart.kind == "bar" else 1)
        return Plot(
            kind=chart.kind,
            title=title,
            label=_with_unit(self._label(name), unit) if title is None else _worded(unit),
            x_label=None if self._is_time else self._label(chart.x),
            is_time=self._is_time,
            is_share=unit in SHARES,
            from_zero=unit in _FROM_ZERO,
            least_reach=_EFFECT_REACH if unit == EFFECT else 0.0,
            step=chart.step,
            by=None if chart.by is None else chart.by.replace("_", " "),
            places=places,
            lines=shown,
            others=others,
            height=max(
                _PANEL if len(shown) <= _MOST_BESIDE else _HIGH, _FRAME + _ROW * bars * lies
            ),
        )

    def _x(self, row: list[Any]) -> Any:
        x = row[self._places[self._chart.x]]
        return x if x is None else (_time(x) if self._is_time else plain(x))

    def _xs(self, rows: list[list[Any]]) -> list[Any]:
        """Give what stands along the axis; no more bars than can be told apart."""
        found = list(dict.fromkeys(x for row in rows if (x := self._x(row)) is not None))
        return found if self._is_time else found[:_MOST_BARS]

    def _numbers(self, rows: Sequence[list[Any]], name: str | None) -> list[float]:
        place = self._places[name or ""]
        return [_number(row[place]) for row in rows]

    def _label(self, name: str) -> str:
        unit = self._columns[name].unit
        # A name may end with its unit, and need not say it twice.
        return plain(name.removesuffix(f"_{unit}").replace("_", " "))

    def _unit(self, name: str, rows: list[list[Any]]) -> str | None:
        """Give the unit of a panel."""
        of = self._chart.unit
        if of is None or name != self._chart.y[0]:
            return self._columns[name].unit
        return next((str(unit) for row in rows if (unit := row[self._places[of]])), None)


def _with_unit(words: str, unit: str | None) -> str:
    return f"{words} ({said})" if (said := _worded(unit)) else words


def _worded(unit: str | None) -> str:
    """Write a unit that is a word for an axis."""
    return "" if unit in _SILENT else plain(unit)


def _parted(rows: list[list[Any]], place: int) -> list[tuple[str | None, list[list[Any]]]]:
    found: dict[str | None, list[list[Any]]] = {}
    for row in rows:
        found.setdefault("none" if row[place] is None else plain(row[place]), []).append(row)
    return list(found.items())


def _shown(lines: list[Line]) -> tuple[list[Line], list[Line]]:
    """Part lines into those that a legend names, with most points, and the others."""
    if len(lines) <= MOST_LINES:
        return lines, []
    points = [sum(not math.isnan(y) for y in line.y) for line in lines]
    best = sorted(range(len(lines)), key=lambda i: (-points[i], i))[: MOST_LINES - 1]
    return [lines[i] for i in sorted(best)], [
        line for i, line in enumerate(lines) if i not in set(best)
    ]


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    number = float(value)
    return number if abs(number) <= MOST_DRAWN else math.nan


def _time(value: Any) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
