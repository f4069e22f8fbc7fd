"""What `septet demo` plays: the same play by the same seed, and a drift that is where it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from bentos.catalog import CATALOG, contract_of
from core.config import ModelConfig, load_model_config
from training.demo.drift import DRIFTS, Drift, drifted_fields
from training.demo.outcomes import Outcome
from training.demo.play import Batch, Play
from training.demo.rhythm import Span

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "models"
LAST = date(2026, 6, 28)
FIRST, DRIFT_ON = LAST - timedelta(days=119), LAST - timedelta(days=30)


@cache
def configs() -> dict[str, ModelConfig]:
    return {model: load_model_config(CONFIGS / f"{model}.yaml") for model in CATALOG}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def play(home: Path, *, seed: int = 7, drift_on: date = DRIFT_ON, models: Any = CATALOG) -> Play:
    chosen = {model: configs()[model] for model in models}
    return Play(chosen, home=home, span=Span(FIRST, LAST, drift_on), seed=seed)


@pytest.fixture(scope="module")
def batches(home: Path) -> list[Batch]:
    return all_of(play(home))


def all_of(given: Play) -> list[Batch]:
    return [batch for _, batches in given.days() for batch in batches]


def of(model: str, batches: Iterable[Batch]) -> list[Batch]:
    return [batch for batch in batches if batch.model == model]


def told(batches: Iterable[Batch]) -> list[Outcome]:
    return [one for batch in batches for row in batch.outcomes for one in row]


def written(given: Play) -> list[bytes]:
    """Write all requests of a play."""
    requests: list[bytes] = []
    for day, batches in given.days():
        for batch in batches:
            outcomes = [[vars_of(one) for one in row] for row in batch.outcomes]
            requests += [f"{day} {batch.path} {batch.at}".encode(), batch.body]
            requests.append(orjson.dumps(outcomes))
    return [*requests, *(orjson.dumps([model, vars_of(one)]) for model, one in given.of_steps())]


def vars_of(outcome: Outcome) -> list[Any]:
    return [f"{outcome.told_on}", outcome.is_correction, outcome.content]


def test_the_same_seed_gives_the_same_requests_byte_for_byte(home: Path) -> None:
    first = written(play(home))
    assert written(play(home)) == first
    assert written(play(home, seed=8)) != first


def test_every_row_keeps_to_the_contract_of_its_model(batches: list[Batch]) -> None:
    contracts = {model: contract_of(config) for model, config in configs().items()}
    for batch in batches:
        assert 0 < len(batch.rows) <= configs()[batch.model].serving.max_batch_rows
        for row in orjson.loads(batch.body)["rows"]:
            contracts[batch.model].parse_row(row)


def test_every_model_is_asked_every_day_and_less_at_weekends(batches: list[Batch]) -> None:
    for model in CATALOG:
        sizes = {batch.at.date(): len(batch.rows) for batch in of(model, batches)}
        assert list(sizes) == Span(FIRST, LAST, DRIFT_ON).days
        weekend = [size for day, size in sizes.items() if day.weekday() > 4]
        others = [size for day, size in sizes.items() if day.weekday() < 5]
        assert 2 * sum(weekend) / len(weekend) < sum(others) / len(others)
    months = Counter(batch.at.month for batch in batches for _ in batch.rows)
    assert months[6] / 28 > months[3] / 31


def test_as_of_is_the_day_or_the_week_that_is_asked_on(batches: list[Batch]) -> None:
    for batch in batches:
        config = configs()[batch.model]
        day = batch.at.date()
        begin = day - timedelta(days=day.weekday()) if batch.model == "budget" else day
        if config.as_of:
            assert {row[config.as_of] for row in batch.rows} == {f"{begin}T00:00:00Z"}


def test_clients_and_series_come_again_and_records_do_not(batches: list[Batch]) -> None:
    for model, config in configs().items():
        asked = Counter(row[config.entity] for one in of(model, batches) for row in one.rows)
        if model in {"revenue_leak", "pricing", "anomaly"}:
            assert max(asked.values()) == 1
        elif model != "budget":
            assert sorted(asked.values())[len(asked) // 2] >= 3
    days = [
        batch.at.date()
        for batch in of("churn", batches)
        if any(
            row["client_id"] == of("churn", batches)[0].rows[0]["client_id"] for row in batch.rows
        )
    ]
    gaps = [(after - before).days for before, after in pairwise(days)]
    assert all(14 <= gap <= 60 for gap in gaps)


def test_only_the_named_inputs_drift_and_only_from_the_date_on(home: Path) -> None:
    drifted = all_of(play(home))
    calm = all_of(play(home, drift_on=LAST + timedelta(days=1)))
    changed: dict[str, set[str]] = {model: set() for model in CATALOG}
    for after, before in zip(drifted, calm, strict=True):
        assert (after.model, after.at, after.outcomes) == (before.model, before.at, before.outcomes)
        if after.at.date() < DRIFT_ON:
            assert after.body == before.body
            continue
        for one, other in zip(after.rows, before.rows, strict=True):
            changed[after.model] |= {name for name in one if one[name] != other[name]}
    assert changed == {model: set(drifted_fields(model)) for model in CATALOG}


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda one: f"{one.model}.{one.field}")
def test_a_drift_moves_the_mean_as_the_table_says(batches: list[Batch], drift: Drift) -> None:
    before: list[float] = []
    after: list[float] = []
    for batch in of(drift.model, batches):
        values = [row[drift.field] for row in batch.rows if row[drift.field] is not None]
        (before if batch.at.date() < DRIFT_ON else after).extend(values)
    mean = sum(before) / len(before)
    wanted = drift.factor * mean + drift.shift
    spread = (sum((v - mean) ** 2 for v in before) / len(before)) ** 0.5
    assert abs(sum(after) / len(after) - wanted) < 6 * spread / len(after) ** 0.5


def test_a_drift_stays_within_what_the_model_takes() -> None:
    feature = configs()["churn"].features["nps"]
    drift = Drift("churn", "nps", shift=-15.0)
    assert [drift.of(value, feature) for value in (-95, 20, None)] == [-100, 5.0, None]
    rivals = configs()["pricing"].features["rivals_count"]
    assert repr(Drift("pricing", "rivals_count", shift=1.0).of(2, rivals)) == "3"


def test_outcomes_come_when_their_horizon_has_passed_and_some_never(batches: list[Batch]) -> None:
    horizon = configs()["churn"].target.horizon_days
    assert horizon is not None
    due = 0
    for batch in of("churn", batches):
        first_told = batch.at.date() + timedelta(days=horizon + 1)
        due += len(batch.rows) if first_told <= LAST else 0
        for row in batch.outcomes:
            assert all(first_told <= one.told_on <= LAST for one in row)
            happened = f"{batch.at.date() + timedelta(days=horizon)}T00:00:00Z"
            assert all(one.content["happened_at"] == happened for one in row)
            assert {type(one.content["value"]) for one in row} <= {bool}
    known = sum(bool(row) for batch in of("churn", batches) for row in batch.outcomes)
    assert 0.5 * due < known < 0.95 * due
    assert not told(of("profitability", batches))


def test_some_outcomes_are_put_right_later(batches: list[Batch]) -> None:
    pairs = [row for batch in batches for row in batch.outcomes if len(row) == 2]
    assert len(pairs) > 20
    for wrong, right in pairs:
        assert (wrong.is_correction, right.is_correction) == (False, True)
        assert right.told_on - wrong.told_on == timedelta(days=7)
        assert wrong.content["value"] != right.content["value"]


def test_a_leak_is_told_with_its_amount_where_it_was_audited(batches: list[Batch]) -> None:
    outcomes = told(of("revenue_leak", batches))
    leaks = [one for one in outcomes if one.content["value"] and not one.is_correction]
    assert 0.02 < len(leaks) / len(outcomes) < 0.15
    assert all(one.content["amount"] >= 0 for one in outcomes)
    rows = sum(len(batch.rows) for batch in of("revenue_leak", batches))
    assert 0.2 * rows < len(outcomes) < 0.45 * rows


def test_somebody_looks_at_some_records_and_finds_some_of_them_wrong(batches: list[Batch]) -> None:
    outcomes = told(of("anomaly", batches))
    rows = sum(len(batch.rows) for batch in of("anomaly", batches))
    assert 0.08 * rows < len(outcomes) < 0.18 * rows
    assert 0 < sum(one.content["value"] for one in outcomes) < 0.2 * len(outcomes)


def test_months_and_weeks_are_told_by_entity_once_they_have_ended(home: Path) -> None:
    steps = list(play(home, models=("demand", "budget")).of_steps())
    assert Counter(model for model, _ in steps)["demand"] > 100
    for model, one in steps:
        begin = date.fromisoformat(one.content["as_of"][:10])
        assert begin.day == 1 if model == "demand" else begin.weekday() == 0
        assert FIRST - timedelta(days=31) < begin < one.told_on <= LAST
        assert one.content["entity"]
        assert one.content["value"] >= 0


def test_a_year_and_more_can_be_played(home: Path) -> None:
    span = Span(LAST - timedelta(days=729), LAST, DRIFT_ON)
    chosen = {model: configs()[model] for model in ("profitability", "churn")}
    long = all_of(Play(chosen, home=home, span=span, seed=7))
    assert len(long) == 2 * 730
    assert told(of("profitability", long))
