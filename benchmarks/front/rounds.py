"""Every server in turn, alone while it is measured, and again in the next round."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.front.batch import Batch, batches
from benchmarks.front.environments import NotInstalledError
from benchmarks.front.model import Bench
from benchmarks.front.open_loop import Outcome
from benchmarks.front.processes import wait_for_quiet
from benchmarks.front.ready import Ready
from benchmarks.front.servers import Server
from benchmarks.front.serving import Serving, serving
from benchmarks.front.wrk import Load

OURS = "ours"
WARM_UP_SECONDS = 2.0
# A server takes new connections in late while it is asked: with the run this many times longer,
# the first answers of its connections are well under one in a hundred, and do not make the p99.
LONGER_PER_CONNECTION = 0.01
OPEN_PER_SECOND, OPEN_MARGIN = 1_000.0, 1.3

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is run.

    Parameters
    ----------
    rounds
        How often each server is measured.
    seconds
        Of one run of wrk.
    connections
        Numbers of connections.
    patience_seconds
        How long to wait, at most, for others on this machine to be quiet before each run.
    """

    rounds: int
    seconds: float
    connections: tuple[int, ...]
    patience_seconds: float = 0.0


@dataclass
class Seen:
    """What was seen of one server.

    Parameters
    ----------
    server
        Which.
    loads
        Runs of wrk by connections, one a round.
    rss_mib
        Memory of its tree after each round.
    tails
        What an open loop saw, one a round; empty for a server that cannot keep up with it.
    batches
        Forms of a batch of 1,000 rows, a list a round; of ours alone.
    failure
        Why it could not be measured.
    """

    server: Server
    loads: dict[int, list[Load]] = field(default_factory=dict)
    rss_mib: list[float] = field(default_factory=list)
    tails: list[Outcome] = field(default_factory=list)
    batches: list[list[Batch]] = field(default_factory=list)
    failure: str | None = None


def measure(bench: Bench, servers: Sequence[Server], plan: Plan, *, say: Say) -> list[Seen]:
    """Prepare every server, then measure all of them round by round."""
    seen = {server.name: Seen(server) for server in servers}
    prepared: dict[str, Ready] = {}
    for server in servers:
        folder = bench.folder / server.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            prepared[server.name] = server.prepare(bench, folder)
        except NotInstalledError as error:
            seen[server.name].failure = f"cannot be installed: {error}"
            say(f"{server.name}: {seen[server.name].failure}")
    for turn in range(plan.rounds):
        names = list(prepared)
        # Another one begins each round, so that nobody always comes after the same neighbour.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            if seen[name].failure is None:
                _measure_one(bench, seen[name], prepared[name], plan=plan, say=say)
    return list(seen.values())


def _measure_one(bench: Bench, seen: Seen, ready: Ready, *, plan: Plan, say: Say) -> None:
    """Start a server, load it, and stop it."""
    folder = bench.folder / seen.server.name
    try:
        with serving(bench, seen.server, ready, folder=folder) as one:
            one.closed(max(plan.connections), WARM_UP_SECONDS)
            _load(one, seen, plan=plan, say=say)
            seen.rss_mib.append(one.up.rss_mib())
            wait_for_quiet(plan.patience_seconds)
            fastest = max(runs[-1].per_second for runs in seen.loads.values())
            if fastest > OPEN_MARGIN * OPEN_PER_SECOND:
                seen.tails.append(one.open(OPEN_PER_SECOND, plan.seconds))
                say(f"{seen.server.name:14} open loop: {_tail(seen.tails[-1])}")
            if seen.server.name == OURS and ready.key is not None:
                seen.batches.append(batches(bench, port=one.up.port, key=ready.key))
                say("  ".join(_form(batch) for batch in seen.batches[-1]))
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        # One server that fails must not cost the measurements of all the others.
        seen.failure = getattr(error, "reason", str(error))
        say(f"{seen.server.name}: {error}")


def _load(one: Serving, seen: Seen, *, plan: Plan, say: Say) -> None:
    for connections in plan.connections:
        wait_for_quiet(plan.patience_seconds)
        longer = max(1.0, LONGER_PER_CONNECTION * connections)
        found = one.closed(connections, longer * plan.seconds)
        seen.loads.setdefault(connections, []).append(found)
        say(
            f"{seen.server.name:14} {connections:4} connections {found.per_second:8,.0f}/s  "
            f"p50 {found.p50_ms:7.2f}  p99 {found.p99_ms:8.2f} ms  bad {found.bad}  "
            f"{found.cpu_us:6.0f} us of processor  others {found.others:.2f}  load {found.load:.1f}"
        )


def _form(batch: Batch) -> str:
    kind = batch.media_type.rsplit("/", 1)[-1]
    if batch.refused is not None:
        return f"1,000 rows as {kind}: answers {batch.refused}"
    return f"1,000 rows as {kind}: {batch.ratio:.2f} x the model's own {batch.model_ms:.1f} ms"


def _tail(outcome: Outcome) -> str:
    good = outcome.good
    return (
        f"p50 {good.p50_ms:.2f}  p99 {good.p99_ms:.2f}  p99.9 {good.p999_ms:.2f}  most "
        f"{good.max_ms:.1f} ms  {outcome.statuses}  own lag {outcome.lag_p99_ms:.2f} ms"
    )
