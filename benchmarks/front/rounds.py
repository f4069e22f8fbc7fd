"""Every server in turn, alone while it is measured, and again in the next round."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.front.batch import Batch, batches
from benchmarks.front.environments import NotInstalledError
from benchmarks.front.model import Bench
from benchmarks.front.open_loop import Order, Outcome, run
from benchmarks.front.processes import (
    DidNotStartError,
    Running,
    free_port,
    running,
    wait_for_quiet,
)
from benchmarks.front.servers import Ready, Server
from benchmarks.front.wrk import Load, load

SAME = 1e-9
OURS = "ours"
CHECKED_ROWS = 8
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


class WrongAnswerError(RuntimeError):
    """A server does not say what the model says."""


def measure(bench: Bench, servers: Sequence[Server], plan: Plan, *, say: Say) -> list[Seen]:
    """Prepare every server, then measure all of them round by round."""
    seen = {server.name: Seen(server) for server in servers}
    prepared: dict[str, tuple[Server, Ready]] = {}
    for server in servers:
        folder = bench.folder / server.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            prepared[server.name] = (server, server.prepare(bench, folder))
        except NotInstalledError as error:
            seen[server.name].failure = f"cannot be installed: {error}"
            say(f"{server.name}: {seen[server.name].failure}")
    for turn in range(plan.rounds):
        names = list(prepared)
        # Another one begins each round, so that nobody always comes after the same neighbour.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            server, ready = prepared[name]
            if seen[name].failure is None:
                _measure_one(bench, server, ready, plan=plan, seen=seen[name], say=say)
    return list(seen.values())


def _measure_one(
    bench: Bench, server: Server, ready: Ready, *, plan: Plan, seen: Seen, say: Say
) -> None:
    """Start a server, check what it says, load it, and stop it."""
    folder = bench.folder / server.name
    bodies = folder / "bodies.txt"
    lines = [json.dumps(server.body(row)) for row in bench.rows.tolist()]
    bodies.write_text("\n".join(lines) + "\n", encoding="utf-8")
    port = free_port()
    command, variables = ready.at(port)
    try:
        with running(
            command, port=port, environment=variables, folder=folder,
            ready=lambda: _answers(port, server, ready, lines[0]),
        ) as up:  # fmt: skip
            _check(bench, server, ready, port=port, lines=lines)
            ask = _asker(up, server, ready, bodies)
            ask(max(plan.connections), WARM_UP_SECONDS)
            for connections in plan.connections:
                wait_for_quiet(plan.patience_seconds)
                longer = max(1.0, LONGER_PER_CONNECTION * connections)
                found = ask(connections, longer * plan.seconds)
                seen.loads.setdefault(connections, []).append(found)
                say(
                    f"{server.name:14} {connections:4} connections {found.per_second:8,.0f}/s  "
                    f"p50 {found.p50_ms:7.2f}  p99 {found.p99_ms:8.2f} ms  bad {found.bad}  "
                    f"{found.cpu_us:6.0f} us of processor  others {found.others:.2f}  "
                    f"load {found.load:.1f}"
                )
            seen.rss_mib.append(up.rss_mib())
            fastest = max(runs[-1].per_second for runs in seen.loads.values())
            if fastest > OPEN_MARGIN * OPEN_PER_SECOND:
                wait_for_quiet(plan.patience_seconds)
                order = Order(
                    port=port, path=server.path, bodies=str(bodies), per_second=OPEN_PER_SECOND,
                    seconds=plan.seconds, keys=() if ready.key is None else (ready.key,),
                )  # fmt: skip
                seen.tails.append(run(order))
                say(f"{server.name:14} open loop: {_tail(seen.tails[-1])}")
            if server.name == OURS and ready.key is not None:
                wait_for_quiet(plan.patience_seconds)
                seen.batches.append(batches(bench, port=port, key=ready.key))
                say("  ".join(_shown(batch) for batch in seen.batches[-1]))
    except (DidNotStartError, WrongAnswerError) as error:
        seen.failure = getattr(error, "reason", str(error))
        say(f"{server.name}: {error}")


def _asker(up: Running, server: Server, ready: Ready, bodies: Path) -> Callable[[int, float], Load]:
    def ask(connections: int, seconds: float) -> Load:
        return load(
            up, path=server.path, bodies=bodies, key=ready.key, connections=connections,
            seconds=seconds,
        )  # fmt: skip

    return ask


def _post(port: int, server: Server, ready: Ready, body: str) -> tuple[int, bytes]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"}
    if ready.key is not None:
        headers["X-API-Key"] = ready.key
    try:
        link.request("POST", server.path, body.encode(), headers)
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def _answers(port: int, server: Server, ready: Ready, body: str) -> bool:
    try:
        status, _ = _post(port, server, ready, body)
    except (OSError, http.client.HTTPException):
        return False
    return status == http.client.OK


def _check(bench: Bench, server: Server, ready: Ready, *, port: int, lines: list[str]) -> None:
    """Hold a server's answers against the model's own.

    Raises
    ------
    WrongAnswerError
        They differ.
    """
    for i in range(CHECKED_ROWS):
        status, content = _post(port, server, ready, lines[i])
        if status != http.client.OK:
            raise WrongAnswerError(f"it answered {status}: {content[:200]!r}")
        number = server.read(json.loads(content))
        if server.model == "booster" and abs(number - float(bench.expected[i])) > SAME:
            raise WrongAnswerError(f"it said {number!r} where the model says {bench.expected[i]!r}")


def _shown(batch: Batch) -> str:
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
