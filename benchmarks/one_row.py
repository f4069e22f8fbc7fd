"""Time of one row, from parsed JSON to the finished answer: ``python -m benchmarks.one_row``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.report import write_section
from benchmarks.synthetic import write_config, write_table
from bentos.answering import answer_row
from bentos.catalog import contract_of, predictor_type
from bentos.release import Identity, Release
from core import clock
from core.artifact import manifest_sha256, open_artifact
from core.config import load_model_config
from core.encoding import FloatArray
from training.fitting import fit_only

ROWS, NUMBERS, CATEGORIES = 20_000, 15, 5
CALLS = 5_000


def build_release(folder: Path) -> Release:
    """Train the synthetic model and open it."""
    table, yaml = folder / "table.parquet", folder / "churn.yaml"
    write_table(table, rows=ROWS, numbers=NUMBERS, categories=CATEGORIES)
    write_config(yaml, table, numbers=NUMBERS, categories=CATEGORIES)
    fit_only(load_model_config(yaml), home=folder, folder=folder / "artifact")
    artifact = open_artifact(folder / "artifact")
    identity = Identity(
        model="churn",
        version="1",
        run_id="benchmark",
        registered_at=clock.now(),
        manifest_sha256=manifest_sha256(artifact.folder),
    )
    kind = predictor_type("churn")
    return Release(
        kind=kind,
        predictor=kind(artifact),
        contract=contract_of(artifact.config),
        manifest=artifact.manifest,
        identity=identity,
        loaded_at=clock.now(),
    )


def main() -> None:
    """Measure and write the figures down."""
    with tempfile.TemporaryDirectory() as folder:
        release = build_release(Path(folder))
        row = release.contract.example()
        trees = len(list((Path(folder) / "artifact").glob("trees_*.txt")))
        plain = _times(lambda: answer_row(release, row))
        reasons = _times(lambda: answer_row(release, row, explain=True), calls=CALLS // 10)
    lines = [
        "| what | median | 99th percentile |",
        "| --- | --- | --- |",
        f"| one row of 20 features ({trees} boosters and the spline) | {_shown(plain)} |",
        f"| the same with its drivers | {_shown(reasons)} |",
    ]
    write_section("one row", "\n".join(lines))


def _times(call: Callable[[], object], *, calls: int = CALLS) -> FloatArray:
    times = np.empty(calls)
    for i in range(calls):
        began = time.perf_counter()
        call()
        times[i] = time.perf_counter() - began
    return times * 1e6


def _shown(times: FloatArray) -> str:
    return f"{np.median(times):,.0f} microseconds | {np.quantile(times, 0.99):,.0f} microseconds"


if __name__ == "__main__":
    main()
