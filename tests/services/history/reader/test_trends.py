"""Trends against the same figures by numpy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.config import ModelConfig
from core.refusals import QueryInvalid
from services.history.answers import Series
from services.history.log import PredictionLog
from services.history.questions import TrendsQuestion
from services.history.reader.plot import plots_of
from services.history.reader.trends import Trends
from tests.services.history.reader.tables import (
    START,
    keep,
    keep_outcomes,
    keep_refusals,
    opened,
    predicted,
    table_of,
)
from tests.tiny import CONTENT, TinyPredictor

DAY = timedelta(days=1)
SPAN: dict[str, Any] = {"model": "churn", "since": START - DAY, "until": START + 45 * DAY}
ALL = ["volume", "value", "flagged", "latency", "errors", "outcomes"]
Row = dict[str, Any]


def rows_of(count: int) -> list[Row]:
    random = np.random.default_rng(7)
    return [
        {
            "at": START + timedelta(hours=float(random.uniform(0, 40 * 24))),
            "entity": f"c{i}", "probability": float(random.beta(2, 5)), "band": "low",
            "caller": "abc"[i % 3] * 12, "latency_us": int(random.lognormal(7, 1)),
            "flags": "[]" if random.random() < 0.2 else None, "tenure_months": i,
            "hours": None if i % 10 == 0 else float(random.normal(100, 20)),
            "region": ["north", "south", None][i % 3], "is_active": i % 2 == 0,
        }
        for i in range(count)
    ]  # fmt: skip


ROWS = rows_of(3000)
REFUSED = [{"at": START + timedelta(hours=7 * i), "caller": "a" * 12} for i in range(50)]
TOLD = [{"at": START + 41 * DAY, "entity": f"c{i}", "value": float(i % 4 == 0)}
        for i in range(0, 3000, 3)]  # fmt: skip


@pytest.fixture(scope="module")
def trends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trends]:
    folder: Path = tmp_path_factory.mktemp("log")
    log = PredictionLog(folder, owner="me")
    keep(log, "churn", predicted(ROWS[:2000]), predicted(ROWS[2000:], version="2"))
    keep_refusals(log, *REFUSED, {"at": START, "model": "pricing"}, {"at": START - 9 * DAY})
    keep_outcomes(log, "churn", *TOLD)
    with opened(log) as database:
        yield Trends(database)


def read(trends: Trends, **asked: Any) -> Series:
    return trends.read(TrendsQuestion(**{**SPAN, **asked}), TinyPredictor)


def begin_of(at: datetime, by: str) -> datetime:
    hour = at.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    steps = {
        "hour": hour, "day": day, "week": day - timedelta(days=day.weekday()),
        "month": day.replace(day=1),
    }  # fmt: skip
    return steps[by]


def parted(by: str, part: Callable[[Row], str | None]) -> dict[tuple[str, Any], list[Row]]:
    found: dict[tuple[str, Any], list[Row]] = defaultdict(list)
    for row in ROWS:
        found[begin_of(row["at"], by).isoformat(), part(row)].append(row)
    return found


def within(sketched: float, values: list[float], share: float) -> bool:
    """Say whether a quantile of a sketch lies between exact ones a little beside it."""
    beside = 0.02 + 1 / len(values)
    low, high = np.quantile(values, [max(0, share - beside), min(1, share + beside)])
    return bool(low <= sketched <= high)


GROUPS: dict[str | None, Callable[[Row], str | None]] = {
    None: lambda _: None,
    "version": lambda row: "1" if row["tenure_months"] < 2000 else "2",
    "caller": lambda row: row["caller"],
    "source": lambda _: "row",
    "region": lambda row: row["region"] or "null",
    "result.band": lambda row: row["band"],
    "is_active": lambda row: str(row["is_active"]).lower(),
}


@pytest.mark.parametrize("by", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("group", GROUPS)
def test_volume_value_flags_and_latency_are_those_of_numpy(
    trends: Trends, by: str, group: str | None
) -> None:
    series = read(trends, by=by, group=group, measure=["volume", "value", "flagged", "latency"])
    expected = parted(by, GROUPS[group])
    found = {(row["step"], row[group] if group else None): row for row in table_of(series)}
    assert set(found) == set(expected)
    assert [row["step"] for row in table_of(series)] == sorted(step for step, _ in expected)
    for key, rows in expected.items():
        told, values = found[key], [row["probability"] for row in rows]
        assert told["volume"] == len(rows)
        assert told["mean"] == pytest.approx(np.mean(values), rel=1e-12)
        assert told["flagged_share"] == np.mean([row["flags"] is not None for row in rows])
        for name, share in (("low", 0.1), ("median", 0.5), ("high", 0.9)):
            assert within(told[name], values, share)
        latency = [row["latency_us"] / 1000 for row in rows]
        assert within(told["latency_ms"], latency, 0.5)
        assert within(told["latency_p99_ms"], latency, 0.99)


def test_an_input_can_be_followed_and_nulls_are_no_numbers(trends: Trends) -> None:
    series = read(trends, by="month", field="input.hours", measure=["volume", "value"])
    assert series.title == "churn: input.hours and volume by month"
    for row in table_of(series):
        rows = parted("month", lambda _: None)[row["step"], None]
        hours: list[float] = [one["hours"] for one in rows if one["hours"] is not None]
        assert row["volume"] == len(rows)
        assert row["mean"] == pytest.approx(np.mean(hours))


@pytest.mark.parametrize("group", [None, "version", "caller"])
def test_refusals_are_counted_beside_what_was_answered(trends: Trends, group: str | None) -> None:
    series = read(trends, by="week", group=group, measure=["errors"])
    found = {(row["step"], row[group] if group else None): row for row in table_of(series)}
    answered = parted("week", GROUPS[group])
    part = {"version": "1", "caller": "a" * 12, None: None}[group]
    refused: dict[tuple[str, Any], int] = defaultdict(int)
    for row in REFUSED:
        refused[begin_of(row["at"], "week").isoformat(), part] += 1  # type: ignore[arg-type]
    for key in {*answered, *refused}:
        told, count = refused[key], len(answered[key])
        assert (found[key]["refused"], found[key]["error_share"]) == (told, told / (told + count))


def test_outcomes_are_shares_and_means_of_what_is_known(trends: Trends) -> None:
    series = read(trends, by="month", measure=["outcomes", "volume"])
    told: dict[str, Any] = {str(row["entity"]): row["value"] for row in TOLD}
    for row in table_of(series):
        rows = parted("month", lambda _: None)[row["step"], None]
        values: list[float] = [told[one["entity"]] for one in rows if one["entity"] in told]
        assert row["outcomes"] == len(values)
        assert row["outcome_share"] == pytest.approx(len(values) / len(rows))
        assert row["outcome_mean"] == pytest.approx(np.mean(values))
        said = [one["probability"] for one in rows if one["entity"] in told]
        assert row["outcome_mean_foretold"] == pytest.approx(np.mean(said))


def test_filters_hold_for_what_is_measured(trends: Trends) -> None:
    series = read(
        trends, by="month", where=["region:north"], least=0.3, measure=["volume", "outcomes"]
    )
    rows = [row for row in ROWS if row["region"] == "north" and row["probability"] >= 0.3]
    assert sum(row["volume"] for row in table_of(series)) == len(rows)
    none = read(trends, group="region", entity="nobody", measure=["volume", "value", "outcomes"])
    assert none.rows == []


def test_columns_and_chart_fit_each_other(trends: Trends) -> None:
    series = read(trends, group="region", measure=["latency", "value", "volume"])
    names = [column.name for column in series.columns]
    assert names == [
        "step", "region", "volume", "mean", "low", "median", "high", "latency_ms",
        "latency_p99_ms",
    ]  # fmt: skip
    chart = series.chart
    assert {chart.x, *chart.y, chart.low, chart.high, chart.by} <= set(names)
    assert (chart.y[0], chart.low, chart.high) == ("median", "low", "high")


def test_more_groups_than_can_be_told_apart_are_one(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, owner="me")
    callers = [f"{i:012}" for i in range(14) for _ in range(20 - i)]
    rows = [{"at": START, "caller": caller, "probability": 0.5} for caller in callers]
    keep(log, "churn", predicted(rows))
    keep_refusals(log, *({"at": START, "caller": f"{i:012}"} for i in (0, 12, 13)))
    with opened(log) as database:
        asked = {"group": "caller", "measure": ["volume", "errors"]}
        found = {row["caller"]: row for row in table_of(read(Trends(database), **asked))}
    assert set(found) == {*(f"{i:012}" for i in range(10)), "all others"}
    assert (found["all others"]["volume"], found["all others"]["refused"]) == (34, 2)
    assert (found["000000000000"]["volume"], found["000000000000"]["refused"]) == (20, 1)


def test_more_groups_of_refusals_than_can_be_told_apart_are_one(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, owner="me")
    keep(log, "churn", predicted([{"at": START, "caller": "asks"}]))
    refused = [f"{i:02}" for i in range(30) for _ in range(i + 1)]
    keep_refusals(log, *({"at": START, "caller": one} for one in refused))
    with opened(log) as database:
        rows = table_of(read(Trends(database), measure=["errors"], group="caller"))
    found = {row["caller"]: row["refused"] for row in rows}
    assert found.pop("asks") == 0
    assert found.pop("all others") == sum(range(1, 22))
    assert found == {f"{i:02}": i + 1 for i in range(21, 30)}


def test_only_refusals_are_a_trend_too(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, owner="me")
    keep_refusals(log, {"at": START}, {"at": START})
    with opened(log) as database:
        [row] = table_of(read(Trends(database), measure=ALL))
    assert (row["volume"], row["refused"], row["error_share"]) == (0, 2, 1.0)
    assert row["mean"] is row["outcomes"] is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"group": "regoin"}, "Did you mean 'input.region'?"),
        ({"group": "verson"}, "Did you mean 'version'?"),
        ({"group": "prediction_id"}, "caller, input.hours"),
        ({"group": "region", "measure": ["errors"]}, "version or caller, or leave errors out"),
        ({"where": ["region:north"], "measure": ["errors"]}, "errors cannot be picked by it"),
        ({"least": 0.5, "measure": ["errors"]}, "errors cannot be picked by it"),
        ({"field": "band"}, "result.probability"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    trends: Trends, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(QueryInvalid) as refused:
        read(trends, **asked)
    assert said in refused.value.detail


@pytest.mark.parametrize(
    ("asked", "title", "drawn"),
    [
        ({"measure": ["outcomes"]}, "churn: outcomes by month", ["outcome_share", "outcome_mean"]),
        ({"measure": ["errors", "value"]}, "churn: probability and error share by month",
         ["median", "error_share"]),
        ({"measure": ["latency", "flagged", "volume"], "where": ["region:north"]},
         "churn (region north): volume, flagged share and latency by month",
         ["volume", "flagged_share", "latency_ms"]),
    ],
)  # fmt: skip
def test_the_title_names_what_is_drawn_and_of_which_predictions(
    trends: Trends, asked: dict[str, Any], title: str, drawn: list[str]
) -> None:
    series = read(trends, by="month", **asked)
    assert series.title == title
    assert series.chart.y == drawn
    assert [plot.label for plot in plots_of(series)] == [
        name.removesuffix("_ms").replace("_", " ") + {"volume": " (predictions)",
        "latency_ms": " (ms)"}.get(name, "") for name in drawn
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "unit", "of_outcome"),
    [(None, "ratio", "ratio"), ("input.hours", "hours", "ratio"),
     ("input.tenure_months", "months", "ratio")],
)  # fmt: skip
def test_values_and_outcomes_have_the_unit_that_the_config_names(
    trends: Trends, field: str | None, unit: str, of_outcome: str
) -> None:
    config = ModelConfig.model_validate(CONTENT)
    known = Trends(trends.database, lambda model: config if model == "churn" else None)
    series = read(known, field=field, by="month", measure=["value", "outcomes"])
    units = {column.name: column.unit for column in series.columns}
    assert {units[name] for name in ("mean", "low", "median", "high")} == {unit}
    assert units["outcome_mean"] == of_outcome
    assert units["outcomes"] == "predictions"


def test_steps_at_the_ends_that_are_not_whole_are_noted(trends: Trends) -> None:
    until = START + 10 * DAY
    cut = read(trends, by="week", since=START + DAY, until=until, measure=["volume"])
    assert cut.notes == ["The first and the last week are not whole."]
    assert cut.chart.step == "week"
    whole = read(trends, by="week", since=START, until=START + 14 * DAY, measure=["volume"])
    assert whole.notes == []
