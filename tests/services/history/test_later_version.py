"""What a later version wrote waits in the spool for it, and holds up nothing but a proof."""

from __future__ import annotations

from pathlib import Path

from bentos.release import Release
from services.history.mover import Mover
from services.predictions.segment import Segment
from tests.services.history.conftest import NOON_NS, ids_of, log_of, move, row, write_segment
from tests.services.history.wishes import ask, erasure_of
from tests.services.history.workers import Worker, entities


def write_later(spool: Path, name: str) -> Path:
    """Write a record of a kind that this version does not know into a segment."""
    segment = Segment(spool / f"{name}.open", 1 << 16)
    assert segment.append(99, NOON_NS, 0, b"{}", b"", b"")
    segment.finish()
    return spool / f"{name}.seg"


def test_it_waits_and_the_others_are_moved(tmp_path: Path, release: Release) -> None:
    spool = tmp_path / "spool"
    write_segment(spool, release, [row(1)], name="a-0")
    content = write_later(spool, "a-1").read_bytes()
    write_segment(spool, release, [row(2)], name="a-2")
    for _ in range(2):
        move(tmp_path)
        assert len(ids_of(log_of(tmp_path))) == 2
        assert {one.name: one.read_bytes() for one in spool.glob("*.seg")} == {"a-1.seg": content}


def test_it_is_read_once_by_each_worker(tmp_path: Path, release: Release) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    left = write_later(spool, "a-0")
    mover = Mover(spool, log_of(tmp_path))
    mover.step()
    # Under its name now stands what can be read: only who reads it again finds that out.
    left.unlink()
    write_segment(spool, release, [row(1), row(2)], name="a-0")
    assert mover.step().segments == 0
    mover.close()
    assert move(tmp_path).rows == 2


def test_an_erasure_is_not_proved_while_it_may_hold_the_entity(
    tmp_path: Path, release: Release
) -> None:
    spool = tmp_path / "spool"
    write_segment(spool, release, [row(1), row(2)], name="a-0")
    left = write_later(spool, "a-1")
    identity = ask(spool, "c1")
    worker = Worker(tmp_path)
    for _ in range(2):
        worker.work()
        assert entities(worker.log) == ["c2"]
        assert erasure_of(worker.log, identity).state == "rewritten"
    # The later version has moved it.
    left.unlink()
    worker.work()
    assert erasure_of(worker.log, identity).state == "done"


def test_what_was_made_after_the_erasure_does_not_hold_it_up(
    tmp_path: Path, release: Release
) -> None:
    spool = tmp_path / "spool"
    write_segment(spool, release, [row(1), row(2)], name="a-0")
    identity = ask(spool, "c1", at_ns=NOON_NS)
    worker = Worker(tmp_path)
    worker.work()
    asked = erasure_of(worker.log, identity)
    worker.erasures.keep(asked.model_copy(update={"state": "rewritten"}))
    write_segment(spool, release, [row(3)], name="a-1", at_ns=NOON_NS + 10**9)
    assert worker.eraser.finish() == 1
