"""What happened after a prediction is erased with its entity, though it names the id alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bentos.release import Release
from services.history.log import PredictionLog
from tests.services.history.conftest import NOON_NS, row, rows_of, write_segment
from tests.services.history.wishes import HOUR_NS, ask, erasure_of, tell
from tests.services.history.workers import OUTCOMES, Worker, entities

ASKED_NS = NOON_NS + HOUR_NS
AFTER_NS = ASKED_NS + HOUR_NS


def hex_of(answer: Mapping[str, Any]) -> str:
    """Give the id of an answer, as outcomes name it."""
    return UUID(answer["prediction_id"]).hex


def told_of(log: PredictionLog) -> list[str]:
    """Read of which predictions the log has an outcome."""
    return sorted(one["outcome_of"].hex() for one in rows_of(log, OUTCOMES))


@pytest.fixture
def answers(tmp_path: Path, release: Release) -> list[dict[str, Any]]:
    """Move a prediction of each of two clients into the log."""
    found = write_segment(tmp_path / "spool", release, [row(1), row(2)], name="a-0")
    Worker(tmp_path).work()
    return found


@pytest.mark.parametrize("is_another_worker", [False, True])
def test_what_was_told_before_the_erasure_and_moved_after_it_is_dropped(
    tmp_path: Path, answers: list[dict[str, Any]], *, is_another_worker: bool
) -> None:
    worker = Worker(tmp_path)
    identity = ask(tmp_path / "spool", "c1", at_ns=ASKED_NS)
    worker.work()
    assert erasure_of(worker.log, identity).state == "done"
    told = [{"outcome_of": hex_of(one), "value": 1.0} for one in answers]
    tell(tmp_path / "spool", told, name="b-0", at_ns=ASKED_NS)
    worker = Worker(tmp_path) if is_another_worker else worker
    worker.work()
    assert told_of(worker.log) == [hex_of(answers[1])]


def test_what_is_told_after_the_erasure_stays(
    tmp_path: Path, answers: list[dict[str, Any]]
) -> None:
    worker = Worker(tmp_path)
    ask(tmp_path / "spool", "c1", at_ns=ASKED_NS)
    worker.work()
    told = [{"outcome_of": hex_of(answers[0]), "value": 1.0}]
    tell(tmp_path / "spool", told, name="b-0", at_ns=AFTER_NS)
    worker.work()
    assert told_of(worker.log) == [hex_of(answers[0])]


def test_the_proof_finds_what_came_into_the_log_before_it_knew_of_the_erasure(
    tmp_path: Path, answers: list[dict[str, Any]]
) -> None:
    worker = Worker(tmp_path)
    identity = ask(tmp_path / "spool", "c1", at_ns=ASKED_NS)
    worker.mover.step()
    worker.eraser.step()
    worker.mover.close()
    # Another one moves, and has not looked at what is erased since it was started.
    late = Worker(tmp_path)
    late.erasures.look()
    asked = erasure_of(worker.log, identity)
    tell(tmp_path / "spool", [{"outcome_of": hex_of(answers[0])}], name="b-0", at_ns=ASKED_NS)
    late.erasures.keep(asked.model_copy(update={"predictions": ()}))
    late.mover.step()
    late.mover.close()
    assert told_of(worker.log) == [hex_of(answers[0])]
    worker.erasures.keep(asked)
    for _ in range(2):
        worker.work()
    assert erasure_of(worker.log, identity).state == "done"
    assert told_of(worker.log) == []


def test_what_is_about_a_prediction_that_never_came_into_the_log_goes_as_well(
    tmp_path: Path, release: Release
) -> None:
    [answer] = write_segment(tmp_path / "late", release, [row(1)], name="a-0")
    tell_of = [{"outcome_of": hex_of(answer), "value": 1.0}]
    (tmp_path / "spool").mkdir()
    tell(tmp_path / "spool", tell_of, name="b-0", at_ns=ASKED_NS)
    identity = ask(tmp_path / "spool", "c1", at_ns=ASKED_NS)
    worker = Worker(tmp_path)
    worker.work()
    assert told_of(worker.log) == [hex_of(answer)]
    (tmp_path / "late" / "a-0.seg").rename(tmp_path / "spool" / "a-0.seg")
    for _ in range(2):
        worker.work()
    assert told_of(worker.log) == entities(worker.log) == []
    proof = erasure_of(worker.log, identity)
    assert proof.state == "done"
    assert proof.places[OUTCOMES].erased_rows == 1
