"""``python -m benchmarks.front``: see ``--help``."""

from __future__ import annotations

import argparse
import sys

from benchmarks.front.model import build
from benchmarks.front.rounds import Plan, measure
from benchmarks.front.servers import SERVERS, chosen
from benchmarks.front.wrk import require_wrk
from core.settings import ROOT


def main() -> None:
    """Measure, print the table, and write it down."""
    options = _options()
    require_wrk()
    servers = chosen(options.only)
    plan = Plan(
        rounds=options.rounds,
        seconds=options.seconds,
        connections=tuple(int(part) for part in options.connections.split(",")),
    )
    bench = build(ROOT / ".septet" / "bench" / "work")
    measure(bench, servers, plan, say=_say)


def _options() -> argparse.Namespace:
    names = ", ".join(server.name for server in SERVERS)
    parser = argparse.ArgumentParser(prog="benchmarks.front", description=__doc__)
    parser.add_argument("--only", help=f"some of {names}; with commas between")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run of wrk")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--connections", default="1,32,256", help="kept open, with commas between")
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
