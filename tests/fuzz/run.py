"""Fuzzes one target: ``python -m tests.fuzz.run NAME SECONDS NEW SEEDS``, each time a process.

libFuzzer, through atheris, changes the seeds towards code that was not run yet, and ends the
process by itself.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["bentos", "core", "services"]):
    from tests.fuzz.targets import TARGETS


def main(name: str, seconds: str, new: str, seeds: str) -> None:
    """Fuzz until the time is over, or something does not hold."""
    options = ["-max_len=4096", "-rss_limit_mb=2048", "-timeout=10", "-print_final_stats=1"]
    options += [f"-max_total_time={seconds}", f"-artifact_prefix={new}/"]
    atheris.Setup([sys.argv[0], *options, new, seeds], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
