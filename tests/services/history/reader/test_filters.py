"""Each filter against the same rows picked by hand, and what no filter can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from core.refusals import QueryInvalid
from services.history.log import PredictionLog
from services.history.questions import (
    CompareQuestion,
    FeatureQuestion,
    RowsQuestion,
    TrendsQuestion,
)
from services.history.reader.comparison import Comparisons
from services.history.reader.cursor import Sealer
from services.history.reader.feature import Features, no_profiles
from services.history.reader.page import Pages
from services.history.reader.trends import Trends
from tests.services.history.reader.tables import START, keep, opened, predicted
from tests.tiny import TinyPredictor

ODD = ["north", "ünï", "' OR 1=1 --", "=1+1", "a:b", "$where0", '"']
ROWS: list[dict[str, Any]] = [
    {
        "at": START + timedelta(minutes=i),
        "entity": f"c{i % 5}",
        "caller": ("a" * 12, "b" * 12)[i % 2],
        "source": ("row", "batch", "backfill")[i % 3],
        "flags": "[]" if i % 4 == 0 else None,
        "hours": None if i % 9 == 0 else i / 2,
        "tenure_months": i,
        "is_active": i % 2 == 0,
        "region": ODD[i % len(ODD)],
        "probability": i / 60,
        "band": "high" if i > 30 else "low",
    }
    for i in range(60)
]
Row = dict[str, Any]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    folder: Path = tmp_path_factory.mktemp("log")
    log = PredictionLog(folder, owner="me")
    keep(log, "churn", predicted(ROWS[:40]), predicted(ROWS[40:], version="2"))
    old = [{"at": START + timedelta(days=40), "of_old": "1"}]
    keep(log, "churn", predicted(old, inputs={"of_old": "text"}, version="0"))
    with opened(log) as database:
        yield Pages(database, Sealer(b"secret"))


def asked(**filters: Any) -> RowsQuestion:
    usual: dict[str, Any] = {
        "model": "churn", "since": START, "until": START + timedelta(days=1), "limit": 1000,
    }  # fmt: skip
    return RowsQuestion(**{**usual, **filters})


CASES: list[tuple[dict[str, Any], Callable[[Row], object]]] = [
    ({"version": "2"}, lambda row: row["tenure_months"] >= 40),
    ({"version": "9"}, lambda _: False),
    ({"entity": "c3"}, lambda row: row["entity"] == "c3"),
    ({"entity": "' OR 1=1 --"}, lambda _: False),
    ({"caller": "b" * 12}, lambda row: row["caller"] == "b" * 12),
    ({"source": "backfill"}, lambda row: row["source"] == "backfill"),
    ({"flagged": True}, lambda row: row["flags"] is not None),
    ({"flagged": False}, lambda row: row["flags"] is None),
    ({"least": 0.5}, lambda row: row["probability"] >= 0.5),
    ({"most": 0.25}, lambda row: row["probability"] <= 0.25),
    ({"least": 0.25, "most": 0.5}, lambda row: 0.25 <= row["probability"] <= 0.5),
    ({"field": "probability", "least": 0.9}, lambda row: row["probability"] >= 0.9),
    (
        {"field": "input.hours", "least": 20},
        lambda row: row["hours"] is not None and row["hours"] >= 20,
    ),
    ({"field": "input.tenure_months", "most": 1e300}, lambda _: True),
    ({"where": ["region:north"]}, lambda row: row["region"] == "north"),
    ({"where": ["input.region:ünï"]}, lambda row: row["region"] == "ünï"),
    ({"where": ["region:' OR 1=1 --"]}, lambda row: row["region"] == "' OR 1=1 --"),
    ({"where": ["region:a:b"]}, lambda row: row["region"] == "a:b"),
    ({"where": ["region:$where0"]}, lambda row: row["region"] == "$where0"),
    ({"where": ['region:"']}, lambda row: row["region"] == '"'),
    ({"where": ["is_active:true"]}, lambda row: row["is_active"]),
    ({"where": ["is_active:false"]}, lambda row: not row["is_active"]),
    ({"where": ["tenure_months:12"]}, lambda row: row["tenure_months"] == 12),
    ({"where": ["tenure_months:12.5"]}, lambda _: False),
    ({"where": ["hours:12.5"]}, lambda row: row["hours"] == 12.5),
    ({"where": ["result.band:high"]}, lambda row: row["band"] == "high"),
    (
        {"where": ["result.band:high", "is_active:true"], "source": "row", "flagged": False},
        lambda row: (
            row["band"] == "high" and row["is_active"] and row["source"] == "row"
            and row["flags"] is None
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("filters", "picks"), CASES, ids=[str(case[0]) for case in CASES])
def test_a_filter_finds_what_plain_python_finds(
    pages: Pages, filters: dict[str, Any], picks: Callable[[Row], object]
) -> None:
    found = pages.read(asked(**filters), TinyPredictor).predictions
    expected = [row["tenure_months"] for row in reversed(ROWS) if picks(row)]
    assert [one.input["tenure_months"] for one in found] == expected


@pytest.mark.parametrize("name", ["regoin", "zzz"])
def test_a_refusal_ends_with_one_sign(pages: Pages, name: str) -> None:
    with pytest.raises(QueryInvalid) as refused:
        pages.read(asked(where=[f"{name}:north"]), TinyPredictor)
    ends = {"regoin": "result.probability. Did you mean 'input.region'?", "zzz": "probability."}
    assert refused.value.detail.endswith(ends[name])
    assert ".." not in refused.value.detail


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"where": ["regoin:north"]}, "Did you mean 'input.region'?"),
        ({"where": ["input.regoin:north"]}, "Did you mean 'input.region'?"),
        ({"where": ["result.bnd:high"]}, "Did you mean 'result.band'?"),
        ({"where": ["version:1"]}, "'version' is nothing that predictions of this time have"),
        ({"where": ["prediction_id:1"]}, "nothing that predictions of this time have"),
        ({"where": ["is_active:perhaps"]}, "true or false"),
        ({"where": ["tenure_months:old"]}, "a number, such as 12.5"),
        ({"where": ["hours:1_0 0"]}, "a number, such as 12.5"),
        ({"where": ["hours:nan"]}, "hours is no 'nan'; a number, such as 12.5"),
        ({"where": ["hours:1e999"]}, "a number, such as 12.5"),
        ({"field": "nope"}, "'nope' is nothing that predictions of this time have"),
        ({"field": "probabilty", "least": 0.5}, "Did you mean 'result.probability'?"),
        ({"field": "band", "least": 0.5}, "result.probability"),
        ({"field": "input.region", "most": 0.5}, "input.tenure_months"),
    ],
)
def test_what_no_column_is_or_has_is_refused_with_the_nearest(
    pages: Pages, filters: dict[str, Any], said: str
) -> None:
    with pytest.raises(QueryInvalid) as refused:
        pages.read(asked(**filters), TinyPredictor)
    assert said in refused.value.detail


EARLY: dict[str, Any] = {
    "since": START - timedelta(days=20), "until": START - timedelta(days=10), "model": "churn",
}  # fmt: skip
UNKNOWN: list[dict[str, Any]] = [
    {"where": ["zzz:1"]}, {"field": "nope"}, {"where": ["tenure_months:old"]},
]  # fmt: skip


class TestATimeWithoutPredictions:
    @pytest.mark.parametrize("filters", UNKNOWN, ids=str)
    def test_no_name_is_taken_that_the_model_does_not_have(
        self, pages: Pages, filters: dict[str, Any]
    ) -> None:
        database, asked = pages.database, EARLY | filters
        with pytest.raises(QueryInvalid):
            pages.read(RowsQuestion(**asked), TinyPredictor)
        with pytest.raises(QueryInvalid):
            Trends(database).read(TrendsQuestion(**asked), TinyPredictor)
        question = CompareQuestion(**asked, versus="version:2")
        with pytest.raises(QueryInvalid):
            Comparisons(database).read(question, TinyPredictor)
        with pytest.raises(QueryInvalid):
            Features(database, no_profiles).read(FeatureQuestion(**asked), "hours", TinyPredictor)

    def test_nor_a_group_a_side_or_an_input(self, pages: Pages) -> None:
        database = pages.database
        with pytest.raises(QueryInvalid, match=r"Did you mean 'input.region'\?"):
            Trends(database).read(TrendsQuestion(**EARLY, group="regoin"), TinyPredictor)
        question = CompareQuestion(**EARLY, versus="zzz:1")
        with pytest.raises(QueryInvalid, match="zzz"):
            Comparisons(database).read(question, TinyPredictor)
        with pytest.raises(QueryInvalid, match=r"did you mean 'hours'\?"):
            Features(database, no_profiles).read(FeatureQuestion(**EARLY), "huors", TinyPredictor)

    def test_what_the_model_or_the_log_has_is_taken_and_nothing_is_found(
        self, pages: Pages
    ) -> None:
        where = ["region:north", "of_old:1"]
        taken: dict[str, Any] = {**EARLY, "where": where, "field": "input.hours"}
        page = pages.read(RowsQuestion(**taken), TinyPredictor)
        assert (page.predictions, page.notes) == ([], ["No predictions in this time."])
        trend = Trends(pages.database).read(TrendsQuestion(**taken, group="of_old"), TinyPredictor)
        assert (trend.rows, trend.notes) == ([], ["No predictions in this time."])


def test_a_least_beyond_the_most_is_refused() -> None:
    with pytest.raises(ValidationError, match="least is more than most"):
        asked(least=5, most=1)
