"""A bit flips in what a segment tells of a release, before the records of all its rows."""

from __future__ import annotations

from pathlib import Path

from bentos.release import Release
from services.history.mover import Mover
from tests.services.history.conftest import ids_of, log_of, row, write_segment


def test_its_rows_are_read_by_what_another_segment_told(tmp_path: Path, release: Release) -> None:
    spool = tmp_path / "spool"
    mover = Mover(spool, log_of(tmp_path))
    answers = write_segment(spool, release, [row(1)], name="a-0")
    mover.step()
    answers += write_segment(spool, release, [row(i) for i in range(9)], name="a-1", together=1)
    path = spool / "a-1.seg"
    content = bytearray(path.read_bytes())
    content[content.index(b'"manifest_sha256"')] ^= 4
    path.write_bytes(content)
    moved = mover.step()
    assert (moved.rows, moved.damaged) == (9, 1)
    assert ids_of(log_of(tmp_path)) == sorted(one["prediction_id"] for one in answers)
    assert (spool / "quarantine" / "a-1.seg").exists()
    mover.close()
