"""Closed-loop load from outside: `wrk`, which is one process in C."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from benchmarks.front.processes import Running, busy_seconds

SCRIPT = Path(__file__).with_name("rows.lua")


@dataclass(frozen=True)
class Load:
    """What one run of wrk saw.

    Parameters
    ----------
    connections
        Kept open and asked again and again.
    per_second
        Good answers a second.
    answers, bad
        How many answers came, and how many requests got none or another than 2xx.
    p50_ms, p99_ms, p999_ms, max_ms
        Latency of all answers.
    cpu_us
        Processor time of the server's whole tree for one answer, in microseconds.
    others
        Processors that were busy with neither the server nor wrk, on average: noise.
    load
        The machine's load average of a minute, after the run.
    """

    connections: int
    per_second: float
    answers: int
    bad: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    cpu_us: float
    others: float
    load: float


def require_wrk() -> str:
    """Find wrk.

    Raises
    ------
    SystemExit
        It is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit("wrk is not installed: run `apt-get install -y wrk`, then this again")
    return found


def load(
    server: Running, *, path: str, bodies: Path, keys: Path | None, connections: int, seconds: float
) -> Load:
    """Ask a server for some seconds.

    Parameters
    ----------
    server
        Who is asked.
    path
        Of the request.
    bodies
        File of bodies, one a line, sent by turns.
    keys
        File of keys, one a line, sent as ``X-API-Key`` by turns.
    connections
        How many are kept open.
    seconds
        How long, in whole seconds: wrk knows no parts of one.
    """
    command = [
        require_wrk(), "-t", "1", "-c", str(connections), "-d", f"{ceil(seconds)}s",
        "--timeout", "10s", "-s", str(SCRIPT),
        f"http://127.0.0.1:{server.port}{path}", "--", str(bodies),
        *([] if keys is None else [str(keys)]),
    ]  # fmt: skip
    before, busy, began = server.cpu_seconds(), busy_seconds(), time.monotonic()
    spent = os.times()
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    took = time.monotonic() - began
    cpu, busy = server.cpu_seconds() - before, busy_seconds() - busy
    after = os.times()
    wrk = after.children_user + after.children_system - spent.children_user - spent.children_system
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    bad = seen["bad_status"] + seen["broken"] + seen["timeouts"]
    good = seen["requests"] - seen["bad_status"]
    return Load(
        connections=connections,
        per_second=good / (seen["microseconds"] / 1e6),
        answers=seen["requests"],
        bad=bad,
        p50_ms=seen["p50"] / 1e3,
        p99_ms=seen["p99"] / 1e3,
        p999_ms=seen["p999"] / 1e3,
        max_ms=seen["max"] / 1e3,
        cpu_us=1e6 * cpu / max(1, seen["requests"]),
        others=max(0.0, busy - cpu - wrk) / took,
        load=os.getloadavg()[0],
    )
