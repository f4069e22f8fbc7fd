"""The receipt of a single prediction."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.catalog import predictor_type
from core import clock
from core.config import ModelConfig, load_model_config
from core.history_faults import PredictionUnknown
from services.history.log import PredictionLog
from services.history.manifest import Manifest
from services.history.reader.receipt import Receipts
from services.history.reader.times import time_of
from tests.conftest import ROOT
from tests.services.history.reader.tables import (
    START,
    TINY,
    identity,
    keep,
    keep_outcomes,
    opened,
    predicted,
)
from tests.tiny import CONTENT, tiny_type

HOUR = timedelta(hours=1)
TARGET = {**CONTENT["target"], "horizon_days": 90}


def config_of(_: str) -> ModelConfig:
    return ModelConfig.model_validate({**CONTENT, "target": TARGET})


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    return PredictionLog(tmp_path, owner="me")


@pytest.fixture
def receipts(log: PredictionLog) -> Iterator[Receipts]:
    with opened(log) as database:
        yield Receipts(database, ("churn", "pricing"), tiny_type, config_of)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receipts]:
    with opened(PredictionLog(tmp_path_factory.mktemp("empty"), owner="me")) as database:
        yield Receipts(database, ("churn",), tiny_type, config_of)


def keep_some(log: PredictionLog, count: int = 50) -> list[str]:
    keys = [identity(START + i * HOUR) for i in range(count)]
    rows = [
        {"at": START + i * HOUR, "prediction_id": key, "entity": f"c{i}", "probability": i / count}
        for i, key in enumerate(keys)
    ]
    for start in range(0, count, 10):
        keep(log, "churn", predicted(rows[start : start + 10]))
    return [str(UUID(bytes=key)) for key in keys]


def test_each_prediction_is_found_by_its_id(log: PredictionLog, receipts: Receipts) -> None:
    for i, identifier in enumerate(keep_some(log)):
        found = receipts.read(identifier, None)
        assert (found.prediction_id, found.entity) == (identifier, f"c{i}")
        assert found.at == START + i * HOUR
        assert found.lineage is not None
        assert found.lineage.manifest_sha256 == "m"
        assert found.outcome_due_at == found.at + timedelta(days=90)


@pytest.mark.parametrize("as_of", ["9999-12-31T00:00:00+00:00", "9999-12-31T20:00:00+14:00"])
def test_an_outcome_that_no_calendar_reaches_is_never_due(
    log: PredictionLog, receipts: Receipts, as_of: str
) -> None:
    key = identity(START)
    keep(log, "churn", predicted([{"at": START, "prediction_id": key, "as_of": as_of}]))
    keep_outcomes(
        log, "churn",
        {"at": START, "entity": "c1", "as_of": datetime.fromisoformat(as_of), "value": 1.0},
    )  # fmt: skip
    found = receipts.read(str(UUID(bytes=key)), None)
    assert found.outcome_due_at is None
    assert found.outcome is not None
    assert found.outcome.value == 1.0


STEPS = [
    {"time": (START + week * timedelta(weeks=1)).isoformat(), "value": 1.0} for week in range(3)
]
MANY: list[tuple[str, dict[str, Any], dict[str, Any], datetime]] = [
    ("demand", {"steps": STEPS}, {"unit": "text"}, START + timedelta(days=14 + 31)),
    ("budget", {"period_weeks": 5}, {"period_weeks": "integer"}, START + timedelta(days=28 + 7)),
]


@pytest.mark.parametrize(("model", "row", "inputs", "due"), MANY, ids=["demand", "budget"])
def test_an_answer_about_many_steps_is_due_with_the_last_of_them(
    log: PredictionLog, model: str, row: dict[str, Any], inputs: dict[str, str], due: datetime
) -> None:
    key = identity(START)
    facts = {"at": START, "prediction_id": key, "as_of": START.isoformat(), **row}
    keep(log, model, predicted([facts], inputs=inputs, result={"steps": "json"}))
    keep_outcomes(log, model, {"at": START, "entity": "c1", "as_of": START, "value": 2.0})
    with opened(log) as database:
        receipts = Receipts(
            database, (model,), predictor_type,
            lambda name: load_model_config(ROOT / "configs" / "models" / f"{name}.yaml"),
        )  # fmt: skip
        found = receipts.read(str(UUID(bytes=key)), None)
    assert found.outcome_due_at == due
    assert found.outcome is not None
    assert (found.outcome.steps, found.outcome.of_steps) == (1, 3 if model == "demand" else 5)


def test_one_that_stands_hours_beside_its_id_is_found(
    log: PredictionLog, receipts: Receipts
) -> None:
    key = identity(START - timedelta(minutes=90))
    keep(log, "churn", predicted([{"at": START, "prediction_id": key}]))
    assert receipts.read(str(UUID(bytes=key)), None).at == START


def test_an_outcome_before_its_prediction_is_in_the_receipt(
    log: PredictionLog, receipts: Receipts
) -> None:
    key = identity(START)
    early = {"at": START - 30 * HOUR, "outcome_of": key, "value": 1.0}
    keep_outcomes(log, "churn", early)
    keep(log, "churn", predicted([{"at": START, "prediction_id": key}]))
    outcome = receipts.read(str(UUID(bytes=key)), None).outcome
    assert outcome is not None
    assert (outcome.value, outcome.steps, outcome.of_steps) == (1.0, 1, None)
    assert outcome.told_at == early["at"]


def test_a_damaged_file_of_outcomes_is_told(log: PredictionLog, receipts: Receipts) -> None:
    key = identity(START)
    keep(log, "churn", predicted([{"at": START, "prediction_id": key}]))
    [broken] = keep_outcomes(log, "churn", {"at": START, "outcome_of": key, "value": 1.0})
    assert receipts.read(str(UUID(bytes=key)), None).notes == []
    broken.write_bytes(broken.read_bytes()[:-40])
    found = receipts.read(str(UUID(bytes=key)), None)
    assert found.outcome is None
    assert [note[:45] for note in found.notes] == ["1 file of the log could not be read and is le"]


def test_one_in_a_damaged_file_is_unknown_and_no_failure(
    log: PredictionLog, receipts: Receipts
) -> None:
    key = identity(START)
    facts = {"at": START, "prediction_id": key, "drivers": '{"note":1}'}
    [path] = keep(log, "churn", predicted([facts]))
    path.write_bytes(path.read_bytes().replace(b'{"note"', b'x"note"'))
    with pytest.raises(PredictionUnknown, match="may stand in 1 file that could not be read"):
        receipts.read(str(UUID(bytes=key)), None)
    # Nobody learns so of a model that the key does not open, nor of what the file cannot hold.
    for identifier, models in ((key, ["pricing"]), (identity(START + HOUR), None)):
        with pytest.raises(PredictionUnknown) as unknown:
            receipts.read(str(UUID(bytes=identifier)), models)
        assert "could not be read" not in unknown.value.detail


def test_nothing_is_known_until_it_is_told(log: PredictionLog, receipts: Receipts) -> None:
    [first, *_] = keep_some(log, 10)
    assert receipts.read(first, None).outcome is None
    keep_outcomes(log, "churn", {"at": START, "entity": "c5", "value": 1.0})
    assert receipts.read(first, None).outcome is None


def test_an_input_that_a_later_release_dropped_or_brought_is_not_in_it(
    log: PredictionLog, receipts: Receipts
) -> None:
    keys = [identity(START + i * HOUR) for i in range(2)]
    new = {name: kind for name, kind in TINY.items() if name != "region"} | {"nps": "number"}
    keep(
        log, "churn",
        predicted([{"at": START, "prediction_id": keys[0], "region": "north"}]),
        predicted([{"at": START + HOUR, "prediction_id": keys[1], "nps": 7.0}], inputs=new,
                  version="2"),
    )  # fmt: skip
    old, late = (receipts.read(str(UUID(bytes=key)), None).input for key in keys)
    assert set(old) == set(TINY)
    assert set(late) == set(new)


@pytest.mark.parametrize("models", [["pricing"], []])
def test_who_may_not_read_the_model_finds_nothing(
    log: PredictionLog, receipts: Receipts, models: list[str]
) -> None:
    [first, *_] = keep_some(log, 10)
    assert receipts.read(first, ["churn"]).prediction_id == first
    with pytest.raises(PredictionUnknown):
        receipts.read(first, models)


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_no_id_that_anybody_forges_is_more_than_unknown(
    empty: Receipts, milliseconds: int, rest: bytes
) -> None:
    raw = bytearray(milliseconds.to_bytes(6, "big") + rest)
    raw[6], raw[8] = raw[6] & 0x0F | 0x70, raw[8] & 0x3F | 0x80
    with pytest.raises(PredictionUnknown):
        empty.read(str(UUID(bytes=bytes(raw))), None)


def test_an_id_tells_its_time() -> None:
    at = clock.now().astimezone(UTC).replace(microsecond=0)
    assert time_of(identity(at)) == at
    assert time_of(bytes(16)) == datetime(1970, 1, 1, tzinfo=UTC)


class TestOutcomesByMonth:
    """A receipt reads the outcomes of the months that its own may stand in, and no others."""

    @pytest.fixture
    def told(self, log: PredictionLog) -> list[str]:
        """Keep a prediction a month, and outcomes of each that are told at the end of all."""
        keys = []
        for month in range(1, 7):
            at = datetime(2026, month, 5, tzinfo=UTC)
            key = identity(at)
            row = {"at": at, "prediction_id": key, "entity": "c1", "as_of": at.isoformat()}
            keep(log, "churn", predicted([row]))
            late = {"at": datetime(2026, 7, 1, month, tzinfo=UTC)}
            keep_outcomes(log, "churn", {**late, "outcome_of": key, "value": float(month)})
            keep_outcomes(
                log, "churn", {**late, "entity": "c1", "as_of": at, "amount": 10.0 * month}
            )
            keys.append(str(UUID(bytes=key)))
        return keys

    def test_each_has_its_own(self, receipts: Receipts, told: list[str]) -> None:
        for month, key in enumerate(told, start=1):
            seen = receipts.read(key, None).outcome
            assert seen is not None
            assert (seen.value, seen.amount) == (month, 10 * month)

    def test_those_of_other_months_are_not_read(
        self, log: PredictionLog, receipts: Receipts, told: list[str]
    ) -> None:
        for path, file in log.files("churn.outcomes"):
            if file.day.month != 3:
                Path(path).write_bytes(b"damaged")
        seen = receipts.read(told[2], None).outcome
        assert seen is not None
        assert (seen.value, seen.amount) == (3, 30)

    def test_those_without_a_time_are_always_read(
        self, log: PredictionLog, receipts: Receipts, told: list[str]
    ) -> None:
        keep_outcomes(
            log, "churn",
            {"at": datetime(2026, 8, 1, tzinfo=UTC), "entity": "c1", "happened_at": START},
        )  # fmt: skip
        found = [receipts.read(key, None).outcome for key in told]
        assert [one and one.happened_at for one in found] == [START] * 6

    def test_files_of_a_log_from_before_are_read(
        self, log: PredictionLog, receipts: Receipts, told: list[str]
    ) -> None:
        place = "churn.outcomes"
        for month in log.months(place):
            files = [
                file.model_copy(update={"first_about": None, "last_about": None})
                for file in log.manifest(place, month).files
            ]
            log.commit(place, month, Manifest(files=tuple(files)))
        seen = receipts.read(told[4], None).outcome
        assert seen is not None
        assert (seen.value, seen.amount) == (5, 50)
