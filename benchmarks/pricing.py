"""Time of a price recommendation, and its distance to a fine grid: ``-m benchmarks.pricing``.

A model of the sample firm's quotes is trained, and one quote is answered again and again in
process: contract, check, curve, solver, intervals. The profit of the recommended price is held
against the best of a grid of 20,000 prices over the same served curve.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.report import write_section
from bentos.answering import answer_row
from bentos.catalog import predictor_type
from bentos.pricing.predictor import PricingPredictor
from bentos.release import Identity, Release
from core import clock
from core.artifact import manifest_sha256, open_artifact
from core.config import SampleSource, load_model_config
from core.contract import Contract
from core.encoding import FloatArray
from training.fitting import Fitted, fit_only

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "models" / "pricing.yaml"
CLIENTS = 1000
CALLS = 3_000
GRID = 20_000
ROWS = 300
MOST_MS, MOST_SHORT = 2.0, 0.01


def main() -> None:
    """Measure and write the figures down.

    Raises
    ------
    SystemExit
        A figure misses what must be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        fitted = _fitted(Path(folder))
        release = _release(Path(folder) / "artifact")
        row = release.contract.example()
        plain = _times(lambda: answer_row(release, row))
        reasons = _times(lambda: answer_row(release, row, explain=True))
        curve = _times(lambda: answer_row(release, row | {"with_curve": True}))
        shortfall = _shortfall(fitted)
    near = (
        f"Profit below the best of {GRID:,} prices on the same served curve, worst of {ROWS} rows: "
        f"{shortfall:.1e} of it."
    )
    lines = [
        "| what | median | 99th percentile |",
        "| --- | --- | --- |",
        f"| one recommendation at a least margin | {_shown(plain)} |",
        f"| the same with its drivers | {_shown(reasons)} |",
        f"| the same with its curve | {_shown(curve)} |",
        "",
        near,
    ]
    write_section("price recommendation", "\n".join(lines))
    if np.median(plain) > 1e3 * MOST_MS or shortfall > MOST_SHORT:
        raise SystemExit("a price recommendation misses its figure: see docs/performance.md")


def _fitted(folder: Path) -> Fitted:
    config = load_model_config(CONFIG)
    if not isinstance(config.source, SampleSource):
        raise TypeError(f"{CONFIG} must read the sample firm")
    source = config.source.model_copy(update={"clients": CLIENTS})
    config = config.model_copy(update={"source": source})
    return fit_only(config, home=folder, folder=folder / "artifact")


def _release(folder: Path) -> Release:
    artifact = open_artifact(folder)
    kind = predictor_type("pricing")
    identity = Identity(
        model="pricing", version="1", run_id="benchmark", registered_at=clock.now(),
        manifest_sha256=manifest_sha256(folder),
    )  # fmt: skip
    return Release(
        kind=kind, predictor=kind(artifact), contract=Contract(artifact.config, kind.TASKS),
        manifest=artifact.manifest, identity=identity, loaded_at=clock.now(),
    )  # fmt: skip


def _shortfall(fitted: Fitted) -> float:
    """Give the largest share by which a recommended price falls short of a fine grid."""
    predictor = fitted.predictor
    if not isinstance(predictor, PricingPredictor):
        raise TypeError("the catalog gave another predictor")
    columns = {name: values[:ROWS] for name, values in fitted.split.test.columns.items()}
    matrix = predictor.encoder.encode(columns)
    curves, cost = predictor.curves(matrix), predictor.costs(matrix)
    low, high = predictor.seen_prices(matrix)
    low = np.maximum(low, cost)
    worst = 0.0
    shares = np.linspace(0.0, 1.0, GRID)
    for i in range(len(matrix)):
        one = curves.take(slice(i, i + 1))
        grid = (low[i] + (high[i] - low[i]) * shares)[None, :]
        best = float(((grid - cost[i]) * one.response(grid)).max())
        asked = np.array([fitted.outputs["best_price"][i]])
        ours = float(((asked - cost[i]) * one.response(asked))[0])
        worst = max(worst, 1.0 - ours / best)
    return worst


def _times(call: Callable[[], object]) -> FloatArray:
    times = np.empty(CALLS)
    for i in range(CALLS):
        began = time.perf_counter()
        call()
        times[i] = time.perf_counter() - began
    return times * 1e6


def _shown(times: FloatArray) -> str:
    return f"{np.median(times):,.0f} microseconds | {np.quantile(times, 0.99):,.0f} microseconds"


if __name__ == "__main__":
    main()
