"""The board: live on a terminal, plain lines elsewhere; and the events that feed it."""

from __future__ import annotations

import io
import queue

from rich.console import Console

from cli.board import Board
from cli.events import BoardProgress, Event, EventProgress, read_events, show


def plain() -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, width=100, force_terminal=False), written


def test_away_from_a_terminal_each_begin_and_end_is_one_line() -> None:
    console, written = plain()
    with Board(console) as board:
        board.begin("churn", "reads")
        board.begin("churn", "fits")
        board.done("churn", "version 1")
        board.fail("profitability", "too few rows [see below]")

    lines = written.getvalue().splitlines()
    assert lines[0] == "… churn: reads"
    assert lines[1].startswith("✓ churn: ")
    assert lines[1].endswith("version 1")
    assert lines[2] == "✗ profitability: too few rows [see below]"
    assert len(lines) == 3


def test_on_a_terminal_the_lines_stand_in_their_order() -> None:
    written = io.StringIO()
    console = Console(file=written, width=100, force_terminal=True)
    with Board(console, ("platform", "churn")) as board:
        board.begin("churn", "fits")
        board.done("platform", "ready")

    shown = Console(width=100)
    with shown.capture() as capture:
        shown.print(board)
    first, second = capture.get().splitlines()
    assert "platform" in first
    assert "ready" in first
    assert "churn" in second


def test_events_survive_the_pipe_and_strangers_are_passed_over() -> None:
    pipe = io.StringIO()
    progress = EventProgress("churn", pipe)
    progress.stage("fit", "800 rows")
    pipe.write("a library says hello\n{}\n")
    progress.tell("done", "version 1")
    pipe.seek(0)

    events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
    read_events(pipe, events)

    assert events.get() == Event("churn", "stage", "fit: 800 rows")
    assert events.get() == Event("churn", "done", "version 1")
    assert events.get() is None


def test_a_failure_is_drawn_as_one() -> None:
    console, written = plain()
    show(Event("churn", "failed", "one class only"), board=Board(console))
    assert written.getvalue() == "✗ churn: one class only\n"


def test_notes_are_kept_for_afterwards() -> None:
    console, _ = plain()
    progress = BoardProgress("churn", Board(console))
    progress.note("3 rows left out")
    assert progress.notes == ["3 rows left out"]
