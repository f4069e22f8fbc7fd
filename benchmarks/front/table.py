"""What was measured, as a table, and held against what must be reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.front.batch import JSON, Batch
from benchmarks.front.rounds import OPEN_PER_SECOND, Seen
from benchmarks.front.wrk import Load

BARE, OURS, TWO = "fastapi", "ours", "ours-two"
LEAST = {BARE: 2.5, "mlserver": 6.0, "composite": 12.0}
MOST_MEDIAN, MOST_P99, MOST_P99_CROWDED = 1.0, 1.5, 1.0
MOST_JSON, MOST_BINARY = 2.0, 1.3
MOST_PROCESSOR = 1.15
CROWDED = (32, 256)


@dataclass(frozen=True)
class Verdict:
    """One line of what must be reached.

    Parameters
    ----------
    what
        The figure's name.
    measured
        What it was.
    asked
        What it must be.
    passed
        Whether it is; nothing when it could not be measured.
    """

    what: str
    measured: str
    asked: str
    passed: bool | None

    def line(self) -> str:
        """Give the table's line."""
        word = {True: "pass", False: "**miss**", None: "not measured"}[self.passed]
        return f"| {self.what} | {self.measured} | {self.asked} | {word} |"


def middle(seen: Seen, connections: int, name: str) -> float | None:
    """Give the median over the rounds of one figure of a server."""
    loads = seen.loads.get(connections, [])
    return median(getattr(load, name) for load in loads) if loads else None


def servers_table(seen: Sequence[Seen], connections: Sequence[int]) -> str:
    """Write one table a number of connections.

    Parameters
    ----------
    seen
        Servers of one model, the bare handler among them.
    connections
        Numbers of connections, in order.
    """
    bare = next((one for one in seen if one.server.name.startswith(BARE)), None)
    parts = []
    for count in connections:
        lines = [
            f"**{count} connection{'s' if count > 1 else ''}, kept open**",
            "",
            "| server | rows a second | x bare | median | p99 | not 2xx | processor a row |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(_line(one, bare, count) for one in seen),
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _line(one: Seen, bare: Seen | None, count: int) -> str:
    loads = one.loads.get(count, [])
    if not loads:
        return f"| {one.server.title} | {one.failure or 'not measured'} |  |  |  |  |  |"
    times = None if bare is None else ratio(one, bare, count)
    shown = "" if times is None else f"{times:.2f}"
    bad, answers = sum(load.bad for load in loads), sum(load.answers for load in loads)
    share = "0" if bad == 0 else f"{bad:,} of {answers:,}"
    return (
        f"| {one.server.title} | {_m(loads, 'per_second'):,.0f} | {shown} "
        f"| {_m(loads, 'p50_ms'):.2f} ms | {_m(loads, 'p99_ms'):.2f} ms | {share} "
        f"| {_m(loads, 'cpu_us'):,.0f} us |"
    )


def _m(loads: Sequence[Load], name: str) -> float:
    return float(median(getattr(load, name) for load in loads))


def tails_table(seen: Sequence[Seen]) -> str:
    """Write what the open loop saw."""
    lines = [
        f"**Open loop, {OPEN_PER_SECOND:,.0f} rows due a second, latency from when each was due**",
        "",
        "| server | median | p99 | p99.9 | not 200 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in seen:
        tails = [outcome.good for outcome in one.tails]
        if not tails:
            lines.append(f"| {one.server.title} | {one.failure or 'cannot keep up'} |  |  |  |")
            continue
        bad = sum(outcome.due - outcome.good.count for outcome in one.tails)
        p50, p99, p999 = (
            median(getattr(tail, name) for tail in tails)
            for name in ("p50_ms", "p99_ms", "p999_ms")
        )
        lines.append(
            f"| {one.server.title} | {p50:.2f} ms | {p99:.2f} ms | {p999:.2f} ms | {bad:,} |"
        )
    return "\n".join(lines)


def ratio(one: Seen, other: Seen, count: int, name: str = "per_second") -> float | None:
    """Give the median over the rounds of one server's figure over another's in the same round."""
    pairs = list(zip(one.loads.get(count, []), other.loads.get(count, []), strict=False))
    if not pairs:
        return None
    return float(median(getattr(a, name) / max(1e-9, getattr(b, name)) for a, b in pairs))


def verdicts(seen: Sequence[Seen], batches: Sequence[Batch]) -> list[Verdict]:
    """Hold what was measured against what must be reached."""
    by_name = {one.server.name: one for one in seen}
    return [*_crowded(by_name), *_lone(by_name), *_batches(batches), *_two(by_name)]


def _crowded(by_name: Mapping[str, Seen]) -> Iterator[Verdict]:
    ours, bare = by_name.get(OURS), by_name.get(BARE)
    for count in CROWDED:
        for name, least in LEAST.items():
            other = by_name.get(name)
            times = ratio(ours, other, count) if ours and other else None
            title = other.server.title if other else name
            yield _times(f"{count} connections, rows a second, beside {title}", times, least=least)
        if ours and (loads := ours.loads.get(count)):
            bad = sum(load.bad for load in loads)
            what = f"{count} connections, answers that are not 2xx"
            yield Verdict(what, f"{bad:,}", "none", bad == 0)
    times = ratio(ours, bare, CROWDED[-1], "p99_ms") if ours and bare else None
    yield _times("256 connections, p99 beside the bare handler", times, most=MOST_P99_CROWDED)


def _lone(by_name: Mapping[str, Seen]) -> Iterator[Verdict]:
    ours, bare = by_name.get(OURS), by_name.get(BARE)
    for name, most in (("p50_ms", MOST_MEDIAN), ("p99_ms", MOST_P99)):
        times = ratio(ours, bare, 1, name) if ours and bare else None
        word = "median" if name == "p50_ms" else "p99"
        yield _times(f"one connection, {word} beside the bare handler", times, most=most)


def _batches(batches: Sequence[Batch]) -> Iterator[Verdict]:
    for batch in batches:
        most = MOST_JSON if batch.media_type == JSON else MOST_BINARY
        what = f"1,000 rows as `{batch.media_type}` beside `booster.predict` on the ready matrix"
        if batch.refused is not None:
            yield Verdict(what, f"answers {batch.refused}", f"at most {most:g} x", None)
        else:
            shown = f"{batch.ratio:.2f} x ({batch.served_ms:.1f} to {batch.model_ms:.1f} ms)"
            yield Verdict(what, shown, f"at most {most:g} x", batch.ratio <= most)


def _two(by_name: Mapping[str, Seen]) -> Iterator[Verdict]:
    one, two = by_name.get(OURS), by_name.get(TWO)
    for count in CROWDED:
        times = ratio(two, one, count, "cpu_us") if one and two else None
        what = f"{count} connections, processor time a row with two processes beside one"
        yield _times(what, times, most=MOST_PROCESSOR)


def _times(
    what: str, times: float | None, *, least: float | None = None, most: float | None = None
) -> Verdict:
    asked = f"at least {least:g} x" if least is not None else f"at most {most:g} x"
    if times is None:
        return Verdict(what, "", asked, None)
    passed = times >= least if least is not None else times <= (most or 0.0)
    return Verdict(what, f"{times:.2f} x", asked, passed)


def verdict_table(found: Sequence[Verdict]) -> str:
    """Write the table of verdicts."""
    lines = ["| what | measured | must reach | |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *(verdict.line() for verdict in found)])


def noise(seen: Sequence[Seen]) -> str:
    """Say how loud the machine was meanwhile."""
    loads = [load for one in seen for runs in one.loads.values() for load in runs]
    if not loads:
        return "Nothing was measured."
    return (
        f"Median over the rounds; ratios are taken within a round. Others on this machine kept "
        f"{median(load.others for load in loads):.2f} processors busy meanwhile (median; at most "
        f"{max(load.others for load in loads):.2f}); load average at most "
        f"{max(load.load for load in loads):.1f}."
    )
