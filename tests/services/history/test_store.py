"""The log lies in a folder, or behind an address: the same log, kept as surely."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bentos.release import Release
from core.errors import ConfigError
from core.platform_config import History
from core.settings import Settings, load_settings
from services.history.decoding import OUTCOMES_OF
from services.history.eraser import Eraser
from services.history.erasure import FOLDER, Erasures
from services.history.housekeeping import Housekeeper
from services.history.keeper import build_history
from services.history.log import PredictionLog
from services.history.mover import Mover, owner_of
from services.history.store import FolderStore, ObjectStore, Store, open_store
from tests.services.history.conftest import ids_of, row, write_segment
from tests.services.history.killing import killed_at
from tests.services.history.object_store import BUCKET, KEY, SECRET, Server, rclone, serve
from tests.services.history.wishes import ask, erasure_of, later, tell

PROGRAM = rclone()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve S3 over a folder; what stands in the bucket stands there."""
    s3fs = pytest.importorskip("s3fs")
    assert PROGRAM is not None
    folder = tmp_path_factory.mktemp("s3") / "buckets"
    with pytest.MonkeyPatch.context() as patch, serve(PROGRAM, folder) as server:
        patch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        yield server
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def address(s3: Server, tmp_path: Path) -> str:
    """Give an address under which nothing lies yet."""
    assert s3.bucket.is_dir()
    return f"s3://{BUCKET}/{tmp_path.parent.name}-{tmp_path.name}"


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Open each kind of store."""
    if request.param == "folder":
        return open_store(tmp_path / "log")
    if request.param == "memory":
        return open_store(f"memory://{tmp_path}")
    return open_store(request.getfixturevalue("address"))


def put(store: Store, key: str, content: bytes) -> int:
    """Write bytes."""
    return store.write(key, lambda file: file.write(content))


class TestEveryStore:
    def test_what_is_written_is_read(self, store: Store) -> None:
        assert put(store, "a/b/c.parquet", b"12345") == 5
        assert store.read("a/b/c.parquet") == b"12345"
        assert put(store, "a/b/c.parquet", b"other") == 5
        assert store.read("a/b/c.parquet") == b"other"
        assert 0 <= store.age_s("a/b/c.parquet") < 60

    def test_keys_are_found_at_their_depth_and_as_they_are_now(self, store: Store) -> None:
        assert store.keys("*/*.json") == []
        for key in ("a/x.json", "b/x.json", "a/b/x.json", "a/y.parquet"):
            put(store, key, b"1")
        assert store.keys("*/*.json") == ["a/x.json", "b/x.json"]
        assert store.keys("a/*.json") == ["a/x.json"]
        assert store.keys("*/*/*.json") == ["a/b/x.json"]
        store.delete("a/x.json")
        assert store.keys("*/*.json") == ["b/x.json"]

    def test_what_is_not_there_is_no_fault(self, store: Store) -> None:
        put(store, "a/x", b"1")
        store.delete("a/none")
        store.move("a/none", "a/other")
        assert store.age_s("a/none") == 0
        assert store.read_all(["a/none", "a/x"]) == {"a/x": b"1"}
        with pytest.raises(FileNotFoundError):
            store.read("a/none")

    def test_what_is_moved_is_there_alone(self, store: Store) -> None:
        put(store, "a/x", b"1")
        store.move("a/x", "c/y")
        assert store.read_all(["a/x", "c/y"]) == {"c/y": b"1"}

    def test_a_write_that_fails_changes_nothing(self, store: Store) -> None:
        put(store, "a/x", b"before")

        def fail(file: Any) -> None:
            file.write(b"half")
            raise OSError(28, "no space")

        with pytest.raises(OSError, match="no space"):
            store.write("a/x", fail)
        assert store.read("a/x") == b"before"
        assert store.keys("a/*") == ["a/x"]


class TestTheSetting:
    def test_the_log_lies_where_the_setting_says(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert Settings(home=tmp_path).predictions_place == tmp_path / "predictions"
        monkeypatch.setenv("SEPTET_PREDICTIONS", "s3://bucket/septet")
        assert load_settings().predictions_place == "s3://bucket/septet"
        for given in (str(tmp_path / "log"), f"file://{tmp_path}/log"):
            monkeypatch.setenv("SEPTET_PREDICTIONS", given)
            assert load_settings().predictions_place == tmp_path / "log"
        assert isinstance(open_store(tmp_path), FolderStore)

    def test_a_password_in_it_is_refused_and_not_shown(self, tmp_path: Path) -> None:
        settings = Settings(home=tmp_path, predictions="ftp://someone:geheim@host/log")
        with pytest.raises(ConfigError, match="AWS_SECRET_ACCESS_KEY") as caught:
            _ = settings.predictions_place
        assert "geheim" not in str(caught.value)

    def test_an_address_that_nothing_reads_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="SEPTET_PREDICTIONS=nothing://bucket"):
            open_store("nothing://bucket/log")

    def test_the_worker_writes_there(self, tmp_path: Path, release: Release, address: str) -> None:
        write_segment(tmp_path / "spool", release, [row(1)], name="a-0")
        keeper = build_history(Settings(home=tmp_path, predictions=address), History())
        keeper.step()
        keeper.close()
        log = PredictionLog(address, owner=owner_of(tmp_path / "spool"))
        assert len(rows_of_addresses(log)) == 1
        assert not (tmp_path / "predictions").exists()


def rows_of_addresses(log: PredictionLog, place: str = "churn") -> list[dict[str, Any]]:
    """Read all rows by the addresses that the log gives, as an engine does."""
    assert log.filesystem is not None
    rows = []
    for path, _ in log.files(place):
        with log.filesystem.open(path, "rb") as file:
            rows += pq.read_table(file).to_pylist()
    return rows


class TestOnS3:
    def test_files_are_put_together_expired_and_set_aside(
        self, tmp_path: Path, release: Release, address: str, s3: Server
    ) -> None:
        log = PredictionLog(address, owner="me")
        mover = Mover(tmp_path / "spool", log)
        for number in range(3):
            write_segment(tmp_path / "spool", release, [row(number)], name=f"a-{number}")
            mover.step()
        mover.close()
        key = log.key("churn", log.files("churn")[0][1])
        put(log.store, key, log.store.read(key)[:-40])
        kept = Housekeeper(log, keep_days=None).step()
        assert (kept.damaged, kept.compacted) == (1, 2)
        assert len(rows_of_addresses(log)) == 2
        assert len(log.store.keys("quarantine/*")) == 1
        with later():
            Housekeeper(log, keep_days=None).step()
        assert len(log.store.keys("churn/*/*")) == 1
        assert Housekeeper(log, keep_days=1).step().expired == 1
        assert log.files("churn") == []
        assert s3.bucket.is_dir()

    def test_a_store_that_refuses_is_no_damage_and_nothing_is_lost(
        self, tmp_path: Path, release: Release, address: str
    ) -> None:
        log = PredictionLog(address, owner="me")
        write_segment(tmp_path / "spool", release, [row(1)], name="a-0")
        work(tmp_path, log)
        s3fs = pytest.importorskip("s3fs")
        stranger = ObjectStore(
            s3fs.S3FileSystem(key=KEY, secret="wrong"), address.removeprefix("s3://")
        )
        refused = PredictionLog(stranger, owner="me")
        write_segment(tmp_path / "spool", release, [row(2)], name="a-1")
        with pytest.raises(PermissionError):
            work(tmp_path, refused)
        with pytest.raises(PermissionError):
            refused.read("churn", log.files("churn")[0][1])
        assert log.store.keys("quarantine/*") == []
        work(tmp_path, log)
        assert len(rows_of_addresses(log)) == 2

    def test_an_entity_is_erased_there_too(
        self, tmp_path: Path, release: Release, address: str
    ) -> None:
        log = PredictionLog(address, owner="me")
        write_segment(tmp_path / "spool", release, [row(1), row(2)], name="a-0")
        tell(tmp_path / "spool", [{"entity": "c1"}], name="b-0")
        identity = ask(tmp_path / "spool", "c1")
        work(tmp_path, log)
        assert [one["entity"] for one in rows_of_addresses(log)] == ["c2"]
        assert rows_of_addresses(log, "churn" + OUTCOMES_OF) == []
        assert erasure_of(log, identity).state == "done"
        assert len(log.store.keys(f"{FOLDER}/*")) == 1


def work(home: Path, log: PredictionLog) -> None:
    """Move, erase, and two minutes later put together and prove."""
    erasures = Erasures(log)
    mover = Mover(home / "spool", log, erasures=erasures)
    eraser = Eraser(log, erasures, spool=home / "spool")
    try:
        mover.step()
        eraser.step()
        with later():
            Housekeeper(log, keep_days=None).step()
            eraser.finish()
        Housekeeper(log, keep_days=None).sweep()
    finally:
        mover.close()


class Plan:
    """Work on S3 that is killed, and looked at in the folder that the server has."""

    def __init__(self, home: Path, address: str, folder: Path, release: Release) -> None:
        self.home = home
        self.address = f"{address}/{home.name}"
        prefix = self.address.removeprefix(f"s3://{BUCKET}/")
        self.seen = PredictionLog(folder / prefix, owner="me")
        answers = []
        for number in range(3):
            rows = [row(i + 4 * number) for i in range(4)]
            answers += write_segment(home / "spool", release, rows, name=f"a-{number}")
        self.identity = ask(home / "spool", "c1")
        self.all = {one["prediction_id"] for one in answers}
        self.others = sorted(one["prediction_id"] for one in answers if one["entity"] != "c1")

    def work(self) -> None:
        """Do all of it."""
        work(self.home, PredictionLog(self.address, owner="me"))

    def hold(self) -> None:
        """Hold what can be read at this moment against what may be there."""
        found = ids_of(self.seen)
        assert len(found) == len(set(found))
        assert set(found) <= self.all

    def hold_in_the_end(self) -> None:
        """Hold what is there once the work was done again."""
        assert ids_of(self.seen) == self.others
        assert not list((self.home / "spool").glob("*.seg"))
        proof = erasure_of(self.seen, self.identity)
        assert (proof.state, proof.places["churn"].erased_rows) == ("done", 1)


def test_killed_before_any_call_it_is_all_there_once(
    tmp_path: Path, release: Release, address: str, s3: Server
) -> None:
    for number in range(200):
        plan = Plan(tmp_path / f"{number}", address, s3.bucket, release)
        calls = ((ObjectStore, ("write", "delete", "move")),)
        killed = killed_at(number, plan.work, calls=calls)
        plan.hold()
        assert not killed_at(10**6, plan.work, calls=calls)
        plan.hold_in_the_end()
        if not killed:
            break
    assert not killed
    assert number > 12


def test_killed_at_any_moment_it_is_all_there_once(
    tmp_path: Path, release: Release, address: str, s3: Server
) -> None:
    chance = random.Random(7)  # noqa: S311 - moments, no secrets
    plan = Plan(tmp_path / "first", address, s3.bucket, release)
    started_s = time.monotonic()
    assert not killed_at(10**6, plan.work)
    whole_s = time.monotonic() - started_s
    for number in range(20):
        plan = Plan(tmp_path / f"{number}", address, s3.bucket, release)
        clients = s3.clients()
        child = os.fork()
        if not child:
            plan.work()
            os._exit(0)
        time.sleep(chance.uniform(0, whole_s))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        s3.settle(clients)
        plan.hold()
        assert not killed_at(10**6, plan.work)
        plan.hold_in_the_end()
