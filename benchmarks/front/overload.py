"""Three times as much as it can answer: ``python -m benchmarks.front.overload``.

The platform's capacity is measured by wrk; then an open loop asks for a multiple of it. Counted
are the good answers that still come, what the shed ones say and how soon, and memory. The server
has one half of the processors and the clients the other, so that capacity and goodput are those of
the same machine, however much a client takes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import yaml

from benchmarks.front.model import Bench, build
from benchmarks.front.open_loop import Outcome
from benchmarks.front.processes import Running, go_before_others
from benchmarks.front.rounds import WARM_UP_SECONDS
from benchmarks.front.servers import chosen
from benchmarks.front.serving import Serving, serving
from benchmarks.front.table import Verdict, verdict_table
from benchmarks.front.workplace import FOLDER, alone, say
from benchmarks.front.wrk import require_wrk
from benchmarks.report import write_section
from core.platform_config import PlatformConfig

LEAST_GOODPUT, MOST_GROWTH, MOST_SHED_MS = 0.9, 0.2, 50.0
CAPACITY_RUNS, CAPACITY_CONNECTIONS, CAPACITY_SECONDS = 3, 128, 5.0
SAMPLE_SECONDS = 1.0
_ALL = os.sched_getaffinity(0)


@dataclass(frozen=True)
class Case:
    """What is asked of which server.

    Parameters
    ----------
    title
        As the table says it.
    server
        Its name.
    query
        Added to the path.
    connections
        Most that the client opens.
    """

    title: str
    server: str
    query: str
    connections: int


CASES = {
    "light": Case("one booster, one row", "ours", "", 1024),
    "heavy": Case(
        # More than may wait for their turn, so that some are refused.
        "the product's churn model, one row with its reasons",
        "ours-churn",
        "?explain=1",
        4096,
    ),
}


@dataclass
class Memory:
    """Resident memory while something runs, in MiB, sampled once a second."""

    samples: list[float] = field(default_factory=list)


def main() -> None:
    """Measure every case and write the figures down."""
    options = _options()
    require_wrk()
    go_before_others(options.nice)
    cases = [CASES[name] for name in options.cases.split(",")]
    with alone(FOLDER):
        bench = build(FOLDER)
        parts = [
            _measure(bench, case, times=options.times, seconds=options.seconds) for case in cases
        ]
    text = "\n\n".join(parts)
    say(f"\n{text}")
    if options.write:
        write_section("front door overload", text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.front.overload", description=__doc__)
    parser.add_argument("--cases", default=",".join(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--times", type=float, default=3.0, help="the capacity")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--nice", type=int, default=0, help="as benchmarks.front")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    return parser.parse_args()


def _measure(bench: Bench, case: Case, *, times: float, seconds: float) -> str:
    [server] = chosen(case.server)
    folder = bench.folder / f"overload-{server.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ready = server.prepare(bench, folder)
    _bound(folder / "configs" / "platform.yaml")
    asked = replace(server, path=server.path + case.query)
    own, others = _processors()
    os.sched_setaffinity(0, own)
    with serving(bench, asked, ready, folder=folder) as one:
        os.sched_setaffinity(0, others)
        one.closed(CAPACITY_CONNECTIONS, WARM_UP_SECONDS)
        runs = _capacity(one)
        say(f"{case.title}: capacity {median(runs):,.0f} a second")
        before = one.up.rss_mib()
        with sampled(one.up) as memory:
            outcome = one.open(times * median(runs), seconds, connections=case.connections)
        # A processor that others share is not as fast at the end as at the beginning.
        capacity = median(runs + _capacity(one))
    return report(case, outcome, capacity=capacity, before=before, memory=memory, times=times)


def _capacity(one: Serving) -> list[float]:
    """Give the good answers a second of several runs of wrk."""
    runs = [one.closed(CAPACITY_CONNECTIONS, CAPACITY_SECONDS) for _ in range(CAPACITY_RUNS)]
    return [run.per_second for run in runs]


def _bound(path: Path) -> None:
    """Let one key have as many requests at once as the product's own tier for bulk."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    at_once = PlatformConfig().tiers["bulk"].concurrent
    for tier in content["tiers"].values():
        tier["concurrent"] = at_once
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def _processors() -> tuple[set[int], set[int]]:
    """Part the processors: what asks must not take from what answers, at any rate."""
    every = sorted(_ALL)
    half = max(1, len(every) // 2)
    return set(every[:half]), set(every[half:] or every)


@contextmanager
def sampled(server: Running) -> Iterator[Memory]:
    """Sample the memory of a server until the block ends."""
    memory, stop = Memory(), threading.Event()

    def follow() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            memory.samples.append(server.rss_mib())

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield memory
    finally:
        stop.set()
        thread.join()


def report(
    case: Case, outcome: Outcome, *, capacity: float, before: float, memory: Memory, times: float
) -> str:
    """Write what came of a case as Markdown.

    Parameters
    ----------
    case
        What was asked.
    outcome
        What the open loop saw.
    capacity
        Good answers a second that wrk gets, before and after.
    before
        Memory before, in MiB.
    memory
        Memory meanwhile.
    times
        How many times the capacity was asked for.
    """
    share = outcome.good_per_second / capacity
    most = max(memory.samples, default=before)
    growth = most / before - 1
    shed = outcome.shed_served
    found = [
        Verdict(
            f"goodput of a capacity of {capacity:,.0f} a second", f"{100 * share:.0f} %",
            f"at least {100 * LEAST_GOODPUT:.0f} %", share >= LEAST_GOODPUT,
        ),
        Verdict(
            "memory, at its highest", f"{before:.0f} to {most:.0f} MiB, {100 * growth:+.0f} %",
            f"under {100 * MOST_GROWTH:+.0f} %", growth < MOST_GROWTH,
        ),
        Verdict(
            f"shed answers ({shed.count:,}), from sent to received",
            f"median {shed.p50_ms:.1f}, p99 {shed.p99_ms:.1f}, most {shed.max_ms:.1f} ms",
            f"every one under {MOST_SHED_MS:g} ms",
            shed.max_ms < MOST_SHED_MS if shed.count else None,
        ),
        Verdict(
            "shed answers without Retry-After", f"{outcome.shed_without_retry_after:,}", "none",
            outcome.shed_without_retry_after == 0 if shed.count else None,
        ),
    ]  # fmt: skip
    statuses = ", ".join(f"{count:,} x {status}" for status, count in outcome.statuses.items())
    told = (
        f"Answers: {statuses} (0: none came); {outcome.unsent:,} found no free connection of "
        f"{case.connections:,} until the end. Good ones, from when they were due: median "
        f"{outcome.good.p50_ms:,.0f} ms, p99 {outcome.good.p99_ms:,.0f} ms."
    )
    head = f"**{case.title}; {times:g} x the capacity, {outcome.due:,} due**"
    return "\n\n".join([head, verdict_table(found), told])


if __name__ == "__main__":
    main()
