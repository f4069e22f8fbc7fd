"""Two sides beside each other: figures as SciPy has them, or as they were worked out by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from core.refusals import QueryInvalid
from services.history.answers import Series
from services.history.decoding import REFUSED
from services.history.log import PredictionLog
from services.history.questions import CompareQuestion
from services.history.reader import interval
from services.history.reader.comparison import Comparisons
from services.history.reader.database import Database
from services.history.reader.drawing import draw
from services.history.reader.interval import Moments
from tests.services.history.reader.tables import (
    START,
    keep,
    keep_refusals,
    opened,
    predicted,
    table_of,
)
from tests.tiny import TinyPredictor

A = np.random.default_rng(1).normal(0.3, 0.1, 300)
B = np.random.default_rng(2).normal(0.36, 0.14, 200)
FLAG = json.dumps([{"feature": "hours"}])


def rows(values: Any, *, flagged: int = 0, days: int = 0, **facts: Any) -> list[dict[str, Any]]:
    """Give a row a value, some of them flagged, a minute apart."""
    return [
        {
            "at": START + timedelta(days=days, minutes=i), "probability": value,
            "flags": FLAG if i < flagged else None, "latency_us": 1000 + i, **facts,
        }
        for i, value in enumerate(values)
    ]  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    """Keep version 1 with 300 rows of the north, and version 2 with 200 of the south."""
    log = PredictionLog(tmp_path, owner="me")
    keep(
        log, "churn",
        predicted(rows(A, flagged=30, region="north"), version="1"),
        predicted(rows(B, flagged=40, region="south", hours=2.0), version="2"),
    )  # fmt: skip
    return log


@pytest.fixture
def database(log: PredictionLog) -> Iterator[Database]:
    with opened(log) as database:
        yield database


def compare(database: Database, versus: str, **given: Any) -> Series:
    """Ask for a comparison of the whole month."""
    asked: dict[str, Any] = {
        "model": "churn", "versus": versus, "since": START - timedelta(days=1),
        "until": START + timedelta(days=20), **given,
    }  # fmt: skip
    return Comparisons(database).read(CompareQuestion(**asked), TinyPredictor)


def by_measure(series: Series) -> dict[str, dict[str, Any]]:
    return {row["measure"]: row for row in table_of(series)}


@pytest.mark.parametrize(
    ("versus", "given"),
    [
        ("version:2", {"version": "1"}),
        ("version:2", {}),
        ("region:south", {"where": ["region:north"]}),
        ("input.region:south", {"where": ["region:north"]}),
        ("region:south", {}),
        ("hours:2", {}),
    ],
)
def test_both_sides_are_measured_as_numpy_and_scipy_do(
    database: Database, versus: str, given: dict[str, Any]
) -> None:
    series = compare(database, versus, **given)
    found = by_measure(series)
    assert (found["predictions"]["a"], found["predictions"]["b"]) == (300, 200)
    mean = found["probability, mean"]
    assert mean["a"] == pytest.approx(A.mean())
    assert mean["b"] == pytest.approx(B.mean())
    welch = stats.ttest_ind(B, A, equal_var=False).confidence_interval(0.95)
    assert (mean["low"], mean["high"]) == pytest.approx((welch.low, welch.high))
    pooled = math.sqrt((299 * A.var(ddof=1) + 199 * B.var(ddof=1)) / 498)
    assert mean["effect"] == pytest.approx((B.mean() - A.mean()) / pooled)
    assert mean["size"] == "medium"
    median = found["probability, median"]
    assert median["difference"] == pytest.approx(np.median(B) - np.median(A))
    assert median["low"] < median["difference"] < median["high"]
    u = stats.mannwhitneyu(B, A).statistic
    assert median["effect"] == pytest.approx(2 * u / (300 * 200) - 1)
    assert (found["flagged"]["a"], found["flagged"]["b"]) == (0.1, 0.2)
    assert found["flagged"]["effect"] == pytest.approx(
        2 * math.asin(math.sqrt(0.2)) - 2 * math.asin(math.sqrt(0.1))
    )
    assert found["latency, median"]["a"] == pytest.approx(1.1495)
    assert found["latency, median"]["unit"] == "ms"
    assert any("that is not" in note for note in series.notes) == (not given)


def test_two_periods_are_compared(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, owner="me")
    keep(log, "churn", predicted([*rows(A), *rows(A + 99, days=5), *rows(B, days=9)]))
    with opened(log) as database:
        series = compare(
            database,
            f"period:{(START + timedelta(days=9)).isoformat()}/2026-03-30T00:00:00+02:00",
            until=START + timedelta(days=1),
        )
    mean = by_measure(series)["probability, mean"]
    assert mean["difference"] == pytest.approx(B.mean() - A.mean())
    assert "2026-03-11" in series.title


def test_filters_of_both_sides_stand_in_the_title_and_what_is_compared_once(
    database: Database,
) -> None:
    both = compare(database, "version:2", where=["region:north"])
    assert both.title == "churn (region north): version 2 against any version but 2"
    assert compare(database, "version:2", version="1").title == (
        "churn: version 2 against version 1"
    )


def test_what_was_refused_is_a_measure_where_filters_part_it(log: PredictionLog) -> None:
    keep_refusals(
        log,
        *[{"at": START, "version": "1"}] * 100,
        *[{"at": START, "version": "2"}] * 50,
        {"at": START, "version": "2", "model": "pricing"},
    )
    with opened(log) as database:
        for given in ({}, {"version": "1"}):
            refused = by_measure(compare(database, "version:2", **given))["refused"]
            assert (refused["a"], refused["b"]) == (0.25, 0.2)
        assert "refused" not in by_measure(compare(database, "region:south"))


@pytest.mark.parametrize("size", [0, 1])
def test_too_few_on_a_side_are_said_and_never_nan(tmp_path: Path, size: int) -> None:
    log = PredictionLog(tmp_path, owner="me")
    keep(log, "churn", predicted(rows(A)), predicted(rows(B[:size]), version="2"))
    with opened(log) as database:
        series = compare(database, "version:2")
    assert "NaN" not in series.model_dump_json()
    mean = by_measure(series)["probability, mean"]
    assert mean["b"] == (pytest.approx(B[0]) if size else None)
    assert [mean[name] for name in ("low", "high", "effect", "size")] == [None] * 4
    assert any("fewer than 2" in note for note in series.notes)
    assert draw(series, "png").startswith(b"\x89PNG")


def test_values_that_are_all_the_same_have_no_effect(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, owner="me")
    same = predicted(rows([0.5] * 9)), predicted(rows([0.5] * 9), version="2")
    keep(log, "churn", *same)
    with opened(log) as database:
        found = by_measure(compare(database, "version:2"))
    for name in ("probability, mean", "probability, median"):
        assert [found[name][part] for part in ("difference", "effect", "size")] == [0, 0, "none"]
    assert found["probability, mean"]["low"] == found["probability, mean"]["high"] == 0


def test_an_empty_time_is_answered(database: Database) -> None:
    series = compare(
        database, "region:south", where=["region:north"], since=START - timedelta(days=9),
        until=START - timedelta(days=8),
    )  # fmt: skip
    assert by_measure(series)["predictions"]["a"] == 0
    assert "No predictions in this time." in series.notes


@pytest.mark.parametrize(
    ("versus", "given", "said"),
    [
        ("version", {}, "version:2"),
        ("version:", {}, "version:2"),
        ("input.regoin:south", {}, "Did you mean"),
        ("hours:many", {}, "a number"),
        ("version:1", {"version": "1"}, "another value"),
        ("region:north", {"where": ["region:north"]}, "another value"),
        ("period:yesterday/today", {}, "is no period"),
        ("period:2026-02-01T00:00:00", {}, "is no period"),
        ("period:2026-02-02T00:00:00Z/2026-02-01T00:00:00Z", {}, "before until"),
        ("period:2999-02-02T00:00:00Z/2999-03-01T00:00:00Z", {}, "future"),
        ("period:2026-03-03T00:00:00Z/2026-03-04T00:00:00Z", {}, "overlaps"),
    ],
)
def test_a_side_that_cannot_be_is_refused(
    database: Database, versus: str, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(QueryInvalid, match=said):
        compare(database, versus, **given)


def test_no_text_from_outside_is_sql(database: Database) -> None:
    series = compare(database, "region:x' OR '1'='1", version="1'; DROP TABLE x; --")
    assert by_measure(series)["predictions"]["a"] == 0


def test_a_damaged_file_is_left_out_with_a_note(log: PredictionLog) -> None:
    path = keep(log, "churn", predicted(rows(A, days=2)))[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:400] + bytes(2000) + whole[2400:])
    with opened(log) as database:
        series = compare(database, "version:2")
    assert by_measure(series)["predictions"]["a"] == 300
    assert any("could not be read" in note for note in series.notes)


def test_damaged_refusals_cost_no_comparison_and_are_told(log: PredictionLog) -> None:
    models = np.random.default_rng(4).choice(["churn", "pricing"], 2000)
    keep_refusals(
        log,
        *({"at": START + timedelta(seconds=i), "model": f"{one}"} for i, one in enumerate(models)),
    )
    [(path, _)] = log.files(REFUSED)
    whole = Path(str(path)).read_bytes()
    facts = pq.read_metadata(str(path)).row_group(0).column(1)
    end = facts.data_page_offset + facts.total_compressed_size // 2
    Path(str(path)).write_bytes(whole[: end - 60] + b"x" * 60 + whole[end:])
    with opened(log) as database:
        series = compare(database, "version:2")
    assert by_measure(series)["predictions"]["a"] == 300
    assert any("could not be read" in note for note in series.notes)


def test_a_large_side_is_sampled_the_same_way_each_time(tmp_path: Path) -> None:
    values = np.random.default_rng(3).gamma(2, 1, 25_000)
    log = PredictionLog(tmp_path, owner="me")
    many = [
        {"at": START + timedelta(seconds=i), "probability": v, "latency_us": 1}
        for i, v in enumerate(values)
    ]
    keep(log, "churn", predicted(many), predicted(rows(A), version="2"))
    with opened(log) as database:
        first, second = (by_measure(compare(database, "version:2")) for _ in range(2))
        notes = compare(database, "version:2").notes
    assert first == second
    assert first["probability, mean"]["a"] == pytest.approx(values.mean())
    assert first["probability, median"]["a"] == pytest.approx(np.median(values), rel=0.03)
    assert any("20,000" in note for note in notes)


class TestIntervals:
    @pytest.mark.parametrize(
        ("counts", "ends"),
        [
            # Newcombe 1998, table II, method 10, one column each.
            ((48, 80, 56, 70), (0.0524, 0.3339)),
            ((3, 10, 9, 10), (0.1705, 0.8090)),
            ((0, 29, 5, 56), (-0.0381, 0.1926)),
            ((0, 10, 10, 10), (0.6075, 1.0)),
        ],
    )
    def test_of_shares_as_in_the_paper(
        self, counts: tuple[int, int, int, int], ends: tuple[float, float]
    ) -> None:
        assert interval.of_shares(*counts) == pytest.approx(ends, abs=1e-4)

    def test_of_medians_hold_what_they_should(self) -> None:
        random = np.random.default_rng(7)
        held = 0
        for _ in range(1000):
            a, b = np.sort(random.exponential(1, 41)), np.sort(random.exponential(2, 60))
            low, high = interval.of_medians(a, b)
            assert low is not None
            assert high is not None
            held += low <= math.log(2) * (2 - 1) <= high
        assert 0.93 <= held / 1000 <= 0.985

    def test_of_ranks_hold_what_they_should(self) -> None:
        random = np.random.default_rng(8)
        # Two normals a standard deviation apart: 2 * cdf(1 / sqrt(2)) - 1.
        true = 2 * stats.norm.cdf(1 / math.sqrt(2)) - 1
        held = 0
        for _ in range(1000):
            effect = interval.of_ranks(
                np.sort(random.normal(0, 1, 30)), np.sort(random.normal(1, 1, 40))
            )
            assert effect.low is not None
            assert effect.high is not None
            held += effect.low <= true <= effect.high
        assert 0.93 <= held / 1000 <= 0.97

    @pytest.mark.parametrize("b", [[1.0, 2.0, 2.0, 5.0], [9.0, 10.0], [3.0, 3.0, 3.0]])
    def test_of_ranks_count_pairs(self, b: list[float]) -> None:
        a = [0.0, 2.0, 3.0]
        signs = [np.sign(y - x) for x in a for y in b]
        effect = interval.of_ranks(np.array(a), np.array(b))
        assert effect.size == pytest.approx(np.mean(signs))
        assert effect.low is not None
        assert effect.high is not None
        assert -1 <= effect.low <= np.mean(signs) <= effect.high <= 1

    def test_of_cohen_as_hedges_and_olkin_have_it(self) -> None:
        # 10 and 10, d = 0.5: sqrt(20/100 + 0.25/40) = 0.45415.
        effect = interval.of_standard(Moments(10, 0.0, 1.0), Moments(10, 0.5, 1.0))
        assert effect.size == 0.5
        assert effect.words == "medium"
        assert effect.high == pytest.approx(0.5 + 1.959964 * 0.454148, abs=1e-5)
