"""An erasure while the clock is set back."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain, repeat
from pathlib import Path

import pytest

from bentos.release import Release
from core import clock
from services.history.eraser import Eraser
from services.history.erasure import Erasures
from services.history.housekeeping import Housekeeper
from services.history.mover import Mover
from tests.services.history.conftest import log_of, row, write_segment
from tests.services.history.wishes import ask, erasure_of, later


def test_it_is_not_done_while_a_file_of_before_is_there(
    tmp_path: Path, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(tmp_path)
    erasures = Erasures(log)
    mover = Mover(tmp_path / "spool", log, erasures=erasures)
    eraser = Eraser(log, erasures, spool=tmp_path / "spool")
    write_segment(tmp_path / "spool", release, [row(1), row(2)], name="a-0")
    identity = ask(tmp_path / "spool", "c1")
    mover.step()
    [(path, _)] = log.files("churn")
    now = clock.now
    # The manifest is written an hour before what tells that it was.
    hours = chain([1], repeat(0))
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(hours=next(hours)))
    eraser.step()
    monkeypatch.undo()
    with later():
        Housekeeper(log, keep_days=None).step()
        assert eraser.finish() == 0
    assert Path(path).exists()
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(hours=2))
    Housekeeper(log, keep_days=None).step()
    assert eraser.finish() == 1
    assert not Path(path).exists()
    assert erasure_of(log, identity).state == "done"
    mover.close()
