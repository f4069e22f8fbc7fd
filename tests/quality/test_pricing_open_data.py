"""Pricing on public tables, beside the references fitted in the same run on the same rows."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from core.config import load_model_config
from tests.quality.conftest import Figure, Writer
from tests.quality.difference import Answers, on_rows
from tests.quality.references.pricing import (
    LOG_LOG,
    LOGIT,
    MONOTONE,
    NO_PRICE,
    best_prices,
    regression,
    rows_of,
    trees,
)
from training.fitting import Fitted, fit_only
from training.recipes.pricing_measures import calibration_error

CONFIGS = Path(__file__).parent / "configs"
Rows = npt.NDArray[np.int64]
pytestmark = [pytest.mark.quality, pytest.mark.timeout(1500)]


def r2(answers: Answers, rows: Rows) -> float:
    target, said = answers["target"][rows], answers["said"][rows]
    return float(1 - np.mean((target - said) ** 2) / np.var(target))


def log_loss(answers: Answers, rows: Rows) -> float:
    won, chance = answers["target"][rows], np.clip(answers["said"][rows], 1e-9, 1 - 1e-9)
    return float(-np.mean(won * np.log(chance) + (1 - won) * np.log(1 - chance)))


def ece(answers: Answers, rows: Rows) -> float:
    return calibration_error(answers["target"][rows], answers["said"][rows])


def fit(name: str, folder: Path) -> Fitted:
    config = load_model_config(CONFIGS / f"{name}.yaml")
    return fit_only(config, home=folder / "home", folder=folder / "artifact")


def shelf_prices(source: Path, prepared: Path) -> None:
    """Write the orange juice with the columns that the config names."""
    table = pq.read_table(source)
    store = table["store"].to_numpy().astype(str)
    brand = table["brand"].to_numpy(zero_copy_only=False).astype(str)
    shelf = np.char.add(np.char.add(store, "/"), brand)
    first = np.datetime64("1989-09-14", "us")  # the grocer's own count of weeks begins there
    begins = first + table["week"].to_numpy() * np.timedelta64(7 * 86_400_000_000, "us")
    cost = table["price_oz"].to_numpy() * (1 - table["margin_pct"].to_numpy() / 100)
    feat = np.clip(table["feat"].to_numpy(), 0, 1)
    added = {"shelf": shelf, "store": store, "week_begins": begins, "cost_oz": cost, "feat": feat}
    for name, values in added.items():
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, prepared / "dominicks_oj.parquet")


def test_orange_juice_by_shop_and_week(
    open_data: Path, tmp_path: Path, write_figures: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf_prices(open_data / "pricing" / "dominicks_oj.parquet", tmp_path)
    monkeypatch.setenv("SEPTET_PREPARED", str(tmp_path))
    fitted = fit("dominicks_oj", tmp_path)
    outputs, metrics, test = fitted.outputs, fitted.metrics, fitted.split.test
    rows = rows_of(fitted.split, fitted.predictor.config)
    monotone = trees(rows)
    target = np.log(test.target)
    others = {
        MONOTONE: np.asarray(monotone.predict(rows.test)),
        LOG_LOG: regression(rows),
        NO_PRICE: np.asarray(trees(rows, with_price=False).predict(rows.test)),
    }
    ours = {"target": target, "said": outputs["eta"]}
    rivals = {name: {"target": target, "said": said} for name, said in others.items()}
    brands = test.columns["brand"]
    means = [float(outputs["elasticity"][brands == b].mean()) for b in sorted(set(brands))]
    some = slice(None, None, 4)
    low, high = seen_prices(fitted)
    part = type(rows)(**{**vars(rows), "test": rows.test[some]})
    _, edge = best_prices(monotone, part, np.maximum(low, outputs["cost"])[some], high[some])
    write_figures(
        "pricing",
        data="dominicks_oj",
        about=(
            "Ounces of orange juice sold by shop, brand and week (Dominick's, Chicago), the last "
            "26 weeks as test. Ours takes the unit cost for no context; the references see it."
        ),
        figures=[
            on_rows(Figure("R2 of the logarithm of the volume", 0.0, least=0.735), r2,
                    ours=ours, others=rivals),
            Figure("share of curves that rise anywhere", metrics["rising_ratio"], most=0.0),
            Figure("flattest elasticity of a brand", max(means), most=-2.0),
            Figure("steepest elasticity of a brand", min(means), least=-3.8),
            Figure("mean elasticity of the brands", float(np.mean(means)),
                   reference="-2.87 to -3.05 in the literature"),
            Figure("share of best prices at the edge of history", metrics["edge_ratio"], most=0.35,
                   reference_value=float(edge.mean()), reference_name=MONOTONE),
            Figure("coverage of 90 %", metrics["coverage_ratio"], least=0.88, most=0.92),
        ],
    )  # fmt: skip


def seen_prices(fitted: Fitted) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    predictor = fitted.predictor
    matrix = fitted.row_predictor.encoder.encode(fitted.split.test.columns)
    low, high = predictor.seen_prices(matrix)  # type: ignore[attr-defined]  # it is the pricing predictor
    return low, high


def test_which_ketchup_is_taken(
    open_data: Path, tmp_path: Path, write_figures: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pacsv.read_csv(open_data / "pricing" / "catsup_choice.csv")
    keys = [table[name].to_numpy(zero_copy_only=False).astype(str)
            for name in ("household", "occ", "brand")]  # fmt: skip
    offer = np.char.add(np.char.add(np.char.add(keys[0], "/"), np.char.add(keys[1], "/")), keys[2])
    pq.write_table(
        table.append_column("offer", pa.array(offer)), tmp_path / "catsup_choice.parquet"
    )
    monkeypatch.setenv("SEPTET_PREPARED", str(tmp_path))
    fitted = fit("catsup_choice", tmp_path)
    rows = rows_of(fitted.split, fitted.predictor.config)
    won = fitted.split.test.target
    said = {MONOTONE: np.asarray(trees(rows).predict(rows.test)), LOGIT: regression(rows)}
    ours = {"target": won, "said": fitted.outputs["response"]}
    rivals = {name: {"target": won, "said": chance} for name, chance in said.items()}
    write_figures(
        "pricing",
        data="catsup_choice",
        about="Which of four bottles of ketchup a household took; three households in ten as test.",
        figures=[
            on_rows(Figure("log-loss", 0.0, most=0.368), log_loss, ours=ours, others=rivals),
            on_rows(Figure("calibration error", 0.0, most=0.02), ece, ours=ours, others=rivals),
            Figure("share of curves that rise anywhere", fitted.metrics["rising_ratio"], most=0.0),
            Figure("flattest elasticity", float(fitted.outputs["elasticity"].max()), most=0.0),
        ],
    )


def test_a_market_place_with_too_little_data(
    open_data: Path, tmp_path: Path, write_figures: Writer
) -> None:
    assert (open_data / "pricing" / "olist_retail_price.csv").is_file()
    fitted = fit("olist_retail_price", tmp_path)
    test = fitted.split.test
    rows = rows_of(fitted.split, fitted.predictor.config)
    target = np.log(test.target)
    ours = {"target": target, "said": fitted.outputs["eta"]}
    others = {
        LOG_LOG: {"target": target, "said": regression(rows)},
        MONOTONE: {"target": target, "said": np.asarray(trees(rows).predict(rows.test))},
    }
    asked = [
        {name: _plain(values[i]) for name, values in test.columns.items()} for i in range(len(test))
    ]
    results = [answer["result"] for answer in fitted.predictor.predict(asked)]
    width = [r["elasticity_low_ratio"] / r["elasticity_high_ratio"] for r in results]
    told = float(np.mean([r["is_price_variation_enough"] for r in results]))
    write_figures(
        "pricing",
        data="olist_retail_price",
        about=(
            "Units of 52 products sold in a month on a market place (468 rows to learn from), the "
            "last five months as test: here the honest answer is that too little is known."
        ),
        figures=[
            on_rows(Figure("R2 of the logarithm of the volume", 0.0, better="higher"), r2,
                    ours=ours, others=others),
            Figure("mean elasticity", fitted.metrics["mean_elasticity_ratio"], most=-0.5,
                   reference="-1.5 (SE .5), log-log with fixed effects"),
            Figure("steep over flat end of the elasticity's interval", float(np.mean(width)),
                   least=2.0),
            Figure("share of answers that call the price variation enough", told, most=0.0),
            Figure("coverage of 90 %", fitted.metrics["coverage_ratio"], least=0.85, most=0.95),
        ],
    )  # fmt: skip


def _plain(value: object) -> object:
    return value if isinstance(value, str) else float(value)  # type: ignore[arg-type]  # a number else
