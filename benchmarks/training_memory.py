"""Peak memory of training on a million rows: ``python -m benchmarks.training_memory``."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import write_section
from benchmarks.synthetic import write_config, write_table

ROWS, NUMBERS, CATEGORIES = 1_000_000, 22, 8


def main() -> int:
    """Train in a process of its own, and write down what the system says of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, yaml = folder / "table.parquet", folder / "churn.yaml"
        write_table(table, rows=ROWS, numbers=NUMBERS, categories=CATEGORIES)
        write_config(yaml, table, numbers=NUMBERS, categories=CATEGORIES)
        began = time.perf_counter()
        command = [sys.executable, "-m", "cli.main", "train", "churn", "--config", str(yaml)]
        environment = {**os.environ, "SEPTET_HOME": str(folder / "home")}
        done = subprocess.run(command, env=environment, check=False)  # noqa: S603 - our own command
        seconds = time.perf_counter() - began
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    if done.returncode == 0:
        text = (
            f"{ROWS:,} rows x {NUMBERS + CATEGORIES} columns: peak {peak_mib:,.0f} MiB "
            f"(limit 4,096 MiB), {seconds:,.0f} s, MLflow's set-up included."
        )
        write_section("training memory", text)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
