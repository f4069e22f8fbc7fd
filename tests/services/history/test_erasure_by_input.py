"""Rows that name an erased entity in an input go too: a client's invoice lines, with the client."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import UUID

from bentos.release import Release
from core.platform_config import History
from core.settings import Settings
from services.history.keeper import build_history
from services.history.log import PredictionLog
from services.history.mover import owner_of
from tests.services.history.conftest import NOON_NS, row, rows_of, write_segment
from tests.services.history.reader.tables import START, keep, predicted
from tests.services.history.wishes import HOUR_NS, ask, erasure_of, later, tell
from tests.services.history.workers import OUTCOMES, Worker, entities

# What the tiny model has in the place of a client beside its entity.
LINKS = ("input_region", "input_hours", "input_nothing")


def test_what_names_it_in_an_input_goes_with_what_happened_after(
    tmp_path: Path, release: Release
) -> None:
    spool = tmp_path / "spool"
    rows = [row(1), row(2, region="c1"), row(3, region="c4"), row(4)]
    answers = write_segment(spool, release, rows, name="a-0")
    by_id = [{"outcome_of": UUID(one["prediction_id"]).hex, "value": 1.0} for one in answers]
    tell(spool, by_id, name="b-0")
    identity = ask(spool, "c1")
    worker = Worker(tmp_path, links=LINKS)
    worker.work()
    assert entities(worker.log) == ["c3", "c4"]
    left = {UUID(one["prediction_id"]).bytes for one in answers[2:]}
    assert {one["outcome_of"] for one in rows_of(worker.log, OUTCOMES)} == left
    proof = erasure_of(worker.log, identity)
    assert proof.state == "done"
    assert [proof.places[one].erased_rows for one in ("churn", OUTCOMES)] == [2, 2]
    # What was made before it and comes late goes on its way in; what is made later is kept.
    write_segment(spool, release, [row(5, region="c1")], name="a-1")
    later_ns = NOON_NS + 2 * HOUR_NS
    write_segment(spool, release, [row(6, region="c1")], name="a-2", at_ns=later_ns)
    worker.mover.step()
    worker.mover.close()
    assert entities(worker.log) == ["c3", "c4", "c6"]


def test_the_worker_knows_the_inputs_that_are_entities_of_other_models(tmp_path: Path) -> None:
    keeper = build_history(Settings(home=tmp_path), History(tidy_seconds=0.001))
    log = PredictionLog(tmp_path / "predictions", owner=owner_of(tmp_path / "spool"))
    lines = [
        {"at": START, "entity": f"L{i}", "client_id": f"c{i % 2}", "memo": "c1"} for i in range(4)
    ]
    table = predicted(lines, key="invoice_line_id", inputs={"client_id": "text", "memo": "text"})
    keep(log, "revenue_leak", table)
    identity = ask(tmp_path / "spool", "c1")
    keeper.step()
    with later():
        time.sleep(0.01)
        keeper.step()
    keeper.close()
    assert entities(log, "revenue_leak") == ["L0", "L2"]
    assert erasure_of(log, identity).state == "done"
