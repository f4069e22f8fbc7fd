"""Empties a spool on one core and says what it took: ``python -m benchmarks.history.moving HOME``.

A process of its own, so that its peak memory is that of the move alone.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import orjson
import pyarrow as pa

from services.history.log import PredictionLog
from services.history.mover import Mover, owner_of


def main() -> int:
    """Move all that waits under a home folder."""
    home = Path(sys.argv[1])
    # Before anything of it makes threads: they stay where this one is.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    before_mib = _peak_mib()
    mover = Mover(
        home / "spool", PredictionLog(home / "predictions", owner=owner_of(home / "spool"))
    )
    # What the first array of a process brings in stays in the worker for as long as it lives.
    pa.array([{}], pa.struct([("first", pa.string())]))
    began, used = time.perf_counter(), time.process_time()
    moved = mover.step()
    told = {
        "rows": moved.rows,
        "damaged": moved.damaged,
        "wall_s": time.perf_counter() - began,
        "processor_s": time.process_time() - used,
        "before_mib": before_mib,
        "peak_mib": _peak_mib(),
    }
    mover.close()
    sys.stdout.write(orjson.dumps(told).decode() + "\n")
    return 0


def _peak_mib() -> float:
    """Give the largest memory of this process; getrusage would tell that of its parent before."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
