"""What keys cost: one against 100,000, of which 10,000 ask: ``python -m benchmarks.front.keys``.

Both platforms are measured by turns: the one with a single key, and the one whose every request
carries another of 10,000 keys, so that as many windows of the limiter are in use.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import sqlalchemy as sa

from benchmarks.front.model import Bench, build
from benchmarks.front.processes import go_before_others, wait_for_quiet
from benchmarks.front.ready import Ready
from benchmarks.front.rounds import WARM_UP_SECONDS
from benchmarks.front.servers import chosen
from benchmarks.front.serving import Serving, serving
from benchmarks.front.table import Verdict, verdict_table
from benchmarks.front.workplace import FOLDER, alone, say
from benchmarks.front.wrk import Load, require_wrk
from benchmarks.report import write_section
from core import clock
from core.settings import Settings
from services.access.secret import digest_of, new_id, new_key
from services.records import KEYS, KEYS_COUNTER, Records, next_revision

HELD, HOT = 100_000, 10_000
CONNECTIONS = (1, 32)
# What two runs of the same platform differ by here: more than this is a cost.
MOST_MORE = 1.05
_BLOCK = 5_000


@dataclass
class Side:
    """One of the two platforms.

    Parameters
    ----------
    title
        As the table says it.
    ready
        How it is started.
    keys
        File of the keys that ask, one a line.
    loads
        Runs of wrk by connections.
    rss_mib
        Memory after each round.
    """

    title: str
    ready: Ready
    keys: Path | None
    loads: dict[int, list[Load]] = field(default_factory=dict)
    rss_mib: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and write the figures down."""
    parser = argparse.ArgumentParser(prog="benchmarks.front.keys", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run of wrk")
    parser.add_argument("--patience", type=float, default=0.0, help="as benchmarks.front")
    parser.add_argument("--nice", type=int, default=0, help="as benchmarks.front")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    require_wrk()
    go_before_others(options.nice)
    with alone(FOLDER):
        bench = build(FOLDER)
        one, many = _side(bench, "one key", hot=0), _side(bench, "many", hot=HOT)
        many.title = f"{HELD:,} keys, {HOT:,} of them by turns"
        with ExitStack() as stack:
            sides = [(side, stack.enter_context(_serving(bench, side))) for side in (one, many)]
            for side, server in sides:
                server.closed(max(CONNECTIONS), WARM_UP_SECONDS, keys=side.keys)
            for turn in range(options.rounds):
                for side, server in sides if turn % 2 == 0 else reversed(sides):
                    wait_for_quiet(options.patience)
                    _round(side, server, seconds=options.seconds)
    text = _text(one, many)
    say(f"\n{text}")
    if options.write:
        write_section("front door keys", text)


def _side(bench: Bench, title: str, *, hot: int) -> Side:
    [server] = chosen("ours")
    folder = bench.folder / f"keys-{hot}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ready = server.prepare(bench, folder)
    keys = None
    if hot:
        keys = folder / "hot.txt"
        made = write_keys(Settings(home=folder / "septet"), HELD)
        keys.write_text("".join(f"{key}\n" for key in made[:hot]), encoding="utf-8")
    return Side(title, ready, keys)


def write_keys(settings: Settings, count: int) -> list[str]:
    """Put many keys into the records at once, as if each had been made by its own command."""
    records = Records(settings.records_url)
    made: list[str] = []
    try:
        while len(made) < count:
            block = [new_key(new_id()) for _ in range(min(_BLOCK, count - len(made)))]
            with records.writing() as connection:
                revision = next_revision(connection, KEYS_COUNTER)
                connection.execute(sa.insert(KEYS), list(_rows(block, revision)))
            made += block
    finally:
        records.close()
    return made


def _rows(keys: list[str], revision: int) -> Iterator[dict[str, object]]:
    for key in keys:
        yield {
            "id": key.split("_")[2], "name": "bench", "role": "analyst", "tier": "standard",
            "models": None, "networks": [], "sha256": digest_of(key).hex(), "retiring": [],
            "created_at": clock.now(), "created_by": "bench", "revision": revision,
        }  # fmt: skip


def _serving(bench: Bench, side: Side) -> AbstractContextManager[Serving]:
    [server] = chosen("ours")
    folder = bench.folder / f"keys-{HOT if side.keys else 0}"
    return serving(bench, server, side.ready, folder=folder)


def _round(side: Side, server: Serving, *, seconds: float) -> None:
    for connections in CONNECTIONS:
        found = server.closed(connections, seconds, keys=side.keys)
        side.loads.setdefault(connections, []).append(found)
        say(
            f"{side.title:36} {connections:3} connections {found.per_second:8,.0f}/s  "
            f"{found.cpu_us:6.1f} us of processor  bad {found.bad}  others {found.others:.2f}"
        )
    side.rss_mib.append(server.up.rss_mib())


def _text(one: Side, many: Side) -> str:
    """Write the figures as Markdown."""
    found = []
    for connections in CONNECTIONS:
        a, b = (median(x.cpu_us for x in side.loads[connections]) for side in (one, many))
        pairs = zip(one.loads[connections], many.loads[connections], strict=True)
        times = median(y.cpu_us / x.cpu_us for x, y in pairs)
        what = f"processor time a row, {connections} connection{'s' * (connections > 1)}"
        shown = f"{a:.0f} to {b:.0f} us, {times:.2f} x"
        found.append(Verdict(what, shown, f"at most {MOST_MORE:g} x", times <= MOST_MORE))
    bad = sum(x.bad for side in (one, many) for runs in side.loads.values() for x in runs)
    found.append(Verdict("answers that are not 2xx", f"{bad:,}", "none", bad == 0))
    memory = (
        f"Memory of all processes of the platform: {one.rss_mib[-1]:.0f} MiB with {one.title}, "
        f"{many.rss_mib[-1]:.0f} MiB with {many.title}."
    )
    return "\n\n".join([verdict_table(found), memory])


if __name__ == "__main__":
    main()
