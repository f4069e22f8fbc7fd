"""Demand on public series, beside the forecasters that are known for them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.config import load_model_config
from tests.quality.conftest import Figure, Writer
from tests.quality.difference import Answers, Statistic, on_rows
from tests.quality.references import demand as known
from training.fitting import Fitted, fit_only

CONFIGS = Path(__file__).parent / "configs"
pytestmark = [pytest.mark.quality, pytest.mark.timeout(3000)]


def fit_table(
    name: str, rows: pd.DataFrame, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Fitted:
    """Write the prepared table and train on it as a user would."""
    rows.to_parquet(folder / f"{name}.parquet", index=False)
    monkeypatch.setenv("SEPTET_PREPARED", str(folder))
    config = load_model_config(CONFIGS / f"{name}.yaml")
    return fit_only(config, home=folder / "home", folder=folder / "artifact")


def monthly(table: Path, *, first: str) -> pd.DataFrame:
    """Give the steps of a competition dates; they count from zero."""
    rows = pd.read_parquet(table)
    months = np.datetime64(first, "M") + rows["t"].to_numpy()
    return rows[["unique_id", "y"]].assign(as_of=months.astype("datetime64[s]"))


def mean_of(metric: str) -> Statistic:
    """Give the mean of a metric over series."""

    def mean(answers: Answers, rows: np.ndarray) -> float:
        return float(answers[metric][rows].mean())

    return mean


def against(fitted: Fitted, *, season: int, methods: tuple[str, ...]) -> dict[str, Answers]:
    """Forecast the test by every named method, and by ours under ``ours``."""
    given = known.given_of(fitted.split, season=season)
    single = {
        known.NAIVE: known.naive, known.ETS: known.ets, known.THETA: known.theta,
        known.PROPHET: known.prophet, "MSTL": known.mstl,
    }  # fmt: skip
    both = {known.THETA_ETS: (known.THETA, known.ETS), known.THETA_MSTL: (known.THETA, "MSTL")}
    wanted = {part for name in methods for part in both.get(name, (name,))}
    paths = {part: {one.name: single[part](one) for one in given} for part in sorted(wanted)}
    for name in methods:
        if name in both:
            one, two = (paths[part] for part in both[name])
            paths[name] = {key: known.mean_of(one[key], two[key]) for key in one}
    answers: dict[str, Answers] = {
        "ours": known.measured(given, known.ours_of(given, fitted.outputs))
    }
    return answers | {name: known.measured(given, paths[name]) for name in methods}


def figures_of(answers: dict[str, Answers], gates: dict[str, Figure]) -> list[Figure]:
    """Measure each gated metric of ours beside the others', series redrawn alike."""
    others = {name: found for name, found in answers.items() if name != "ours"}
    return [
        on_rows(figure, mean_of(metric), ours=answers["ours"], others=others)
        for metric, figure in gates.items()
    ]


def test_demand_of_the_m3_competition(
    open_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_figures: Writer
) -> None:
    rows = monthly(open_data / "demand" / "m3_monthly.parquet", first="2000-01")
    fitted = fit_table("m3_monthly", rows, tmp_path, monkeypatch)
    methods = (known.THETA_ETS, known.ETS, known.THETA, known.NAIVE, known.PROPHET)
    write_figures(
        "demand",
        data="m3_monthly",
        about=(
            "M3 competition, 199 monthly series, 18 months ahead. MASE is scaled by the in-sample "
            "seasonal naive; the best entrant of the competition, ForecastPro, reached .833 and a "
            "sMAPE of 15.0 on these series."
        ),
        figures=figures_of(
            against(fitted, season=12, methods=methods),
            {
                "mase": Figure("MASE", 0, most=0.86),
                "smape": Figure("sMAPE", 0, most=15.8),
                "coverage": Figure("coverage of 95 %", 0, least=0.91, most=0.98),
                "msis": Figure("MSIS of 95 %", 0, most=6.5),
            },
        ),
    )


def test_demand_of_the_tourism_competition(
    open_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_figures: Writer
) -> None:
    rows = monthly(open_data / "demand" / "tourism_monthly.parquet", first="1980-01")
    fitted = fit_table("tourism_monthly", rows, tmp_path, monkeypatch)
    methods = (known.ETS, known.THETA_ETS, known.THETA, known.NAIVE, known.PROPHET)
    write_figures(
        "demand",
        data="tourism_monthly",
        about="Tourism competition, 111 monthly series, 24 months ahead.",
        figures=figures_of(
            against(fitted, season=12, methods=methods),
            {
                "mase": Figure("MASE", 0, most=1.53),
                "smape": Figure("sMAPE", 0, better="lower"),
                "coverage": Figure("coverage of 95 %", 0, least=0.91),
                "msis": Figure("MSIS of 95 %", 0, better="lower"),
            },
        ),
    )


def test_demand_of_the_weekly_sales_of_shops(
    open_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_figures: Writer
) -> None:
    sales = pd.read_csv(open_data / "demand" / "walmart_weekly.csv")
    rows = pd.DataFrame(
        {
            "unique_id": sales["store"].map("store-{:02d}".format),
            "as_of": pd.to_datetime(sales["date"]),
            "y": sales["weekly_sales"],
        }
    )
    fitted = fit_table("walmart_weekly", rows, tmp_path, monkeypatch)
    methods = (known.THETA_MSTL, "MSTL", known.THETA, known.NAIVE, known.PROPHET)
    write_figures(
        "demand",
        data="walmart_weekly",
        about="Weekly sales of 45 shops, 13 weeks ahead, season of 52 weeks.",
        figures=figures_of(
            against(fitted, season=52, methods=methods),
            {
                "mase": Figure("MASE", 0, most=0.57),
                "smape": Figure("sMAPE", 0, better="lower"),
                "coverage": Figure("coverage of 95 %", 0, better="higher"),
                "msis": Figure("MSIS of 95 %", 0, better="lower"),
            },
        ),
    )
