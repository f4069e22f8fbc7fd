"""A store that carries out late what was given up on, or asked for by a worker that is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bentos.release import Release
from services.durable import Fill
from services.history.eraser import Eraser
from services.history.erasure import Erasures
from services.history.housekeeping import Housekeeper
from services.history.keeper import HistoryKeeper
from services.history.log import PredictionLog
from services.history.manifest import SUFFIX
from services.history.mover import Mover
from services.history.store import ObjectStore
from services.history.watch import Watch
from tests.services.history.conftest import hex_of, row, write_segment


class LateStore(ObjectStore):
    """Says of a manifest, while it is slow, that it took too long, and puts it later."""

    def __init__(self) -> None:
        super().__init__(MemoryFileSystem(), f"/{uuid4().hex}")
        self.is_slow = False
        self._late: list[Callable[[], int]] = []

    def write(self, key: str, fill: Fill) -> int:
        """Put what a function writes, or promise it."""
        put = super().write
        if self.is_slow and key.endswith(SUFFIX):
            self._late.append(lambda: put(key, fill))
            raise TimeoutError
        return put(key, fill)

    def carry_out(self) -> None:
        """Put what was promised."""
        self.is_slow = False
        for put in self._late:
            put()


class Worker:
    """A worker of a home folder whose log lies elsewhere."""

    def __init__(self, home: Path, store: LateStore) -> None:
        self.log = PredictionLog(store, owner="me")
        erasures = Erasures(self.log)
        self.mover = Mover(home / "spool", self.log, erasures=erasures)
        self.housekeeper = Housekeeper(self.log, keep_days=None)
        eraser = Eraser(self.log, erasures, spool=home / "spool")
        watch = Watch(self.log, erasures, spool=home / "spool")
        self.keeper = HistoryKeeper(
            self.mover, eraser, self.housekeeper, watch, move_seconds=1, tidy_seconds=60
        )

    def ids(self) -> list[str]:
        """Read the prediction ids from all files of the log."""
        assert self.log.filesystem is not None
        found: list[bytes] = []
        for place, _ in self.log.files("churn"):
            with self.log.filesystem.open(place, "rb") as file:
                found += pq.read_table(file).column("prediction_id").to_pylist()
        return sorted(hex_of(one) for one in found)


def test_a_manifest_that_was_given_up_on_puts_none_out_of_the_log(
    tmp_path: Path, release: Release
) -> None:
    store = LateStore()
    worker = Worker(tmp_path, store)
    answers = write_segment(tmp_path / "spool", release, [row(1)], name="a-0")
    store.is_slow = True
    with pytest.raises(TimeoutError):
        worker.keeper.step()
    store.is_slow = False
    answers += write_segment(tmp_path / "spool", release, [row(2)], name="a-1")
    worker.keeper.step()
    store.carry_out()
    assert worker.ids() == sorted(one["prediction_id"] for one in answers)
    assert len(store.keys("churn/*/*")) == len(worker.log.files("churn"))
    worker.keeper.close()


def test_what_a_worker_that_is_gone_put_together_is_not_swept_up_and_then_named(
    tmp_path: Path, release: Release
) -> None:
    store = LateStore()
    first = Worker(tmp_path, store)
    answers = []
    for number in range(2):
        answers += write_segment(tmp_path / "spool", release, [row(number)], name=f"a-{number}")
        first.mover.step()
    store.is_slow = True
    with pytest.raises(TimeoutError):
        first.housekeeper.step()
    store.is_slow = False
    first.keeper.close()
    second = Worker(tmp_path, store)
    second.mover.step()
    second.housekeeper.sweep()
    store.carry_out()
    assert second.ids() == sorted(one["prediction_id"] for one in answers)
    second.keeper.close()
