"""How cells are written, and which columns a window has room for."""

from __future__ import annotations

from typing import Any

import pytest

from cli.sheet import fitting, show, shown

COLUMNS = [
    ["prediction_id", "0" * 36],
    ["at\nUTC", "2026-11-28"],
    ["value", "1"],
    ["size", "small"],
]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.10978429619652888, "0.1098"),
        (6.0, "6"),
        (1.0784e-31, "1.078e-31"),
        (12345.678, "12,346"),
        (-1234567.0, "-1,234,567"),
        (1e300, "1e+300"),
        (12345, "12345"),
        (True, "true"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
        ("two\nlines\tand \x1b[31mred", "two lines and  [31mred"),
        ("x" * 61, "x" * 60 + "…"),
    ],
)
def test_a_cell_is_short_and_on_one_line(value: Any, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("width", "first", "places"),
    [
        (62, (), [0, 1, 2, 3]),
        (61, (), [0, 1, 2]),
        (48, (), [0, 1]),
        (45, (), [0, 2]),
        (45, (0, 3), [0, 3]),
        (20, (), [0]),
        (20, (2, 3), [2, 3]),
    ],
)
def test_columns_that_fit_are_shown_in_their_order(
    width: int, first: tuple[int, ...], places: list[int]
) -> None:
    assert fitting(COLUMNS, width=width, first=first) == places


def test_what_is_wide_in_a_window_counts_twice() -> None:
    assert fitting([["a", "b"], ["name", "日本語日本語"]], width=14) == [0]


def test_a_pipe_gets_numbers_and_times_as_they_came(capsys: pytest.CaptureFixture[str]) -> None:
    row = ["2026-11-28T22:51:43.248380Z", 0.10978429619652888, None, "a\tb :smile: [red]"]
    show(["at", "share (ratio)", "never", "entity"], [row], {})
    assert capsys.readouterr().out.splitlines() == [
        "at\tshare (ratio)\tentity",
        "2026-11-28T22:51:43.248380Z\t0.10978429619652888\ta b :smile: [red]",
    ]
