"""Files of outcomes, which lie by what they are about: put together, kept as long as asked for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core import clock
from services.history.decoding import OUTCOMES, OUTCOMES_OF
from services.history.eraser import Eraser
from services.history.erasure import Erasures
from services.history.housekeeping import MANY_FILES, Housekeeper
from services.history.log import PredictionLog
from services.history.manifest import Manifest, month_of
from services.history.mover import Mover
from tests.services.history.conftest import NOON_NS, rows_of
from tests.services.history.reader.tables import identity, keep_outcomes
from tests.services.history.wishes import ask, erasure_of, later
from tests.services.history.wishes import tell as write_outcomes

PLACE = "churn" + OUTCOMES_OF
ABOUT = datetime(2025, 3, 4, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    return PredictionLog(tmp_path / "predictions", owner="me")


def tell(log: PredictionLog, *values: float, days_ago: float = 1) -> None:
    """Keep outcomes about one month, told some days ago."""
    at = clock.now() - timedelta(days=days_ago)
    rows = [{"at": at, "entity": f"c{value:g}", "as_of": ABOUT, "value": value} for value in values]
    keep_outcomes(log, "churn", *rows)


def values(log: PredictionLog) -> list[float]:
    return sorted(one["value"] for one in rows_of(log, PLACE))


def test_a_month_that_is_long_over_is_put_together_as_one_that_is_not(log: PredictionLog) -> None:
    keeper = Housekeeper(log, keep_days=None)
    for number in range(MANY_FILES + 1):
        tell(log, number)
        assert keeper.step().compacted == (0 if number != MANY_FILES - 1 else MANY_FILES)
    assert [file.day for _, file in log.files(PLACE)] == [date(2025, 3, 1)] * 2
    assert values(log) == list(range(MANY_FILES + 1))


def test_what_was_told_lately_stays_however_old_the_prediction(log: PredictionLog) -> None:
    tell(log, 1)
    assert Housekeeper(log, keep_days=30).step().expired == 0
    assert values(log) == [1]


def test_what_was_told_too_long_ago_goes(log: PredictionLog) -> None:
    tell(log, 1, days_ago=40)
    tell(log, 2)
    assert Housekeeper(log, keep_days=30).step().expired == 1
    assert values(log) == [2]


def test_of_a_file_that_is_put_together_what_is_too_old_goes(log: PredictionLog) -> None:
    tell(log, 1, days_ago=40)
    for value in range(2, MANY_FILES + 1):
        tell(log, value)
    Housekeeper(log, keep_days=None).step()
    assert values(log) == list(range(1, MANY_FILES + 1))
    for value in range(MANY_FILES):
        tell(log, 100 + value)
    Housekeeper(log, keep_days=30).step()
    assert values(log) == [*range(2, MANY_FILES + 1), *range(100, 100 + MANY_FILES)]


def test_an_outcome_of_a_segment_that_came_back_goes_when_files_are_put_together(
    tmp_path: Path, log: PredictionLog
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    mover = Mover(spool, log)
    key = identity(ABOUT).hex()
    known = [{"outcome_of": key, "value": 1.0}, {"entity": "c1", "value": 2.0, "amount": 3.0}]
    write_outcomes(spool, known, name="a-0")
    content = (spool / "a-0.seg").read_bytes()
    mover.step()
    for number in range(1, MANY_FILES):
        write_outcomes(spool, known, name=f"a-{number}", at_ns=NOON_NS + number * 10**9)
        mover.step()
    (spool / "a-0.seg").write_bytes(content)
    mover.step()
    mover.close()
    assert len(rows_of(log, PLACE)) == 2 * (MANY_FILES + 1)
    Housekeeper(log, keep_days=None).step()
    rows = [(one["at"], one["outcome_of"], one["entity"]) for one in rows_of(log, PLACE)]
    assert len(rows) == len(set(rows)) == 2 * MANY_FILES


def keep_as_before(log: PredictionLog, rows: list[dict[str, Any]]) -> None:
    """Keep outcomes as an earlier version did: by the day on which they were told."""
    day = date(2026, 3, 6)
    file = log.write_part(PLACE, day, pa.Table.from_pylist(rows, schema=OUTCOMES))
    plain = file.model_copy(update={"first_about": None, "last_about": None})
    log.commit(PLACE, month_of(day), Manifest(files=(plain,)))


def test_an_erasure_leaves_the_others_of_a_file_from_before(
    tmp_path: Path, log: PredictionLog
) -> None:
    at = datetime(2026, 3, 6, tzinfo=UTC)
    usual = {"at": at, "caller": "0123456789ab"}
    whose = ["c1", "c2", "c3"]
    rows = [
        {**usual, "entity": who, "as_of": at - timedelta(days=60 * place), "value": 1.0}
        for place, who in enumerate(whose)
    ]
    keep_as_before(log, [*rows, {**usual, "outcome_of": identity(ABOUT), "value": 2.0}])
    erasures = Erasures(log)
    mover = Mover(tmp_path / "spool", log, erasures=erasures)
    asked = ask(tmp_path / "spool", "c2")
    mover.step()
    eraser = Eraser(log, erasures, spool=tmp_path / "spool")
    eraser.step()
    with later():
        Housekeeper(log, keep_days=None).step()
        eraser.finish()
    mover.close()
    assert erasure_of(log, asked).state == "done"
    assert sorted(str(one["entity"]) for one in rows_of(log, PLACE)) == ["None", "c1", "c3"]
