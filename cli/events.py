"""How a training in another process tells what it does: JSON lines on a pipe, drawn on a board."""

from __future__ import annotations

import json
import queue
import threading
from dataclasses import asdict, dataclass
from typing import IO, Literal

from cli.board import Board

Kind = Literal["stage", "note", "done", "failed"]


@dataclass(frozen=True)
class Event:
    """Something that happened to one model.

    Parameters
    ----------
    model
        Name of the model.
    kind
        ``stage`` (it does something new), ``note``, ``done`` or ``failed``.
    text
        What, in a few words; of a failure, the whole reason.
    """

    model: str
    kind: Kind
    text: str

    def to_line(self) -> str:
        """Give the event as one line of JSON."""
        return json.dumps(asdict(self))


class EventProgress:
    """The progress of one model, written as events.

    Parameters
    ----------
    model
        Name of the model.
    stream
        Where to write; each event is flushed.
    """

    def __init__(self, model: str, stream: IO[str]) -> None:
        self._model = model
        self._stream = stream

    def stage(self, name: str, text: str) -> None:
        """Tell of a stage."""
        self.tell("stage", f"{name}: {text}" if text else name)

    def note(self, text: str) -> None:
        """Tell something worth knowing."""
        self.tell("note", text)

    def tell(self, kind: Kind, text: str) -> None:
        """Write one event."""
        self._stream.write(Event(self._model, kind, text).to_line() + "\n")
        self._stream.flush()


class BoardProgress:
    """The progress of one model, drawn on a board; its notes are kept for afterwards.

    Parameters
    ----------
    model
        Name of the model.
    board
        Where to draw.
    """

    def __init__(self, model: str, board: Board) -> None:
        self._model = model
        self._board = board
        self.notes: list[str] = []

    def stage(self, name: str, text: str) -> None:
        """Show the stage."""
        self._board.begin(self._model, f"{name}: {text}" if text else name)

    def note(self, text: str) -> None:
        """Keep the note."""
        self.notes.append(text)


def read_events(stream: IO[str], events: queue.SimpleQueue[Event | None]) -> None:
    """Read events in a thread, so that whoever waits for them can look after other things.

    Parameters
    ----------
    stream
        Where they come from. Lines that are no events (a library that prints) are passed over.
    events
        Takes them, and ``None`` when the stream has ended.
    """

    def read() -> None:
        for line in stream:
            event = parse(line)
            if event is not None:
                events.put(event)
        events.put(None)

    threading.Thread(target=read, name="events", daemon=True).start()


def parse(line: str) -> Event | None:
    """Read one line; nothing when it is no event."""
    try:
        return Event(**json.loads(line))
    except (ValueError, TypeError):
        return None


def show(event: Event, *, board: Board) -> None:
    """Draw an event."""
    if event.kind == "stage":
        board.begin(event.model, event.text)
    elif event.kind == "done":
        board.done(event.model, event.text)
    elif event.kind == "failed":
        board.fail(event.model, event.text)
