"""Which outcome belongs to which prediction, and which of several counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bentos.catalog import predictor_type
from bentos.predictor import Predictor
from services.history.answers import OutcomeSeen, ToldPage
from services.history.log import PredictionLog
from services.history.questions import OutcomesQuestion, TrendsQuestion
from services.history.reader import outcomes
from services.history.reader.database import Database
from services.history.reader.times import time_of
from services.history.reader.told import Outcomes
from services.history.reader.trends import Trends
from tests.services.history.reader.tables import (
    START,
    identity,
    keep,
    keep_outcomes,
    opened,
    predicted,
    table_of,
)
from tests.tiny import TinyPredictor

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
KEYS = [identity(START + i * HOUR) for i in range(4)]
Told = dict[str, Any]


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    """Keep predictions 0 and 1 of c1 as of two days, 2 of c2, 3 of nobody."""
    log = PredictionLog(tmp_path, owner="me")
    who = ["c1", "c1", "c2", None]
    rows = [
        {
            "at": START + i * HOUR, "prediction_id": KEYS[i], "entity": who[i],
            "as_of": (START + i * DAY).isoformat(), "probability": 0.5,
        }
        for i in range(4)
    ]  # fmt: skip
    keep(log, "churn", predicted(rows))
    return log


@pytest.fixture
def database(log: PredictionLog) -> Iterator[Database]:
    with opened(log) as found:
        yield found


def joined(database: Database, kind: type[Predictor], model: str) -> list[Told]:
    """Give what is known of each prediction, the earliest first, however it is asked."""
    told = database.scanner.scan(outcomes.place_of(model))
    scan = database.scanner.scan(model)
    predictions = f'SELECT "at", {outcomes.needs(kind)} FROM {scan.source}'  # noqa: S608 - of our own
    found, few = (
        database.rows(f'{query} ORDER BY "at"', {"told": list(told.files)}, scan)
        for query in (
            outcomes.joined(predictions, kind),
            outcomes.joined_few(predictions, kind),
        )
    )
    assert few == found
    with_keys = database.rows(f'{predictions} ORDER BY "at"', {}, scan)
    read_before, params = outcomes.of_few(with_keys, kind)
    near = database.scanner.scan(
        outcomes.place_of(model), about=outcomes.about_few(with_keys, kind)
    )
    if near.files:
        by_id = {row["prediction_id"]: row for row in database.rows(read_before, params, near)}
        assert [{"at": row["at"], **by_id[row["prediction_id"]]} for row in found] == found
    else:
        assert not any(row["outcome_steps"] for row in found)
    about = outcomes.about_many(scan, kind, lambda sql: database.rows(sql, {}, scan))
    pruned = list(database.scanner.scan(outcomes.place_of(model), about=about).files)
    if pruned:
        query = f'{outcomes.joined(predictions, kind)} ORDER BY "at"'
        assert database.rows(query, {"told": pruned}, scan) == found
    else:
        assert not any(row["outcome_steps"] for row in found)
    for row in found:
        seen = of_one(database, kind, model, row)
        # A receipt tells the sum of some steps as well, with how many they are.
        told_apart = {"outcome_value"} if row["outcome_value"] is None else set()
        assert seen | dict.fromkeys(told_apart) == {name: row[name] for name in seen}
    return found


def of_one(
    database: Database, kind: type[Predictor], model: str, row: dict[str, Any]
) -> dict[str, Any]:
    """Give what a receipt says of a prediction."""
    query, params = outcomes.of_one(row, kind)
    about = outcomes.about_one(row, kind, time_of(row["prediction_id"]))
    told = database.scanner.scan(outcomes.place_of(model), about=about)
    if not told.files:
        return {"outcome_value": None, "outcome_steps": 0}
    [seen] = database.rows(query, params, told)
    return seen


def known(database: Database) -> list[Any]:
    return [row["outcome_value"] for row in joined(database, TinyPredictor, "churn")]


def told_at(hours: float) -> datetime:
    return START + 10 * DAY + hours * HOUR


CASES: dict[str, tuple[list[Told], list[Any]]] = {
    "by id": ([{"outcome_of": KEYS[3], "value": 1.0}], [None, None, None, 1]),
    "by entity alone": ([{"entity": "c1", "value": 1.0}], [1, 1, None, None]),
    "by entity and time": (
        [{"entity": "c1", "as_of": START + DAY, "value": 1.0}], [None, 1, None, None],
    ),
    "of a time that nobody asked about": (
        [{"entity": "c1", "as_of": START + 9 * DAY, "value": 1.0}], [None] * 4,
    ),
    "of another entity": ([{"entity": "c9", "value": 1.0}], [None] * 4),
    "of no prediction": ([{"outcome_of": identity(START), "value": 1.0}], [None] * 4),
    "corrected": (
        [{"entity": "c2", "value": 1.0}, {"entity": "c2", "value": 0.0}], [None, None, 0, None],
    ),
    "corrected by what does not say it": (
        [{"entity": "c2", "value": 1.0}, {"entity": "c2", "value": None}], [None, None, 1, None],
    ),
    "an id goes before an entity that came later": (
        [{"outcome_of": KEYS[0], "value": 0.0}, {"entity": "c1", "value": 1.0}],
        [0, 1, None, None],
    ),
    "an id that says nothing leaves the entity's": (
        [{"outcome_of": KEYS[0], "value": None}, {"entity": "c1", "value": 1.0}],
        [1, 1, None, None],
    ),
    "of entity with and without time the later": (
        [{"entity": "c1", "as_of": START, "value": 0.0}, {"entity": "c1", "value": 1.0}],
        [1, 1, None, None],
    ),
    "of entity with and without time, each field by itself": (
        [
            {"entity": "c2", "value": 1.0},
            {"entity": "c2", "as_of": START + 2 * DAY, "value": 0.0},
            {"entity": "c2", "amount": 3.0},
        ],
        [None, None, 0, None],
    ),
    "an id beside an entity counts for the id alone": (
        [{"outcome_of": KEYS[2], "entity": "c1", "value": 1.0}], [None, None, 1, None],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("told", "expected"), CASES.values(), ids=CASES)
def test_an_outcome_belongs_to_its_predictions(
    log: PredictionLog, database: Database, told: list[Told], expected: list[Any]
) -> None:
    keep_outcomes(log, "churn", *({"at": told_at(i), **one} for i, one in enumerate(told)))
    assert known(database) == expected


def test_it_does_not_matter_in_which_file_or_order_they_stand(
    log: PredictionLog, database: Database
) -> None:
    keep_outcomes(log, "churn", {"at": told_at(2), "entity": "c2", "value": 0.0})
    keep_outcomes(log, "churn", {"at": told_at(1), "entity": "c2", "value": 1.0})
    assert known(database) == [None, None, 0, None]


def test_what_comes_in_parts_is_put_together(log: PredictionLog, database: Database) -> None:
    happened = START + 5 * DAY
    keep_outcomes(
        log, "churn",
        {"at": told_at(0), "entity": "c2", "value": 1.0},
        {"at": told_at(1), "entity": "c2", "amount": 20.0},
        {"at": told_at(2), "entity": "c2", "happened_at": happened},
        {"at": told_at(3), "entity": "c2", "amount": 25.0},
    )  # fmt: skip
    found = joined(database, TinyPredictor, "churn")[2]
    seen = OutcomeSeen(
        value=found["outcome_value"], amount=found["outcome_amount"],
        steps=found["outcome_steps"], of_steps=None, happened_at=found["outcome_at"],
        told_at=found["outcome_told_at"],
    )  # fmt: skip
    assert seen == OutcomeSeen(
        value=1.0, amount=25.0, steps=1, of_steps=None, happened_at=happened, told_at=told_at(3)
    )


def test_times_that_lie_near_each_other_are_looked_for_together() -> None:
    end = datetime(9999, 12, 31, tzinfo=UTC)
    rows = [
        {"prediction_id": identity(at), "entity": "c1", "as_of": as_of, "input_period_weeks": 2}
        for at, as_of in (
            (START, START - 60 * DAY), (START + HOUR, None), (START + 3 * HOUR, end),
        )
    ]  # fmt: skip
    about = outcomes.about_few(rows, TinyPredictor)
    assert about == [
        (START - 60 * DAY, START - 60 * DAY), (START, START + 3 * HOUR), (end, end),
    ]  # fmt: skip
    # The weeks of a plan go on from its begin.
    assert outcomes.about_few(rows, predictor_type("budget")) == [(START - 60 * DAY, None)]


class TestSteps:
    """One answer is about many steps, an outcome about one of them; a prediction has the sum."""

    def test_demand_has_the_outcomes_of_its_times(self, tmp_path: Path) -> None:
        log = PredictionLog(tmp_path, owner="me")
        times = [(START + week * 7 * DAY).isoformat() for week in range(3)]
        steps = [{"time": time, "value": 1.0} for time in times]
        kinds = {"inputs": {"unit": "text"}, "result": {"steps": "json"}, "key": "series_id"}
        rows = [
            {"at": START, "entity": "s1", "steps": steps},
            {"at": START + HOUR, "entity": "s1", "steps": steps[1:]},
            {"at": START + 2 * HOUR, "entity": "s2", "steps": steps},
        ]
        keep(log, "demand", predicted(rows, **kinds))  # type: ignore[arg-type]
        told = [
            {"at": told_at(i), "entity": "s1", "as_of": START + i * 7 * DAY, "value": 10.0**i}
            for i in range(4)
        ]
        told.append({"at": told_at(9), "entity": "s1", "as_of": START + 7 * DAY, "value": 20.0})
        told.append({"at": told_at(10), "entity": "s2", "value": 5.0})
        keep_outcomes(log, "demand", *told)
        with opened(log) as database:
            found = joined(database, predictor_type("demand"), "demand")
            sums = [(row["outcome_value"], row["outcome_steps"]) for row in found]
            assert sums == [(121.0, 3), (120.0, 2), (None, 0)]
            page = listed(database, "demand", predictor_type("demand"))
            assert [line.predictions for line in page.outcomes] == [0, 2, 0, 2, 2, 1]

    @pytest.fixture
    def half_told(self, tmp_path: Path) -> PredictionLog:
        """Keep a forecast of three steps: two are told, and the third without its value."""
        log = PredictionLog(tmp_path, owner="me")
        times = [START + week * 7 * DAY for week in range(3)]
        steps = [{"time": time.isoformat(), "value": 10.0} for time in times]
        kinds = {"inputs": {"unit": "text"}, "result": {"steps": "json"}, "key": "series_id"}
        row = {"at": START, "entity": "s1", "steps": steps}
        keep(log, "demand", predicted([row], **kinds))  # type: ignore[arg-type]
        told = {"at": told_at(0), "entity": "s1"}
        keep_outcomes(log, "demand", *({**told, "as_of": time, "value": 9.0} for time in times[:2]))
        keep_outcomes(log, "demand", {**told, "as_of": times[2], "happened_at": told_at(0)})
        return log

    def test_a_forecast_that_is_half_told_has_no_outcome_beside_it(
        self, half_told: PredictionLog
    ) -> None:
        kind = predictor_type("demand")
        with opened(half_told) as database:
            [found] = joined(database, kind, "demand")
            assert (found["outcome_value"], found["outcome_steps"]) == (None, 3)
            assert of_one(database, kind, "demand", found)["outcome_value"] == 18.0
        last = {"at": told_at(1), "entity": "s1", "as_of": START + 14 * DAY, "value": 9.0}
        keep_outcomes(half_told, "demand", last)
        with opened(half_told) as database:
            [found] = joined(database, kind, "demand")
            assert (found["outcome_value"], found["outcome_steps"]) == (27.0, 3)

    def test_a_trend_holds_what_is_told_of_it_against_what_was_said_of_just_that(
        self, half_told: PredictionLog
    ) -> None:
        asked = TrendsQuestion(
            model="demand", since=START - DAY, until=START + DAY, measure=["value", "outcomes"]
        )
        with opened(half_told) as database:
            [row] = table_of(Trends(database).read(asked, predictor_type("demand")))
        assert (row["mean"], row["outcomes"], row["outcome_share"]) == (30.0, 1, 2 / 3)
        assert (row["outcome_mean"], row["outcome_mean_foretold"]) == (18.0, 20.0)

    @pytest.mark.parametrize("as_of", [None, "2026-06-20T00:00:00+00:00"])
    def test_demand_has_those_of_steps_in_other_months_whenever_it_was_asked(
        self, tmp_path: Path, as_of: str | None
    ) -> None:
        log = PredictionLog(tmp_path, owner="me")
        times = [START - 40 * DAY, START + 40 * DAY, START + 80 * DAY]
        steps = [{"time": time.isoformat(), "value": 1.0} for time in times]
        kinds = {"inputs": {"unit": "text"}, "result": {"steps": "json"}, "key": "series_id"}
        row = {"at": START, "entity": "s1", "as_of": as_of, "steps": steps}
        keep(log, "demand", predicted([row], **kinds))  # type: ignore[arg-type]
        keep_outcomes(
            log, "demand",
            *({"at": told_at(i), "entity": "s1", "as_of": time, "value": 10.0**i}
              for i, time in enumerate(times)),
        )  # fmt: skip
        with opened(log) as database:
            [found] = joined(database, predictor_type("demand"), "demand")
            assert (found["outcome_value"], found["outcome_steps"]) == (111.0, 3)

    def test_budget_has_the_outcomes_of_its_weeks(self, tmp_path: Path) -> None:
        log = PredictionLog(tmp_path, owner="me")
        rows = [
            {"at": START, "entity": "b1", "as_of": START.isoformat(), "period_weeks": 2},
            {"at": START + HOUR, "entity": "b1", "as_of": START.isoformat(), "period_weeks": 3},
            {"at": START + 2 * HOUR, "entity": "b1", "as_of": START.isoformat(), "period_weeks": 4},
        ]
        kinds = {"inputs": {"period_weeks": "integer"}, "result": {"total": "number"}}
        keep(log, "budget", predicted(rows, **kinds))  # type: ignore[arg-type]
        keep_outcomes(
            log, "budget",
            *({"at": told_at(i), "entity": "b1", "as_of": START + i * 7 * DAY, "value": 10.0**i}
              for i in range(-1, 3)),
        )  # fmt: skip
        with opened(log) as database:
            found = joined(database, predictor_type("budget"), "budget")
            sums = [(row["outcome_value"], row["outcome_steps"]) for row in found]
            assert sums == [(11.0, 2), (111.0, 3), (None, 3)]


def listed(
    database: Database, model: str, kind: type[Predictor] = TinyPredictor, **asked: Any
) -> ToldPage:
    span = {"since": START, "until": START + 20 * DAY}
    return Outcomes(database).read(OutcomesQuestion(**{"model": model, **span, **asked}), kind)


class TestListing:
    @pytest.fixture(autouse=True)
    def _told(self, log: PredictionLog) -> None:
        keep_outcomes(
            log, "churn",
            {"at": told_at(0), "outcome_of": KEYS[2], "value": 1.0, "amount": 3.5},
            {"at": told_at(1), "entity": "c1", "value": 0.0},
            {"at": told_at(2), "entity": "c1", "as_of": START + 3 * DAY, "value": 0.0},
            {"at": told_at(3), "outcome_of": identity(START), "value": 1.0},
            {"at": told_at(4), "entity": "c9", "value": 1.0},
            {"at": START - DAY, "entity": "c1", "value": 1.0},
        )  # fmt: skip

    def test_each_is_told_with_its_predictions_the_latest_first(self, database: Database) -> None:
        page = listed(database, "churn")
        assert [one.predictions for one in page.outcomes] == [0, 0, 0, 2, 1]
        assert (page.matched, page.unmatched) == (2, 3)
        last = page.outcomes[-1]
        assert (last.prediction_id, last.value, last.amount) == (
            str(UUID(bytes=KEYS[2])), 1.0, 3.5,
        )  # fmt: skip
        json.dumps(page.model_dump(mode="json"))

    @pytest.mark.parametrize(("state", "count"), [("all", 5), ("matched", 2), ("unmatched", 3)])
    def test_by_whether_there_is_a_prediction(
        self, database: Database, state: str, count: int
    ) -> None:
        page = listed(database, "churn", state=state)
        assert len(page.outcomes) == count
        assert (page.matched, page.unmatched) == (2, 3)

    def test_no_more_than_the_limit(self, database: Database) -> None:
        page = listed(database, "churn", limit=2)
        assert [one.at for one in page.outcomes] == [told_at(4), told_at(3)]
        assert (page.matched, page.unmatched) == (2, 3)

    def test_without_predictions_all_are_unmatched(self, log: PredictionLog) -> None:
        keep_outcomes(log, "pricing", {"at": told_at(0), "entity": "q", "value": 1.0})
        with opened(log) as database:
            for model in ("pricing", "demand", "budget"):
                page = listed(database, model, predictor_type(model))
                assert (page.matched, page.unmatched) == (0, int(model == "pricing"))
