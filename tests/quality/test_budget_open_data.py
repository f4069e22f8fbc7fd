"""Budget on public simulated histories: one with its truth, one without."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from bentos.budget.predictor import BudgetPredictor
from bentos.catalog import contract_of
from core.config import ModelConfig, load_model_config
from tests.quality.conftest import Figure, Rival, Writer
from tests.quality.references import budget as known
from training.fitting import Fitted, fit_only

Floats = npt.NDArray[np.float64]
CONFIGS = Path(__file__).parent / "configs"
TEST_WEEKS = 26
# Of the generator in PyMC-Marketing's example: carry-over over 8 weeks, normalised; worth
# (1 - exp(-rate c)) / (1 + exp(-rate c)).
CARRY, RATE, WORTH, LAGS = (0.4, 0.2), (4.0, 3.0), (3000.0, 2000.0), 8
pytestmark = [pytest.mark.quality, pytest.mark.timeout(3000)]


def fit_table(
    name: str, rows: pd.DataFrame, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Fitted, ModelConfig]:
    """Write the prepared table and train on it as a user would."""
    rows.assign(market="home").to_csv(folder / f"{name}.csv", index=False)
    monkeypatch.setenv("SEPTET_PREPARED", str(folder))
    config = load_model_config(CONFIGS / f"{name}.yaml")
    return fit_only(config, home=folder / "home", folder=folder / "artifact"), config


def saturated(held: Floats, channel: int) -> Floats:
    power = np.exp(-RATE[channel] * held)
    brought: Floats = WORTH[channel] * (1 - power) / (1 + power)
    return brought


def true_weeks(spend: Floats) -> Floats:
    """Give what the generator's channels brought, shape ``(n, 2)``."""
    weights = [carry ** np.arange(LAGS) for carry in CARRY]
    held = [np.convolve(spend[:, k], w / w.sum())[: len(spend)] for k, w in enumerate(weights)]
    return np.column_stack([saturated(h, k) for k, h in enumerate(held)])


def true_steady(spend: Floats) -> float:
    return sum(float(saturated(spend[k : k + 1], k)[0]) for k in range(2))


def best_value(total: float) -> float:
    """Give the most that any split of a total brings."""
    first = np.linspace(0, total, 20_001)
    return float((saturated(first, 0) + saturated(total - first, 1)).max())


def split_of(fitted: Fitted, config: ModelConfig, total: float) -> Floats:
    """Ask the release for the best split of a weekly total."""
    row = contract_of(config).parse_row({"total_amount": total, "period_weeks": 1})
    [answer] = fitted.predictor.predict([row])
    return np.array([channel["amount"] for channel in answer["result"]["channels"]])


def r2(truth: Floats, said: Floats) -> float:
    return float(1 - np.sum((truth - said) ** 2) / np.sum((truth - truth.mean()) ** 2))


def test_budget_of_the_pymc_example(
    open_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_figures: Writer
) -> None:
    rows = pd.read_csv(open_data / "budget" / "pymc_mmm_example.csv")
    rows = rows.rename(columns={"y": "sales"}).assign(as_of=pd.to_datetime(rows["date_week"]))
    fitted, config = fit_table(
        "budget_pymc", rows[["as_of", "sales", "x1", "x2", "event_1", "event_2"]], tmp_path,
        monkeypatch,
    )  # fmt: skip
    assert isinstance(fitted.predictor, BudgetPredictor)
    past, weeks = known.histories(fitted.split, config)
    true, today = true_weeks(weeks.spend).sum(axis=0), weeks.spend.mean(axis=0)
    best, total = best_value(float(today.sum())), float(today.sum())

    def error(brought: Floats) -> float:
        return float(np.abs(brought / true - 1).mean())

    def regret(split: Floats) -> float:
        return 1 - true_steady(split) / best

    said = fitted.predictor.artifact.read_arrays("history.npz")["total"].mean(axis=0)
    fits = {name: fit(weeks, weeks) for name, fit in
            ((known.HILL, known.hill), (known.LINEAR, known.linear))}  # fmt: skip
    ahead = known.hill(past, weeks).predicted[-TEST_WEEKS:]
    none = np.zeros(2)
    splits = {
        name: known.split_by(fit.steady, today, least=none, most=none + total)
        for name, fit in fits.items()
    }
    contributions = Figure("error of a channel's contribution", error(said), most=0.10)
    regrets = Figure("regret against the best split", regret(split_of(fitted, config, total)),
                     most=0.005)  # fmt: skip
    write_figures(
        "budget",
        data="pymc_mmm_example",
        about=(
            "Example of PyMC-Marketing, 179 simulated weeks, two channels; the mean weekly spend "
            "split anew without limits, the truth being the published generator; R2 on the last "
            "26 weeks."
        ),
        figures=[
            contributions.against(
                *(Rival(name, error(fit.brought.sum(axis=0))) for name, fit in fits.items())
            ),
            regrets.against(
                *(Rival(name, regret(split)) for name, split in splits.items()),
                Rival("today's split", regret(today)),
            ),
            Figure("R2 of the last 26 weeks", fitted.metrics["r2_score"], least=0.90).against(
                Rival(known.HILL, r2(weeks.outcome[-TEST_WEEKS:], ahead))
            ),
        ],
    )


def test_budget_of_the_simulated_weeks_of_robyn(
    open_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_figures: Writer
) -> None:
    rows = pd.read_csv(open_data / "budget" / "robyn_simulated_weekly.csv")
    names = {"DATE": "as_of", "competitor_sales_B": "competitor_sales"}
    rows = rows.rename(columns=names | {f"{c}_S": f"{c}_s" for c in
                                        ("tv", "ooh", "print", "facebook", "search")})  # fmt: skip
    columns = ["as_of", "revenue", "tv_s", "ooh_s", "print_s", "facebook_s", "search_s",
               "competitor_sales", "newsletter"]  # fmt: skip
    fitted, config = fit_table("budget_robyn", rows[columns], tmp_path, monkeypatch)
    past, weeks = known.histories(fitted.split, config)
    truth, span = weeks.outcome[-TEST_WEEKS:], float(np.ptp(past.outcome))
    others = [
        Rival(
            name,
            float(np.sqrt(np.mean((fit(past, weeks).predicted[-TEST_WEEKS:] - truth) ** 2))) / span,
        )
        for name, fit in ((known.HILL, known.hill), (known.LINEAR, known.linear))
    ]
    write_figures(
        "budget",
        data="robyn_simulated_weekly",
        about=(
            "Robyn's tutorial, 208 simulated weeks, five channels, sales of competitors and "
            "newsletters as controls; the last 26 weeks from their actual spend. The truth is not "
            "published: fit alone, which is no proof of attribution."
        ),
        figures=[
            Figure("NRMSE of the last 26 weeks", fitted.metrics["nrmse_error"], most=0.06).against(
                *others
            ),
            Figure("mean absolute percentage error", fitted.metrics["mape_error"], better="lower"),
        ],
    )
