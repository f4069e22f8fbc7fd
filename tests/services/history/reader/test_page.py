"""Pages of predictions: in order, each row once, over years of changed columns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from services.history.answers import Prediction, PredictionsPage
from services.history.log import PredictionLog
from services.history.questions import RowsQuestion
from services.history.reader.cursor import Sealer
from services.history.reader.page import Pages
from tests.services.history.reader.tables import START, TINY, keep, opened, predicted
from tests.tiny import TinyPredictor

DAY = timedelta(days=1)
SPAN: dict[str, Any] = {"model": "churn", "since": START - DAY, "until": START + 20 * DAY}


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    return PredictionLog(tmp_path / "log", owner="me")


@pytest.fixture
def pages(log: PredictionLog) -> Iterator[Pages]:
    with opened(log) as database:
        yield Pages(database, Sealer(b"secret"))


def page(pages: Pages, **asked: Any) -> PredictionsPage:
    return pages.read(RowsQuestion(**{**SPAN, **asked}), TinyPredictor)


def every_page(pages: Pages, **asked: Any) -> list[list[Prediction]]:
    found = [page(pages, **asked)]
    while found[-1].next is not None:
        found.append(page(pages, **asked, cursor=found[-1].next))
    return [one.predictions for one in found]


def crowded(count: int) -> list[dict[str, Any]]:
    """Give rows of which many share a microsecond, before and after midnights."""
    random = np.random.default_rng(3)
    rows = []
    for number in range(count):
        day = START + int(random.integers(0, 6)) * DAY
        beside = timedelta(microseconds=int(random.integers(-3, 3)))
        rows.append({"at": day + beside, "entity": f"c{number}", "probability": number / count})
    return rows


@pytest.mark.parametrize("limit", [1, 2, 7, 50, 119, 120, 121, 1000])
def test_the_pages_cover_each_row_once_in_the_order_of_time(
    log: PredictionLog, pages: Pages, limit: int
) -> None:
    rows = crowded(120)
    for start in range(0, 120, 40):
        keep(log, "churn", predicted(rows[start : start + 40]))
    found = every_page(pages, limit=limit)
    assert [len(one) for one in found[:-1]] == [limit] * (len(found) - 1)
    flat = [one for part in found for one in part]
    order = [(one.at, UUID(one.prediction_id).bytes) for one in flat]
    assert order == sorted(order, reverse=True)
    assert sorted(one.entity or "" for one in flat) == sorted(row["entity"] for row in rows)
    assert {one.entity: one.at for one in flat} == {row["entity"]: row["at"] for row in rows}


def test_rows_that_come_meanwhile_move_no_other_row(log: PredictionLog, pages: Pages) -> None:
    rows = crowded(60)
    keep(log, "churn", predicted(rows))
    first = page(pages, limit=20)
    late = [{"at": START + 10 * DAY, "entity": "new", "probability": 0.5}] * 30
    keep(log, "churn", predicted(late))
    rest = [page(pages, limit=20, cursor=first.next)]
    while rest[-1].next is not None:
        rest.append(page(pages, limit=20, cursor=rest[-1].next))
    seen = [one.entity for part in (first, *rest) for one in part.predictions]
    assert sorted(str(one) for one in seen) == sorted(row["entity"] for row in rows)


def test_the_period_holds_its_begin_and_not_its_end(log: PredictionLog, pages: Pages) -> None:
    rows = [{"at": START + i * DAY, "entity": f"c{i}"} for i in range(4)]
    keep(log, "churn", predicted(rows))
    found = page(pages, since=START + DAY, until=START + 3 * DAY)
    assert [one.entity for one in found.predictions] == ["c2", "c1"]
    found = page(pages, since=datetime.fromisoformat("2026-03-03T02:00:00+02:00"))
    assert [one.entity for one in found.predictions] == ["c3", "c2", "c1"]


def test_a_model_that_was_never_asked_has_an_empty_page(pages: Pages) -> None:
    assert page(pages) == PredictionsPage(
        predictions=[], next=None, notes=["No predictions in this time."]
    )


def test_a_row_is_told_as_it_was_asked_and_answered(log: PredictionLog, pages: Pages) -> None:
    flags = '[{"feature":"hours","flag":"above_training_range","seen":[0.0,200.0]}]'
    row = {
        "at": START, "entity": "=c1", "as_of": "2026-01-31T10:00:00+05:30", "source": "batch",
        "latency_us": 1500, "flags": flags, "masked": "region,plan", "hours": 900.0,
        "tenure_months": 3, "is_active": False, "probability": 0.25, "band": "low",
        "as_of_offset_minutes": 330,
    }  # fmt: skip
    keep(log, "churn", predicted([row]))
    [found] = page(pages).predictions
    assert found.as_of is not None
    assert found.as_of.isoformat() == "2026-01-31T10:00:00+05:30"
    assert (found.entity, found.source, found.latency_ms) == ("=c1", "batch", 1.5)
    assert found.flags[0]["flag"] == "above_training_range"
    assert found.masked == ["region", "plan"]
    assert found.input == {
        "hours": 900.0, "tenure_months": 3, "is_active": False, "region": None,
    }  # fmt: skip
    assert found.result == {"probability": 0.25, "band": "low"}


class TestColumnsThatChanged:
    def test_an_input_that_came_and_one_that_went_are_read_together(
        self, log: PredictionLog, pages: Pages
    ) -> None:
        old = {"hours": "number", "region": "text"}
        new = {"hours": "number", "nps": "integer"}
        keep(
            log, "churn",
            predicted([{"at": START + i * DAY, "hours": 1.0, "region": "north"} for i in range(3)],
                      inputs=old),
            predicted([{"at": START + i * DAY, "hours": 2.0, "nps": 7} for i in range(5, 9)],
                      inputs=new, version="2"),
        )  # fmt: skip
        for limit in (1, 2, 100):
            flat = [one for part in every_page(pages, limit=limit) for one in part]
            assert [one.input for one in flat] == (
                [{"hours": 2.0, "nps": 7}] * 4 + [{"hours": 1.0, "region": "north"}] * 3
            )
        for where, count in (("region:north", 3), ("nps:7", 4), ("nps:8", 0)):
            flat = [one for part in every_page(pages, limit=2, where=[where]) for one in part]
            assert len(flat) == count
        assert len(page(pages, field="input.nps", least=7).predictions) == 4

    @pytest.mark.parametrize("step", [0, 1])
    @pytest.mark.parametrize(
        ("kind", "value"), [("text", "many"), ("boolean", True), ("json", {"a": [1]})]
    )
    def test_an_input_that_was_a_number_and_is_something_else_keeps_both(
        self, log: PredictionLog, pages: Pages, kind: str, value: object, step: int
    ) -> None:
        numbers = [0.1, 1e300, -0.0, 5e-324, None]
        keep(
            log, "churn",
            predicted([{"at": START + timedelta(seconds=i), "hours": one}
                       for i, one in enumerate(numbers)]),
            predicted([{"at": START + step * DAY + timedelta(hours=1), "hours": value}],
                      inputs={**TINY, "hours": kind}, version="2"),
        )  # fmt: skip
        flat = [one for part in every_page(pages, limit=4) for one in part]
        assert [one.input["hours"] for one in flat] == [value, *reversed(numbers)]

    def test_an_integer_that_became_a_number_stays_one_where_it_was(
        self, log: PredictionLog, pages: Pages
    ) -> None:
        keep(
            log, "churn",
            predicted([{"at": START, "tenure_months": 12}]),
            predicted([{"at": START + timedelta(hours=1), "tenure_months": 0.5}],
                      inputs={**TINY, "tenure_months": "number"}, version="2"),
        )  # fmt: skip
        new, old = page(pages).predictions
        assert (new.input["tenure_months"], old.input["tenure_months"]) == (0.5, 12)
        assert isinstance(old.input["tenure_months"], int)

    def test_a_filter_reads_a_changed_column_in_its_latest_kind(
        self, log: PredictionLog, pages: Pages
    ) -> None:
        text = {**TINY, "hours": "text"}
        keep(
            log, "churn",
            predicted([{"at": START, "hours": 4.0}]),
            predicted([{"at": START + DAY, "hours": one} for one in ("many", "4.0")],
                      inputs=text, version="2"),
        )  # fmt: skip
        assert len(page(pages, where=["hours:4.0"]).predictions) == 2
        assert len(page(pages, where=["hours:many"]).predictions) == 1
        keep(log, "churn", predicted([{"at": START + 2 * DAY, "hours": 4.0}], version="3"))
        assert len(page(pages, where=["hours:4"]).predictions) == 3
        assert len(page(pages, field="input.hours", most=4).predictions) == 3
