"""Pictures of series: they show what they should, whatever the texts, and always the same bytes."""

from __future__ import annotations

import html
import io
import math
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.image import imread

from services.history.answers import Chart, Series, SeriesColumn
from services.history.reader.drawing import draw
from services.history.reader.plot import BAND, plain, plots_of

START = datetime(2026, 1, 1, tzinfo=UTC)
BLUE, ORANGE = (0, 0x72, 0xB2), (0xD5, 0x5E, 0)
Kind = Literal["time", "number", "integer", "text", "boolean"]


def series(rows: list[list[Any]], kinds: dict[str, Kind], **chart: Any) -> Series:
    """Give a series; the first column is that of the axis, the last one is drawn."""
    given = {
        "kind": "line", "x": next(iter(kinds)), "y": [list(kinds)[-1]], "low": None, "high": None,
        "by": None, **chart,
    }  # fmt: skip
    return Series(
        title="churn: probability",
        columns=[SeriesColumn(name=name, kind=kind, unit=None) for name, kind in kinds.items()],
        rows=rows,
        chart=Chart(**given),
        notes=["Steps are days, UTC."],
    )


def days(count: int, by: str | None = None) -> list[list[Any]]:
    """Give rows: a day, what parts lines, a value."""
    return [[START + timedelta(days=i), by, 2 + math.sin(i)] for i in range(count)]


LINE: dict[str, Kind] = {"step": "time", "region": "text", "value": "number"}


def pixels(picture: bytes) -> np.ndarray[Any, Any]:
    """Read a PNG."""
    found: np.ndarray[Any, Any] = np.rint(255 * imread(io.BytesIO(picture))[..., :3]).astype(int)
    return found


def count(picture: bytes, colour: tuple[int, int, int]) -> int:
    """Count pixels of a colour."""
    return int((np.abs(pixels(picture) - colour).max(axis=2) <= 2).sum())


def texts(picture: bytes) -> str:
    """Read the texts of an SVG: they stand in comments beside their shapes."""
    ET.fromstring(picture)  # noqa: S314 - our own picture, which must be well-formed
    return "\n".join(re.findall(r"<!-- (.*?) -->", html.unescape(picture.decode()), re.DOTALL))


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_series_is_the_same_bytes_in_another_process(form: str) -> None:
    asked = series(days(20, "north"), LINE, by="region")
    picture = draw(asked, form)
    code = (
        "import sys; from services.history.answers import Series; "
        "from services.history.reader.drawing import draw; "
        f"sys.stdout.buffer.write(draw(Series.model_validate_json(sys.stdin.read()), {form!r}))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code],
        input=asked.model_dump_json().encode(), capture_output=True, check=True,
    )  # fmt: skip
    assert other.stdout == picture
    assert str(datetime.now(UTC).year).encode() + b"-" not in picture.split(b"</metadata>")[0][:900]


def test_importing_it_imports_no_matplotlib() -> None:
    code = "import sys, services.history.reader.drawing; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_each_line_has_its_colour_and_its_name() -> None:
    rows = days(20, "north") + [[at, "south", value + 3] for at, _, value in days(20)]
    asked = series(rows, LINE, by="region")
    picture = draw(asked, "png")
    assert count(picture, BLUE) > 500
    assert count(picture, ORANGE) > 500
    assert {"north", "south", "region", "value"} <= set(texts(draw(asked, "svg")).split())


def test_a_single_point_and_a_point_among_gaps_are_seen() -> None:
    assert count(draw(series(days(1), LINE), "png"), BLUE) > 20
    rows = days(61)
    for place, row in enumerate(rows):
        row[2] = 5.0 if place == 30 else None
    assert count(draw(series(rows, LINE), "png"), BLUE) > 5


@pytest.mark.parametrize("rows", [[], [[START, "north", None]], [[START, "north", math.nan]]])
def test_nothing_to_show_is_said(rows: list[list[Any]]) -> None:
    asked = series(rows, LINE, by="region")
    said = "Too little to draw" if rows else "No predictions in this time"
    assert said in texts(draw(asked, "svg"))
    assert draw(asked, "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["line", "bar", "interval"])
@pytest.mark.parametrize(
    "values",
    [
        [1.0, 1.7e308], [sys.float_info.max, -sys.float_info.max], [1e300, -1e300, 0.0], [5e-324],
        [math.inf, 2.0, -math.inf, math.nan, None], [-1.7e308], [1e16, 1e16 + 2],
    ],
)  # fmt: skip
def test_any_number_can_be_drawn(kind: str, values: list[float | None]) -> None:
    kinds: dict[str, Kind] = {"at": "text" if kind == "interval" else "time", "value": "number"}
    rows: list[list[Any]] = [
        [f"r{i}" if kind == "interval" else START + timedelta(days=i), value]
        for i, value in enumerate(values)
    ]
    asked = series(rows, kinds, kind=kind, low="value", high="value", reference=["value"])
    assert draw(asked, "png").startswith(b"\x89PNG")
    is_beyond = any(value is not None and abs(value) > 1e300 for value in values)
    assert ("Numbers beyond 1e300 are not drawn." in texts(draw(asked, "svg"))) is is_beyond


@pytest.mark.parametrize(
    "name",
    [
        "$\\frac{1}{0}$", "$x$ and $y", "_hidden", "<script>alert(1)</script>", "a--b]]>",
        "a\x00b\nc", "東京", "\u202eabc", "x" * 400, "", "%s{}",
    ],
)  # fmt: skip
def test_texts_from_outside_stay_texts(name: str) -> None:
    rows = days(5, name) + days(5, "other")
    asked = series(rows, LINE, by="region").model_copy(update={"title": f"about {name}"})
    asked = asked.model_copy(update={"notes": [name or "none"]})
    assert draw(asked, "png").startswith(b"\x89PNG")
    picture = draw(asked, "svg")
    assert b"<script>" not in picture.replace(b"<!-- <script>", b"")
    said = texts(picture)
    if name.startswith(("$", "_")):
        assert said.count(name) >= 3


def test_a_legend_names_no_more_lines_than_can_be_told_apart() -> None:
    rows = [row for i in range(30) for row in days(30 - i, f"r{i}")]
    plot = plots_of(series(rows, LINE, by="region"))[0]
    assert [line.name for line in plot.lines] == [f"r{i}" for i in range(11)]
    assert len(plot.others) == 19
    assert "19 more" in texts(draw(series(rows, LINE, by="region"), "svg"))


def test_rows_that_repeat_what_is_about_a_step_are_one_point() -> None:
    rows = [[at, level, value] for at, _, value in days(4) for level in ("a", "b", "c")]
    plot = plots_of(series(rows, LINE))[0]
    assert [len(line.x) for line in plot.lines] == [4]


def test_a_panel_for_each_model_has_an_axis_of_its_own() -> None:
    rows = days(5, "churn") + [[at, "pricing", 1000 * value] for at, _, value in days(5)]
    plots = plots_of(series(rows, LINE, panels="region"))
    assert [plot.title for plot in plots] == ["churn", "pricing"]
    assert max(plots[0].lines[0].y) < 4 < min(plots[1].lines[0].y)
    assert draw(series(rows, LINE, panels="region"), "png").startswith(b"\x89PNG")


def test_times_may_be_texts_as_json_has_them() -> None:
    asked = series(days(7, "north"), LINE, by="region")
    again = Series.model_validate_json(asked.model_dump_json())
    assert isinstance(again.rows[0][0], str)
    assert draw(again, "png") == draw(asked, "png")


def test_intervals_stand_about_zero_and_what_is_not_known_is_not_drawn() -> None:
    kinds: dict[str, Kind] = {"measure": "text", "low": "number", "high": "number", "d": "number"}
    rows: list[list[Any]] = [
        ["mean", -0.4, -0.2, -0.3],
        ["median", None, None, None],
        ["flagged", 0.1, 0.5, 0.3],
    ]
    asked = series(rows, kinds, kind="interval", low="low", high="high")
    said = texts(draw(asked, "svg"))
    assert {"mean", "flagged"} <= set(said.split())
    assert "median" not in said
    assert count(draw(asked, "png"), BLUE) > 500


@pytest.mark.parametrize("kinds", [{"at": "time", "n": "integer"}, {"at": "text", "n": "integer"}])
def test_bars_are_as_long_as_their_values(kinds: dict[str, Kind]) -> None:
    values = [1, 2, 4]
    rows: list[list[Any]] = [
        [START + timedelta(days=i) if kinds["at"] == "time" else f"r{i}", value]
        for i, value in enumerate(values)
    ]
    found = pixels(draw(series(rows, kinds, kind="bar"), "png"))
    blue = np.abs(found - BLUE).max(axis=2) <= 2
    along = blue.sum(axis=0) if kinds["at"] == "time" else blue.sum(axis=1)
    ends = np.flatnonzero(np.diff(np.concatenate([[0], (along > 0).astype(int), [0]])))
    middles = [along[(a + b) // 2] for a, b in zip(ends[::2], ends[1::2], strict=True)]
    assert np.allclose(np.array(middles) / middles[0], values, rtol=0.03)


def test_a_share_begins_at_nothing_and_is_written_in_percent() -> None:
    asked = series([[at, by, 0.041 + value / 1e4] for at, by, value in days(9)], LINE)
    shares = SeriesColumn(name="value", kind="number", unit="ratio")
    asked = asked.model_copy(update={"columns": [*asked.columns[:2], shares]})
    assert {"0 %", "4 %"} <= set(texts(draw(asked, "svg")).splitlines())


def test_a_unit_stands_at_its_axis_once() -> None:
    asked = series(days(3), {"step": "time", "region": "text", "latency_ms": "number"})
    column = SeriesColumn(name="latency_ms", kind="number", unit="ms")
    asked = asked.model_copy(update={"columns": [*asked.columns[:2], column]})
    assert "latency (ms)" in texts(draw(asked, "svg")).splitlines()


def test_what_is_never_known_is_no_reference() -> None:
    kinds: dict[str, Kind] = {"at": "time", "outcome": "number", "value": "number"}
    assert "outcome" not in texts(draw(series(days(5), kinds, reference=["outcome"]), "svg"))
    known = [[at, 1.0 if i == 3 else None, y] for i, (at, _, y) in enumerate(days(5))]
    assert "outcome" in texts(draw(series(known, kinds, reference=["outcome"]), "svg"))


def test_a_text_is_one_line() -> None:
    assert plain("a\nb\x07c") == "a b c"
    assert plain(True) == "true"  # noqa: FBT003 - a level of an input
    assert len(plain("x" * 500)) == 42


def stepped(rows: list[list[Any]], step: str, **chart: Any) -> Series:
    """Give a series of steps with a band."""
    kinds: dict[str, Kind] = {
        "step": "time", "region": "text", "low": "number", "high": "number", "value": "number",
    }  # fmt: skip
    wide = [[at, by, value - 0.1, value + 3, value] for at, by, value in rows]
    return series(wide, kinds, step=step, low="low", high="high", **chart)


def test_no_line_leads_over_a_step_without_rows() -> None:
    rows = [row for i, row in enumerate(days(9)) if i not in {3, 4}]
    [line] = plots_of(stepped(rows, "day"))[0].lines
    assert [math.isnan(y) for y in line.y] == [False] * 3 + [True] + [False] * 4
    [line] = plots_of(series(rows, LINE))[0].lines
    assert not any(map(math.isnan, line.y))
    months = [[datetime(2026, month, 1, tzinfo=UTC), None, 2.0] for month in (1, 2, 3, 5)]
    [line] = plots_of(stepped(months, "month"))[0].lines
    assert [math.isnan(y) for y in line.y] == [False] * 3 + [True, False]


@pytest.mark.parametrize(
    ("step", "name"),
    [("hour", "1 Jan 2026, 00:00"), ("day", "1 Jan 2026"), ("week", "week of 1 Jan 2026"),
     ("month", "January 2026")],
)  # fmt: skip
def test_a_single_step_bears_its_name_and_its_band(step: str, name: str) -> None:
    asked = stepped(days(1), step)
    said = texts(draw(asked, "svg")).splitlines()
    assert name in said
    assert not {"2025", "Jan", "02", "30"} & set(said)
    found = pixels(draw(asked, "png"))
    pale = (np.abs(found - np.array(BLUE) * 0.16 - 255 * 0.84).max(axis=2) <= 3).sum()
    assert pale > 200


def test_one_panel_of_several_with_a_single_time_takes_no_other_s_axis() -> None:
    rows = days(30, "churn") + days(1, "pricing")
    said = texts(draw(series(rows, LINE, panels="region"), "svg")).split()
    assert {"05", "29"} <= set(said)


@pytest.mark.parametrize(("groups", "has_band"), [(4, True), (5, False)])
def test_bands_that_are_not_drawn_take_no_room_and_are_not_explained(
    groups: int, *, has_band: bool
) -> None:
    rows = [[at, f"r{i}", value / 100] for i in range(groups) for at, _, value in days(9)]
    asked = stepped(rows, "day", by="region")
    asked = asked.model_copy(update={"notes": [BAND, "Another note."]})
    said = texts(draw(asked, "svg")).splitlines()
    assert ("The band about a line holds 80 % of the values." in said) is has_band
    assert ("3" in said) is has_band
    assert BAND not in said
    assert "Another note." in said


def test_what_happened_at_zero_is_drawn_whole() -> None:
    kinds: dict[str, Kind] = {"at": "time", "outcome": "number", "value": "number"}
    ends = [draw(series([[at, end, 0.5] for at, _, _ in days(7)], kinds, reference=["outcome"]),
                 "png") for end in (0.0, 0.25)]  # fmt: skip
    grey = (0x55, 0x55, 0x55)
    at_zero, within = (count(picture, grey) for picture in ends)
    assert within > 0
    assert abs(at_zero - within) < 0.1 * within


def test_a_line_that_is_the_only_one_of_its_kind_is_named() -> None:
    assert "north" in texts(draw(series(days(5, "north"), LINE, by="region"), "svg")).split()


def test_a_unit_that_differs_by_panel_stands_at_each() -> None:
    kinds: dict[str, Kind] = {"at": "time", "of": "text", "unit": "text", "value": "number"}
    rows = [[at, of, unit, value] for of, unit in (("churn", "ratio"), ("pricing", "EUR"))
            for at, _, value in days(5)]  # fmt: skip
    asked = series(rows, kinds, panels="of", unit="unit")
    assert [(plot.label, plot.is_share) for plot in plots_of(asked)] == [("", True), ("EUR", False)]
    assert {"churn", "pricing", "EUR", "200 %"} <= set(texts(draw(asked, "svg")).splitlines())


def test_wide_letters_are_broken_by_their_width() -> None:
    for sign in "Wi":
        asked = series(days(5), LINE).model_copy(update={"title": sign * 80 + ", seen"})
        found = pixels(draw(asked, "png"))
        head = (found[:80].max(axis=2) < 90).any(axis=0)
        assert head.sum() > 100
        assert not head[-20:].any()
        assert texts(draw(asked, "svg")).replace("\n", "").count(sign) == 80


@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_picture_of_steps_is_the_same_bytes_each_time(form: str) -> None:
    rows = [row for i, row in enumerate(days(60)) if i % 7]
    asked = stepped(rows, "day", by="region")
    assert draw(asked, form) == draw(asked, form)
