"""Backtests part by part, over days that do not have all columns, or not whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.refusals import QueryInvalid
from core.registry import Registry
from services.history.log import PredictionLog
from services.history.questions import BacktestQuestion
from services.history.reader.archive import Archive
from services.history.reader.backtest import Backtests
from tests.services.history.reader.tables import (
    START,
    TINY,
    keep,
    keep_outcomes,
    opened,
    predicted,
)
from tests.tiny import Shelf, TinyPredictor, tiny_type

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class WeeklyPredictor(TinyPredictor):
    """The tiny model, were its answer about as many weeks as its tenure has months."""

    WEEKS = "tenure_months"


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    return PredictionLog(tmp_path / "log", owner="me")


@pytest.fixture
def backtests(tmp_path: Path, log: PredictionLog) -> Iterator[Backtests]:
    Shelf(tmp_path / "releases").write("1", base=0.5)
    registry = Registry(f"sqlite:///{tmp_path / 'm.db'}")
    archive = Archive(tmp_path / "releases", tmp_path / "replays", registry, tiny_type)
    with opened(log) as database:
        yield Backtests(database, archive, tiny_type)


def asked(**more: Any) -> BacktestQuestion:
    span = {"since": START, "until": START + 5 * DAY}
    return BacktestQuestion(**{"model": "churn", "against": "1", **span, **more})


def row(day: int, **facts: Any) -> dict[str, Any]:
    usual = {"hours": 1.0, "tenure_months": 3, "is_active": True, "region": "north"}
    return {"at": START + day * DAY + HOUR, "probability": 0.5, "band": "low", **usual, **facts}


@pytest.mark.parametrize("filters", [{"where": ["nps:7"]}, {"field": "input.nps", "least": 5}])
def test_a_day_before_a_column_came_has_no_rows_of_it(
    log: PredictionLog, backtests: Backtests, filters: dict[str, Any]
) -> None:
    keep(log, "churn", predicted([row(0)]))
    late = predicted([row(1, nps=7.0), row(1, nps=1.0)], inputs={**TINY, "nps": "number"})
    keep(log, "churn", late)
    question = asked(**filters)
    days = backtests.days(question)
    assert [backtests.part(question, day, None)["rows"] for day in days] == [0, 1]
    with pytest.raises(QueryInvalid):
        backtests.days(asked(where=["nothing:7"]))


def test_a_damaged_file_costs_its_own_rows(log: PredictionLog, backtests: Backtests) -> None:
    [path] = keep(log, "churn", predicted([row(0, drivers='{"note":1}')]))
    keep(log, "churn", predicted([row(0)]))
    path.write_bytes(path.read_bytes().replace(b'{"note"', b'x"note"'))
    [day] = backtests.days(asked())
    assert backtests.part(asked(), day, None)["rows"] == 1


def test_the_sum_of_all_steps_is_held_against_no_sum_of_some(
    log: PredictionLog, backtests: Backtests
) -> None:
    weekly = replace(backtests, kind_of=lambda _: WeeklyPredictor)
    once = row(0, as_of=START.isoformat(), plan="pro")
    keep(log, "churn", predicted([once], inputs={**TINY, "plan": "text"}))
    weeks = [
        {"at": START + 30 * DAY, "entity": "c1", "as_of": START + i * 7 * DAY, "value": 2.0}
        for i in range(3)
    ]
    [day] = weekly.days(asked())
    for known, told, was_error in ((2, 0, 0.0), (1, 1, (0.5 - 6.0) ** 2)):
        keep_outcomes(log, "churn", *weeks[:known])
        del weeks[:known]
        part = weekly.part(asked(), day, None)
        assert (part["refused"], part["told"], part["was_error"]) == (0, told, was_error)


def test_a_name_that_the_model_does_not_have_begins_none_over_an_empty_period(
    backtests: Backtests,
) -> None:
    for filters in ({"where": ["foo:1"]}, {"field": "nope"}):
        with pytest.raises(QueryInvalid, match="is nothing that predictions of this time have"):
            backtests.days(asked(**filters))
    assert backtests.days(asked(where=["region:north"])) == []
