"""What the worker's move of a backlog takes: rows a second on one core, memory, bytes a row."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from benchmarks.history.backlog import (
    BATCH_ARROW,
    BATCH_JSON,
    MODEL,
    ROWS,
    answered,
    champion,
    write_backlog,
)
from services.history.housekeeping import Housekeeper
from services.history.log import PredictionLog
from services.history.mover import owner_of


@dataclass
class Moves:
    """What the moves of one backlog took.

    Parameters
    ----------
    form
        Of what it is.
    rows
        How many.
    runs
        What ``benchmarks.history.moving`` told, one a run.
    bytes_a_row, compacted
        Of the files of the log: as they were moved, and once they were put together.
    """

    form: str
    rows: int
    runs: list[dict[str, Any]] = field(default_factory=list)
    bytes_a_row: float = 0.0
    compacted: float = 0.0

    def a_second(self, clock: str) -> float:
        """Give the median of rows a second.

        Parameters
        ----------
        clock
            ``wall_s``, or ``processor_s``: what others on the machine do not lengthen.
        """
        return median(self.rows / float(run[clock]) for run in self.runs)

    @property
    def peak_mib(self) -> float:
        """The largest memory of any run."""
        return max(float(run["peak_mib"]) for run in self.runs)


def measure(
    folder: Path, *, small: int, large: int, clients: int, rounds: int, say: Callable[[str], None]
) -> list[Moves]:
    """Write backlogs, and have them moved.

    Parameters
    ----------
    folder
        Where all of it is written.
    small, large
        Rows of the two backlogs whose memory is held beside each other.
    clients
        Clients of the sample firm that is asked about.
    rounds
        How often each but the large one is moved.
    say
        Is told what is done.
    """
    said = answered(champion(folder / "firm"), folder / "firm", clients=clients)
    say(f"backlog: {len(said):,} rows of the sample firm are answered")
    found = [Moves(form, small) for form in (ROWS, BATCH_JSON, BATCH_ARROW)]
    found.append(Moves(ROWS, large))
    for moves in found:
        backlog = folder / "backlog"
        write_backlog(backlog, said, rows=moves.rows, form=moves.form)
        for number in range(1 if moves.rows == large else rounds):
            home = folder / "moved"
            _move(home, backlog, moves)
            say(f"move: {moves.form}, {moves.rows:,} rows, run {number + 1}")
            if not moves.bytes_a_row:
                moves.bytes_a_row, moves.compacted = _sizes(home)
            shutil.rmtree(home)
        shutil.rmtree(backlog)
    return found


def _move(home: Path, backlog: Path, moves: Moves) -> None:
    """Move a copy of a backlog, in a process of its own."""
    spool = home / "spool"
    spool.mkdir(parents=True)
    for path in backlog.iterdir():
        os.link(path, spool / path.name)
    command = [sys.executable, "-m", "benchmarks.history.moving", str(home)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 - our own command
    told = orjson.loads(done.stdout)
    if (told["rows"], told["damaged"]) != (moves.rows, 0):
        raise RuntimeError(f"{moves.rows:,} rows were to be moved: {told}")
    moves.runs.append(told)


def _sizes(home: Path) -> tuple[float, float]:
    """Give the bytes a row of a log as it is, and once its files were put together."""
    log = PredictionLog(home / "predictions", owner=owner_of(home / "spool"))
    before = _bytes_a_row(log)
    Housekeeper(log, keep_days=None).step()
    return before, _bytes_a_row(log)


def _bytes_a_row(log: PredictionLog) -> float:
    files = [file for _, file in log.files(MODEL)]
    return sum(file.size_bytes for file in files) / sum(file.rows for file in files)
