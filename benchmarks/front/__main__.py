"""``python -m benchmarks.front``: see ``--help``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.front.model import build
from benchmarks.front.picture import draw
from benchmarks.front.processes import go_before_others
from benchmarks.front.rounds import Plan, Seen, measure
from benchmarks.front.servers import SERVERS, chosen
from benchmarks.front.table import TWO, noise, servers_table, tails_table, verdict_table, verdicts
from benchmarks.front.workplace import FOLDER, alone, say
from benchmarks.front.wrk import require_wrk
from benchmarks.report import PAGE, write_section

PICTURE = PAGE.parent / "performance" / "front-door.png"


def main() -> None:
    """Measure, print the table, and write it down."""
    options = _options()
    require_wrk()
    go_before_others(options.nice)
    servers = chosen(options.only)
    plan = Plan(
        rounds=options.rounds,
        seconds=options.seconds,
        connections=tuple(int(part) for part in options.connections.split(",")),
        patience_seconds=options.patience,
    )
    with alone(FOLDER):
        seen = measure(build(FOLDER), servers, plan, say=say)
    text = render(seen, plan.connections)
    say(f"\n{text}")
    if options.only is None or options.write:
        write_section("front door", text)
        draw(
            [one for one in seen if one.server.model == "booster" and one.server.name != TWO],
            PICTURE,
        )


def render(seen: Sequence[Seen], connections: Sequence[int]) -> str:
    """Give everything that was measured as Markdown."""
    booster = [one for one in seen if one.server.model == "booster"]
    churn = [one for one in seen if one.server.model == "churn"]
    turns = [turn for one in seen for turn in one.batches]
    forms = [
        sorted(form, key=lambda batch: batch.ratio)[len(form) // 2]
        for form in zip(*turns, strict=True)
    ]
    parts = [verdict_table(verdicts(booster, forms)), servers_table(booster, connections)]
    parts.append(tails_table(booster))
    if churn:
        head = "The product's own churn model (15 numbers, 5 categories), through `answer_row`:"
        parts += [head, servers_table(churn, connections)]
    return "\n\n".join([*parts, noise(seen)])


def _options() -> argparse.Namespace:
    names = ", ".join(server.name for server in SERVERS)
    parser = argparse.ArgumentParser(prog="benchmarks.front", description=__doc__)
    parser.add_argument("--only", help=f"some of {names}; with commas between")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run of wrk")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--connections", default="1,32,256", help="kept open, with commas between")
    parser.add_argument(
        "--patience", type=float, default=0.0, metavar="SECONDS",
        help="wait this long, at most, for a quiet machine before each run",
    )  # fmt: skip
    parser.add_argument(
        "--nice", type=int, default=0, metavar="N",
        help="run at another priority: -10 (as root) goes before what else runs here",
    )  # fmt: skip
    parser.add_argument(
        "--write", action="store_true", help="write docs/performance.md also with --only"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
