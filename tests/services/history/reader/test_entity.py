"""One entity, as all models saw it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bentos.catalog import predictor_type
from bentos.predictor import Predictor
from core.config import ModelConfig, load_model_config
from services.history.answers import Series
from services.history.log import PredictionLog
from services.history.questions import EntityQuestion
from services.history.reader.database import Database
from services.history.reader.drawing import draw
from services.history.reader.entity import Entities
from services.history.reader.plot import plots_of
from tests.conftest import ROOT
from tests.services.history.reader.tables import (
    START,
    keep,
    keep_outcomes,
    opened,
    predicted,
    table_of,
)

HOUR = timedelta(hours=1)
MODELS = ("churn", "demand", "revenue_leak", "pricing")
LEAK = {"inputs": {"client_id": "text", "hours": "number"}, "key": "invoice_line_id",
        "result": {"expected_missing_amount": "number"}}  # fmt: skip
DEMAND = {"inputs": {"unit": "text"}, "key": "series_id", "result": {"steps": "json"}}


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    """Keep client k7 in three models; two days between the models."""
    log = PredictionLog(tmp_path, owner="me")
    keep(
        log, "churn",
        predicted([
            {"at": START, "entity": "k7", "probability": 0.25, "as_of": START.isoformat()},
            {"at": START + HOUR, "entity": "k8", "probability": 0.5},
            {"at": START + 2 * HOUR, "entity": "k7", "probability": 0.75, "flags": "[]"},
        ]),
        predicted([{"at": START + 50 * HOUR, "entity": "k7", "probability": 0.1}], version="2"),
    )  # fmt: skip
    leaks = [
        {"at": START + HOUR, "entity": line, "client_id": client, "expected_missing_amount": amount}
        for line, client, amount in (("line-1", "k7", 40.0), ("line-2", "k8", 80.0))
    ]
    keep(log, "revenue_leak", predicted(leaks, **LEAK))  # type: ignore[arg-type]
    steps = [{"time": "2026-03-02T00:00:00Z", "value": 3.0}, {"time": "2026-03-09", "value": 4.5}]
    rows = [{"at": START + 3 * HOUR, "entity": "k7", "unit": "k9", "steps": steps}]
    keep(log, "demand", predicted(rows, **DEMAND))  # type: ignore[arg-type]
    return log


@pytest.fixture
def database(log: PredictionLog) -> Iterator[Database]:
    with opened(log) as database:
        yield database


def config_of(model: str) -> ModelConfig:
    return load_model_config(ROOT / "configs" / "models" / f"{model}.yaml")


def see(
    database: Database, entity: str, *, models: frozenset[str] | None = None, **given: Any
) -> Series:
    asked = {"since": START - HOUR, "until": START + 100 * HOUR, **given}

    def kind_of(model: str) -> type[Predictor]:
        return predictor_type(model)

    entities = Entities(database, MODELS, kind_of, config_of)
    return entities.read(EntityQuestion(**asked), entity, models)


def test_all_that_was_said_of_a_client_stands_in_order(database: Database) -> None:
    series = see(database, "k7")
    rows = table_of(series)
    assert [(r["model"], r["version"], r["value"], r["found_by"]) for r in rows] == [
        ("churn", "1", 0.25, "client_id"),
        ("revenue_leak", "1", 40.0, "client_id"),
        ("churn", "1", 0.75, "client_id"),
        ("demand", "1", 7.5, "series_id"),
        ("churn", "2", 0.1, "client_id"),
    ]
    assert [r["flagged"] for r in rows] == [False, False, True, False, False]
    assert datetime.fromisoformat(rows[0]["as_of"]) == START
    assert [datetime.fromisoformat(r["at"]) for r in rows][::4] == [START, START + 50 * HOUR]
    assert len({r["prediction_id"] for r in rows}) == 5
    assert {plot.title for plot in plots_of(series)} == {
        "churn: probability", "revenue_leak: expected_missing_amount", "demand: sum of steps",
    }  # fmt: skip
    assert draw(series, "png").startswith(b"\x89PNG")


def test_the_key_of_another_model_is_known_though_that_model_may_not_be_read(
    database: Database,
) -> None:
    rows = table_of(see(database, "k7", models=frozenset({"revenue_leak"})))
    assert [(r["model"], r["found_by"]) for r in rows] == [("revenue_leak", "client_id")]
    assert see(database, "k7", models=frozenset()).rows == []


def test_an_input_that_is_nobody_s_key_is_not_looked_at(database: Database) -> None:
    assert see(database, "k9").rows == []


def test_the_newest_are_given_when_there_are_more(database: Database) -> None:
    series = see(database, "k7", limit=2)
    assert [r["model"] for r in table_of(series)] == ["demand", "churn"]
    assert any("newest 2" in note for note in series.notes)


def test_what_then_happened_stands_beside_it(log: PredictionLog) -> None:
    told = START + 60 * HOUR
    keep_outcomes(
        log, "churn", {"at": told, "entity": "k7", "as_of": START, "value": 1.0},
    )  # fmt: skip
    keep_outcomes(
        log, "revenue_leak", {"at": told, "entity": "line-1", "value": 1.0, "amount": 55.0}
    )
    with opened(log) as database:
        rows = table_of(see(database, "k7"))
    found = {r["model"] + r["version"] + str(r["value"]): r["outcome"] for r in rows}
    assert found["churn10.25"] == 1.0
    assert found["churn10.75"] is None
    assert found["revenue_leak140.0"] == 55.0


def test_an_outcome_of_another_unit_is_told_and_not_drawn(log: PredictionLog) -> None:
    told = START + 60 * HOUR
    offers = [{"at": START + i * HOUR, "entity": f"q{i}", "client_id": "k7",
               "recommended_price_amount": 60_000.0} for i in range(3)]  # fmt: skip
    keep(log, "pricing", predicted(offers, inputs={"client_id": "text"}, key="quote_id",
                                   result={"recommended_price_amount": "number"}))  # fmt: skip
    keep_outcomes(log, "pricing", {"at": told, "entity": "q1", "value": 1.0})
    keep_outcomes(log, "revenue_leak", {"at": told, "entity": "line-1", "value": 1.0})
    keep_outcomes(log, "churn", {"at": told, "entity": "k7", "as_of": START, "value": 0.0})
    with opened(log) as database:
        series = see(database, "k7")
    seen = {
        (r["model"], r["outcome"], r["outcome_value"], r["outcome_amount"])
        for r in table_of(series)
        if r["outcome_value"] is not None
    }
    assert seen == {
        ("pricing", None, 1.0, None), ("revenue_leak", None, 1.0, None), ("churn", 0.0, 0.0, None),
    }  # fmt: skip
    assert sum("of the unit of value" in note for note in series.notes) == 1
    for plot in plots_of(series):
        is_drawn = any(line.references for line in plot.lines)
        assert is_drawn is (plot.title == "churn: probability")


def test_what_was_said_bears_its_unit(database: Database) -> None:
    series = see(database, "k7")
    assert {(r["model"], r["unit"]) for r in table_of(series)} == {
        ("churn", "ratio"), ("revenue_leak", "home currency"), ("demand", "hours"),
    }  # fmt: skip
    assert {plot.title: (plot.label, plot.is_share) for plot in plots_of(series)} == {
        "churn: probability": ("", True),
        "revenue_leak: expected_missing_amount": ("home currency", False),
        "demand: sum of steps": ("hours", False),
    }


def test_a_forecast_has_an_outcome_once_all_its_steps_are_told(log: PredictionLog) -> None:
    told = {"at": START + 900 * HOUR, "entity": "k7"}
    seen = []
    for day, value in ((0, 2.0), (7, 4.0)):
        at = START + day * 24 * HOUR
        keep_outcomes(log, "demand", {**told, "as_of": at, "value": value})
        with opened(log) as database:
            rows = table_of(see(database, "k7"))
        seen += [row["outcome"] for row in rows if row["model"] == "demand"]
    assert seen == [None, 6.0]


@pytest.mark.parametrize("model", ["churn", "demand"])
def test_outcomes_that_are_about_other_months_are_not_read(log: PredictionLog, model: str) -> None:
    told = [
        {"at": START + 5000 * HOUR, "entity": "k7", "as_of": START + months * 744 * HOUR,
         "value": 1.0}
        for months in (-2, 0, 2)
    ]  # fmt: skip
    keep_outcomes(log, model, *told)
    for path, file in log.files(f"{model}.outcomes"):
        if file.day.month != START.month:
            Path(str(path)).write_bytes(b"damaged")
    with opened(log) as database:
        series = see(database, "k7")
    assert len(series.rows) == 5
    assert series.notes == []


@pytest.mark.parametrize("entity", ["nobody", "k7' OR '1'='1", "", "k" * 300, "$k$", "k7\x00"])
def test_an_entity_that_nobody_was_asked_about_is_answered(database: Database, entity: str) -> None:
    series = see(database, entity)
    assert series.rows == []
    assert "No model was asked about it in this time." in series.notes
    assert draw(series, "svg")


def test_an_empty_time_is_answered(database: Database) -> None:
    series = see(database, "k7", since=START - 9 * HOUR, until=START - 8 * HOUR)
    assert series.rows == []


def test_a_damaged_file_is_left_out_with_a_note(log: PredictionLog) -> None:
    rows = [{"at": START + 24 * HOUR, "entity": "k7", "probability": 0.3}]
    path = keep(log, "churn", predicted(rows))[0]
    path.write_bytes(path.read_bytes()[:-9])
    with opened(log) as database:
        series = see(database, "k7")
    assert len(series.rows) == 5
    assert sum("could not be read" in note for note in series.notes) == 1
    assert json.loads(series.model_dump_json())["rows"] == series.rows


def test_damaged_outcomes_cost_no_prediction(log: PredictionLog) -> None:
    keep_outcomes(
        log, "churn",
        *({"at": START + i * HOUR, "entity": f"k{i}", "value": 1.0} for i in range(200)),
    )  # fmt: skip
    [(path, _)] = log.files("churn.outcomes")
    whole = Path(str(path)).read_bytes()
    middle = len(whole) // 3
    Path(str(path)).write_bytes(whole[:middle] + b"x" * 60 + whole[middle + 60 :])
    with opened(log) as database:
        series = see(database, "k7")
    assert len(series.rows) == 5
    assert sum("could not be read" in note for note in series.notes) == 1
