"""Where the front door is measured, by one run at a time, and what it says meanwhile."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.settings import ROOT

FOLDER = ROOT / ".septet" / "bench" / "work"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep others out of a folder until the block ends.

    Raises
    ------
    SystemExit
        Another run is in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"another run is measuring in {folder}: wait for it to end") from None
        yield


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
