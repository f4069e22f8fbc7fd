"""What the worker tells the serving processes of the log, so that ``/metrics`` has it.

One file in the spool, which both have: the log may lie where serving processes do not reach.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from services.durable import replace_file

_NAME = "condition.json"


@dataclass(frozen=True)
class Condition:
    """How the log is, as the worker last saw it.

    Parameters
    ----------
    set_aside
        Files that could not be read, in the quarantines of spool and log.
    erasing_since_s
        When the oldest erasure was asked that is not done, in seconds since 1970; nothing when all
        are.
    """

    set_aside: int = 0
    erasing_since_s: float | None = None

    def erasing_seconds(self, now_s: float) -> float:
        """Give how long the oldest erasure has not been done; 0 when all are.

        Parameters
        ----------
        now_s
            The time, in seconds since 1970.
        """
        return 0.0 if self.erasing_since_s is None else max(0.0, now_s - self.erasing_since_s)


def read_condition(folder: Path) -> Condition:
    """Read what the worker told last; all is well where it has told nothing that can be read.

    Parameters
    ----------
    folder
        Of the spool.
    """
    try:
        return Condition(**orjson.loads((folder / _NAME).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return Condition()


def write_condition(folder: Path, condition: Condition) -> None:
    """Tell it the serving processes of this machine.

    Parameters
    ----------
    folder
        Of the spool.
    condition
        What they are to know.
    """
    replace_file(folder / _NAME, orjson.dumps(asdict(condition)), mode=0o600)
