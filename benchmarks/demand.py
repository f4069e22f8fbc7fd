"""Time of one forecast beside Prophet's own, and of a thousand trainings: ``-m benchmarks.demand``.

Exits with 1 when a limit of the table is missed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report import write_section
from bentos.answering import answer_row
from bentos.catalog import contract_of
from bentos.demand.predictor import DemandPredictor
from bentos.demand.steps import STEPS, following
from bentos.release import Identity, Release
from core import clock
from core.artifact import manifest_sha256
from core.config import ModelConfig
from training.fitting import fit_only
from training.recipes.demand_methods import curve_of, fitted_prophet

SERIES, MONTHS, AHEAD = 1_000, 96, 30
CALLS, PROPHET_EVERY = 2_000, 50
MOST_SECONDS, MOST_MS, LEAST_RATIO, MOST_GAP = 600, 1.0, 50, 1e-6


@dataclass(frozen=True)
class Race:
    """Times of one forecast, in milliseconds, and how far the two lie apart."""

    in_process: float
    whole_request: float
    prophet: float
    gap: float

    @property
    def ratio(self) -> float:
        """How many times faster than Prophet."""
        return self.prophet / self.in_process


def main() -> int:
    """Measure and write the figures down."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = write_table(folder / "demand.parquet")
        config = config_of(folder / "demand.parquet")
        began = time.perf_counter()
        fitted = fit_only(config, home=folder, folder=folder / "artifact")
        seconds = time.perf_counter() - began
        if not isinstance(fitted.predictor, DemandPredictor):
            raise TypeError(f"{fitted.predictor.MODEL} forecasts no demand")
        race = measure(fitted.predictor, rows)
    write_section("demand", _table(seconds, race))
    is_met = (
        seconds < MOST_SECONDS
        and race.in_process < MOST_MS
        and race.ratio >= LEAST_RATIO
        and race.gap <= MOST_GAP
    )
    return 0 if is_met else 1


def write_table(path: Path) -> pd.DataFrame:
    """Write monthly series with trend, season and noise, and give them."""
    draw = np.random.default_rng(1)
    month = np.arange(MONTHS)
    level = draw.lognormal(5, 0.8, (SERIES, 1))
    trend = 1 + draw.normal(0, 0.004, (SERIES, 1)) * month
    phase = draw.uniform(0, 12, (SERIES, 1))
    season = 1 + draw.uniform(0, 0.3, (SERIES, 1)) * np.sin(2 * np.pi * (month + phase) / 12)
    noise = np.exp(draw.normal(0, 1, (SERIES, MONTHS)) * draw.uniform(0.02, 0.2, (SERIES, 1)))
    begins = (np.datetime64("2016-01", "M") + month).astype("datetime64[s]")
    rows = pd.DataFrame(
        {
            "series": np.repeat([f"series-{i:04d}" for i in range(SERIES)], MONTHS),
            "month": np.tile(begins, SERIES),
            "hours": (level * trend * season * noise).ravel(),
        }
    )
    rows.to_parquet(path, index=False)
    return rows


def config_of(table: Path) -> ModelConfig:
    """Give the config of that table: the recipe's usual options, 30 steps ahead."""
    return ModelConfig.model_validate(
        {
            "model": "demand",
            "title": "A thousand series",
            "description": "Made up for the benchmark.",
            "source": {"kind": "parquet", "path": str(table)},
            "entity": "series",
            "as_of": "month",
            "target": {"column": "hours", "description": "Hours asked for", "unit": "hours"},
            "features": {},
            "split": {"rule": "steps", "test_steps": 12},
            "training": {"options": {"max_horizon_steps": AHEAD}},
            "gate": {"metric": "mase_error"},
        }
    )


def measure(predictor: DemandPredictor, rows: pd.DataFrame) -> Race:
    """Forecast a series by Prophet itself and by its exported curve, by turns in one run."""
    name = str(rows["series"].iloc[0])
    mine = rows[rows["series"] == name]
    times = mine["month"].to_numpy().astype("datetime64[s]")
    kind = STEPS["month"]
    model = fitted_prophet(mine["hours"].to_numpy(), times, kind)
    known = replace(
        predictor.panel.series[name], method="prophet", curve=curve_of(model), curve_share=1.0
    )
    predictor.panel = replace(predictor.panel, series={**predictor.panel.series, name: known})
    release = Release(
        kind=type(predictor),
        predictor=predictor,
        contract=contract_of(predictor.config),
        manifest=predictor.artifact.manifest,
        identity=Identity(
            model="demand", version="1", run_id="benchmark", registered_at=clock.now(),
            manifest_sha256=manifest_sha256(predictor.artifact.folder),
        ),
        loaded_at=clock.now(),
    )  # fmt: skip
    sent = {"series": name, "horizon_steps": AHEAD, "interval_level": 0.9}
    row = release.contract.parse_row(sent)
    ahead = pd.DataFrame({"ds": following(times[-1], kind, AHEAD).astype("datetime64[ns]")})
    spent: dict[str, list[float]] = {"in_process": [], "whole_request": [], "prophet": []}
    for call in range(CALLS):
        spent["in_process"].append(_ms(lambda: predictor.predict([row])))
        spent["whole_request"].append(_ms(lambda: answer_row(release, sent)))
        if call % PROPHET_EVERY == 0:
            spent["prophet"].append(_ms(lambda: model.predict(ahead)))
    gap = _gap(predictor.predict([row])[0], model.predict(ahead)["yhat"].to_numpy())
    return Race(**{what: float(np.median(found)) for what, found in spent.items()}, gap=gap)


def _gap(answer: dict[str, Any], expected: Any) -> float:
    """Give the largest difference of the two, relative to the largest value."""
    said = np.array([step["value"] for step in answer["result"]["steps"]])
    return float(np.abs(said - expected).max() / np.abs(expected).max())


def _ms(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def _table(seconds: float, race: Race) -> str:
    one = f"one forecast of a fitted series, {AHEAD} steps, in process"
    others = "`Prophet.predict` of the same steps, without its sampled intervals"
    trained = f"{SERIES:,} monthly series trained, measured and fitted again"
    each = f"{seconds:,.0f} s, {seconds / SERIES:.2f} s a series"
    rows = [
        (one, f"{race.in_process:.3f} ms median", f"under {MOST_MS:g} ms"),
        ("the same from parsed JSON to the answer", f"{race.whole_request:.3f} ms median", ""),
        (others, f"{race.prophet:.1f} ms median", ""),
        ("how many times as long", f"{race.ratio:,.0f}", f"at least {LEAST_RATIO}"),
        ("largest relative difference of the two", f"{race.gap:.1e}", f"at most {MOST_GAP:g}"),
        (trained, each, f"under {MOST_SECONDS} s"),
    ]
    lines = ["| what | measured | must reach |", "| --- | --- | --- |"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
