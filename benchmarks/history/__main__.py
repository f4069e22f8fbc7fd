"""``python -m benchmarks.history``: see ``--help``."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.front.workplace import alone, say
from benchmarks.history import ingest
from benchmarks.history.happened import write_outcomes
from benchmarks.history.picture import draw
from benchmarks.history.questions import Log
from benchmarks.history.rounds import Pair, Seen, measure
from benchmarks.history.sides import historian, rival
from benchmarks.history.table import render
from benchmarks.history.traffic import Year, sample_rows, write_year
from benchmarks.report import PAGE, write_section
from core.settings import ROOT
from services.history.log import PredictionLog

PICTURE = PAGE.parent / "performance" / "history.png"
# The smaller of the two logs, and of the two backlogs.
_LOG_SHARE, _BACKLOG_SHARE = 10, 6
_PARTS = ("questions", "ingest")


def main() -> None:
    """Measure, print the table, and write it down."""
    options = _parser().parse_args()
    folder: Path = options.folder
    load = os.getloadavg()[0]
    with alone(folder):
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        try:
            seen = _ask(work, options) if "questions" in options.only else []
            moves = []
            if "ingest" in options.only:
                moves = ingest.measure(
                    work, small=options.backlog // _BACKLOG_SHARE, large=options.backlog,
                    clients=options.clients, rounds=options.rounds, say=say,
                )  # fmt: skip
        finally:
            shutil.rmtree(work, ignore_errors=True)
    about = f"Medians of {options.rounds} rounds; the load average was {load:.1f} before them."
    text = f"{render(seen, moves)}\n\n{about}"
    say(f"\n{text}")
    if options.write or _is_full(options):
        write_section("prediction history", text)
        if seen:
            draw(seen, PICTURE)


def _ask(work: Path, options: argparse.Namespace) -> Sequence[Seen]:
    """Write both logs, and ask about them."""
    rows = sample_rows(work / "firm", clients=options.clients)
    with ExitStack() as stack:
        pairs = []
        for count in (options.rows // _LOG_SHARE, options.rows):
            home, year = work / f"log-{count}", Year(rows, count=count)
            log = PredictionLog(home / "predictions", owner="bench")
            write_year(log, year, told=lambda _: None)
            told = write_outcomes(log)
            say(f"a log of {count:,} predictions and {told:,} outcomes is written")
            asked = Log(home, last=year.last, days=year.days)
            sides = stack.enter_context(historian(home)), stack.enter_context(rival())
            pairs.append(Pair(count, asked, *sides))
        return measure(pairs, rounds=options.rounds, say=say)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.history", description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=10_000_000, help="predictions of the larger log; a tenth is "
        "that of the smaller",
    )  # fmt: skip
    parser.add_argument(
        "--backlog", type=int, default=3_000_000, help="rows of the larger backlog; a sixth is "
        "that of the smaller",
    )  # fmt: skip
    parser.add_argument("--clients", type=int, default=20_000, help="of the sample firm")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument(
        "--only", nargs="+", choices=_PARTS, default=list(_PARTS), help="one part alone"
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".septet" / "bench" / "history",
        help="where some 7 GB are written, and deleted at the end",
    )  # fmt: skip
    parser.add_argument(
        "--write", action="store_true", help="write docs/performance.md whatever was asked for"
    )
    return parser


def _is_full(options: argparse.Namespace) -> bool:
    """Say whether everything was measured that the page tells of."""
    usual = _parser().parse_args([])
    names = ("rows", "backlog", "clients", "only", "rounds")
    return all(getattr(options, name) == getattr(usual, name) for name in names)


if __name__ == "__main__":
    main()
