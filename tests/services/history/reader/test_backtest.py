"""Backtests part by part, over days that do not have all columns, or not whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bentos.catalog import predictor_type
from core.refusals import QueryInvalid
from core.registry import Registry
from services.history.answers import BacktestPage
from services.history.log import PredictionLog
from services.history.questions import BacktestQuestion
from services.history.reader.archive import Archive
from services.history.reader.backtest import (
    Backtests,
    Part,
    happened_to,
    page_of,
    value_of,
    with_part,
)
from tests.services.history.reader.tables import START, TINY, keep, keep_outcomes, opened, predicted
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


def test_a_version_without_an_input_is_asked_without_it_and_says_what_it_refuses(
    log: PredictionLog, backtests: Backtests
) -> None:
    more = {**TINY, "nps": "number", "plan": "text"}
    rows = [row(0, nps=7.0, plan="pro"), row(0, nps=None, plan="pro"), row(0, nps=1.0)]
    keep(log, "churn", predicted(rows, inputs=more))
    [day] = backtests.days(asked())
    part = backtests.part(asked(), day, None)
    assert (part["rows"], part["refused"]) == (3, 1)
    without, refused = part["notes"]
    assert without == "Version 1 does not take nps: asked without."
    assert refused.startswith("Rows are refused, for example: plan")


def test_of_many_steps_those_are_held_against_what_happened_that_are_told() -> None:
    kind = predictor_type("demand")
    times = [START + week * 7 * DAY for week in range(3)]
    result = {"steps": [{"time": one.isoformat(), "value": 10.0} for one in times]}
    row = {"outcome_value": None, "outcome_steps": 2, "told_value": 18.0, "told_steps": times[:2]}
    happened = happened_to(row, kind)
    assert happened is not None
    assert happened.value == 18.0
    assert value_of(happened.cut(result, kind), "steps.value") == 20.0
    assert value_of(result, "steps.value") == 30.0
    nothing = {"outcome_steps": 0, "told_value": None, "told_steps": None}
    assert happened_to(nothing, kind) is None
    whole = happened_to({"outcome_value": 1.0, "outcome_steps": 1}, TinyPredictor)
    assert whole is not None
    assert whole.cut({"probability": 0.5}, TinyPredictor) == {"probability": 0.5}


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


def page(backtests: Backtests, question: BacktestQuestion) -> BacktestPage:
    """Carry a backtest out, part by part."""
    parts: list[Part] = []
    for day in backtests.days(question):
        after = None
        while True:
            parts = with_part(parts, backtests.part(question, day, after))
            after = parts[-1]["after"]
            if after is None:
                break
    return page_of("b1", question, parts, state="done")


def test_a_file_that_cannot_be_read_is_told(log: PredictionLog, backtests: Backtests) -> None:
    first, second = (
        predicted([row(day, plan="pro")], inputs={**TINY, "plan": "text"}) for day in range(2)
    )
    [path] = keep(log, "churn", first)
    keep(log, "churn", first, second)
    path.write_bytes(path.read_bytes()[:-8])
    found = page(backtests, asked())
    assert (found.rows, len(found.notes)) == (2, 1)
    assert found.notes[0].startswith("1 file of the log could not be read and is left out")
    assert found.series is not None
    assert found.series.notes == found.notes


def test_a_period_of_which_nothing_can_be_read_is_told(
    log: PredictionLog, backtests: Backtests
) -> None:
    [path] = keep(log, "churn", predicted([row(0)]))
    path.write_bytes(b"")
    found = page(backtests, asked())
    assert (found.rows, len(found.notes)) == (0, 1)


@pytest.mark.parametrize("is_near", [True, False])
def test_only_outcomes_are_read_that_may_be_about_its_rows(
    log: PredictionLog, backtests: Backtests, *, is_near: bool
) -> None:
    near, far = START.replace(day=1), START.replace(day=1) + 90 * DAY
    made = [
        row(day, entity=f"c{day}", as_of=near.isoformat(), plan="pro", tenure_months=30)
        for day in range(3)
    ]
    keep(log, "churn", predicted(made, inputs={**TINY, "plan": "text"}))
    told = {"value": 1.0, "at": far}
    keep_outcomes(log, "churn", {**told, "entity": "c1", "as_of": near})
    keep_outcomes(log, "churn", {**told, "entity": "c1", "as_of": far})
    found = page(backtests, asked())
    assert (found.refused, found.told, found.notes) == (0, 1, [])
    broken = [
        Path(str(path))
        for path, fact in log.files("churn.outcomes")
        if (fact.first_about == near) == is_near
    ]
    assert len(broken) == 1
    broken[0].write_bytes(b"")
    with opened(log) as database:
        found = page(replace(backtests, database=database), asked())
    assert (found.rows, found.told, len(found.notes)) == ((3, 0, 1) if is_near else (3, 1, 0))


def test_a_name_that_the_model_does_not_have_begins_none_over_an_empty_period(
    backtests: Backtests,
) -> None:
    for filters in ({"where": ["foo:1"]}, {"field": "nope"}):
        with pytest.raises(QueryInvalid, match="is nothing that predictions of this time have"):
            backtests.days(asked(**filters))
    assert backtests.days(asked(where=["region:north"])) == []
