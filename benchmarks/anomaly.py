"""Time of one record's score beside scikit-learn's own: ``python -m benchmarks.anomaly``.

Exits with 1 when a limit of the table is missed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.ensemble import IsolationForest

from benchmarks.report import write_section
from bentos.anomaly.forest import Forest
from bentos.anomaly.predictor import AnomalyPredictor
from core.config import load_model_config
from core.encoding import rows_to_columns
from core.settings import ROOT
from training.fitting import fit_only
from training.recipes.anomaly_forest import export_forest

CALLS, LIBRARY_EVERY = 3_000, 20
ROWS, TREES = 5_000, 200
MOST_MICROSECONDS, MOST_GAP = 200.0, 1e-6


def main() -> int:
    """Measure, write the figures down, and say whether the limits hold."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = load_model_config(ROOT / "configs" / "models" / "anomaly.yaml")
        fitted = fit_only(config, home=folder, folder=folder / "artifact")
    predictor = fitted.predictor
    if not isinstance(predictor, AnomalyPredictor):
        raise TypeError("the anomaly recipe gave another predictor")
    columns = fitted.split.train.columns
    asked = predictor.usual.filled(predictor.encoder.encode(columns))[:ROWS]
    library = IsolationForest(n_estimators=TREES, random_state=7).fit(asked)
    forest = Forest(export_forest(library))
    gap = float(np.abs(forest.score(asked) + library.score_samples(asked)).max())
    single = asked[:1]
    [row] = [{name: values[0] for name, values in columns.items()}]
    one = rows_to_columns([row], predictor.features)
    times = interleaved(
        {
            "forest": lambda: forest.score(single),
            "record": lambda: predictor.score(one),
            "answer": lambda: predictor.predict([row]),
        },
        slow=lambda: library.score_samples(single),
    )
    median = {name: float(np.median(found)) for name, found in times.items()}
    limit = f"{MOST_MICROSECONDS:.0f} us"
    lines = [
        "| one record | median | 99th percentile | must reach |",
        "| --- | --- | --- | --- |",
        _line("the whole score: forest, context, p-value", times["record"], f"median {limit}"),
        _line("the answer with flags, from a parsed row", times["answer"], ""),
        _line(f"isolation forest of {TREES} trees alone, exported", times["forest"], ""),
        _line("the same in scikit-learn (`score_samples`)", times["library"], ""),
        "",
        f"Gap to scikit-learn, {len(asked):,} rows: at most {gap:.1e} (must reach {MOST_GAP:.0e}).",
        f"Its forest alone takes {median['library'] / median['record']:,.0f} times as long there.",
    ]
    write_section("anomaly score", "\n".join(lines))
    return int(median["record"] > MOST_MICROSECONDS or gap > MOST_GAP)


def interleaved(
    calls: dict[str, Callable[[], object]], *, slow: Callable[[], object]
) -> dict[str, list[float]]:
    """Time calls in turn, in microseconds; the slow one every so often."""
    times: dict[str, list[float]] = {name: [] for name in (*calls, "library")}
    for call in range(CALLS):
        for name, work in calls.items():
            times[name].append(_took(work))
        if call % LIBRARY_EVERY == 0:
            times["library"].append(_took(slow))
    return times


def _took(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e6


def _line(what: str, times: list[float], limit: str) -> str:
    return f"| {what} | {np.median(times):,.0f} us | {np.quantile(times, 0.99):,.0f} us | {limit} |"


if __name__ == "__main__":
    sys.exit(main())
