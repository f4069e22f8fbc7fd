"""An entity is erased: from every file, whatever happens meanwhile, and with proof."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest

from bentos.release import Release
from services.history.erasure import FOLDER, proofs
from services.history.log import PredictionLog
from services.history.manifest import ManifestCorrupt
from tests.services.history.conftest import (
    CALLER,
    DAY_NS,
    NOON_NS,
    ids_of,
    log_of,
    row,
    rows_of,
    write_segment,
)
from tests.services.history.killing import killed_at
from tests.services.history.wishes import HOUR_NS, ask, erasure_of, later, tell
from tests.services.history.workers import OUTCOMES, Worker, entities


def fill(home: Path, release: Release) -> list[dict[str, Any]]:
    """Write three days of five clients into the spool, and what happened."""
    answers = []
    for day in range(3):
        rows = [row(i) for i in range(5)]
        at_ns = NOON_NS - day * DAY_NS
        name = f"a-{day}"
        answers += write_segment(home / "spool", release, rows, name=name, at_ns=at_ns)
    told = [{"outcome_of": UUID(one["prediction_id"]).hex, "value": 1.0} for one in answers]
    tell(home / "spool", [*told, {"entity": "c1", "value": 0.0}], name="b-0")
    return answers


class TestWhatIsErased:
    def test_all_rows_of_the_entity_and_what_happened_after_them_go(
        self, tmp_path: Path, release: Release
    ) -> None:
        answers = fill(tmp_path, release)
        identity = ask(tmp_path / "spool", "c1")
        worker = Worker(tmp_path)
        worker.work()
        log = worker.log
        assert entities(log) == sorted(["c0", "c2", "c3", "c4"] * 3)
        kept = {UUID(one["prediction_id"]).bytes for one in answers if one["entity"] != "c1"}
        assert {one["outcome_of"] for one in rows_of(log, OUTCOMES)} == kept
        assert entities(log, OUTCOMES) == []
        proof = erasure_of(log, identity)
        assert (proof.state, proof.asked_by) == ("done", CALLER.key_id)
        assert proof.asked_us == (NOON_NS + HOUR_NS) // 1000
        assert proof.entity_sha256 == sha256(b"c1").hexdigest()
        assert proof.places["churn"].model_dump() == {
            "rewritten_files": 3, "erased_rows": 3, "remaining_rows": 0,
        }  # fmt: skip
        assert proof.places[OUTCOMES].erased_rows == 4

    def test_the_proof_names_each_file_before_and_after(
        self, tmp_path: Path, release: Release
    ) -> None:
        fill(tmp_path, release)
        worker = Worker(tmp_path)
        worker.mover.step()
        before = {file.name: Path(path).read_bytes() for path, file in worker.log.files("churn")}
        identity = ask(tmp_path / "spool", "c1")
        worker.work()
        after = {file.name: Path(path).read_bytes() for path, file in worker.log.files("churn")}
        files = [one for one in erasure_of(worker.log, identity).files if one.place == "churn"]
        assert {one.before: one.before_sha256 for one in files} == {
            name: sha256(content).hexdigest() for name, content in before.items()
        }
        assert {one.after: one.after_sha256 for one in files} == {
            name: sha256(content).hexdigest() for name, content in after.items()
        }

    def test_its_name_stands_nowhere_any_more(self, tmp_path: Path, release: Release) -> None:
        name = "Magdalena Musterfrau"
        rows = [row(1), row(2, client_id=name)]
        write_segment(tmp_path / "spool", release, rows, name="a-0")
        ask(tmp_path / "spool", name)
        Worker(tmp_path).work()
        for path in tmp_path.rglob("*"):
            if path.is_file() and path.suffix == ".parquet":
                assert name not in pq.read_table(path).column("entity").to_pylist()
            elif path.is_file() and "releases" not in path.parts:
                assert name.encode() not in path.read_bytes()

    def test_a_file_of_the_entity_alone_leaves_the_log(
        self, tmp_path: Path, release: Release
    ) -> None:
        write_segment(tmp_path / "spool", release, [row(1), row(1)], name="a-0")
        identity = ask(tmp_path / "spool", "c1")
        worker = Worker(tmp_path)
        worker.work()
        assert worker.log.files("churn") == []
        [file] = erasure_of(worker.log, identity).files
        assert (file.after, file.after_sha256, file.erased_rows) == (None, None, 2)

    def test_what_comes_after_the_erasure_stays(self, tmp_path: Path, release: Release) -> None:
        worker = Worker(tmp_path)
        write_segment(tmp_path / "spool", release, [row(1), row(2)], name="a-0")
        ask(tmp_path / "spool", "c1")
        worker.work()
        at_ns = NOON_NS + 2 * HOUR_NS
        write_segment(tmp_path / "spool", release, [row(1)], name="a-1", at_ns=at_ns)
        worker.work()
        assert entities(worker.log) == ["c1", "c2"]
        Worker(tmp_path).work()
        assert entities(worker.log) == ["c1", "c2"]

    def test_several_are_erased_together_and_each_is_proved(
        self, tmp_path: Path, release: Release
    ) -> None:
        fill(tmp_path, release)
        spool = tmp_path / "spool"
        asked = [ask(spool, f"c{number}", name=f"e-{number}") for number in (1, 3, 9)]
        asked.append(ask(spool, "c1", name="e-4", at_ns=NOON_NS + 2 * HOUR_NS))
        worker = Worker(tmp_path)
        worker.work()
        found = [erasure_of(worker.log, one) for one in asked]
        assert [one.state for one in found] == ["done"] * 4
        # Two asked for the same one: its rows count for the first.
        assert [one.places["churn"].erased_rows for one in found] == [3, 3, 0, 0]
        assert entities(worker.log) == sorted(["c0", "c2", "c4"] * 3)


class TestWhatComesLater:
    def test_rows_that_were_made_before_are_dropped_on_their_way(
        self, tmp_path: Path, release: Release
    ) -> None:
        ask(tmp_path / "spool", "c1")
        Worker(tmp_path).work()
        write_segment(tmp_path / "spool", release, [row(1), row(2)], name="a-0")
        tell(tmp_path / "spool", [{"entity": "c1"}, {"entity": "c2"}], name="b-0")
        worker = Worker(tmp_path)
        worker.work()
        assert entities(worker.log) == entities(worker.log, OUTCOMES) == ["c2"]

    def test_a_segment_that_came_back_changes_nothing(
        self, tmp_path: Path, release: Release
    ) -> None:
        fill(tmp_path, release)
        identity = ask(tmp_path / "spool", "c1")
        contents = {path: path.read_bytes() for path in (tmp_path / "spool").glob("*.seg")}
        worker = Worker(tmp_path)
        worker.work()
        proof = erasure_of(worker.log, identity)
        for path, content in contents.items():
            path.write_bytes(content)
        Worker(tmp_path).work()
        assert "c1" not in entities(worker.log)
        assert erasure_of(worker.log, identity) == proof

    def test_a_damaged_segment_that_may_hold_it_is_not_kept(
        self, tmp_path: Path, release: Release
    ) -> None:
        ask(tmp_path / "spool", "c1")
        Worker(tmp_path).work()
        for name, at_ns in (("a-0", NOON_NS), ("a-1", NOON_NS + 2 * HOUR_NS)):
            rows = [row(i) for i in range(20)]
            write_segment(tmp_path / "spool", release, rows, name=name, at_ns=at_ns, together=1)
            damage(tmp_path / "spool" / f"{name}.seg")
        Worker(tmp_path).work()
        assert [one.name for one in (tmp_path / "spool" / "quarantine").iterdir()] == ["a-1.seg"]


def damage(path: Path) -> None:
    """Flip a bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


class TestWhatCannotBeRead:
    def test_files_in_quarantine_of_its_time_are_deleted_and_told(
        self, tmp_path: Path, release: Release
    ) -> None:
        worker = Worker(tmp_path)
        for number, at_ns in enumerate((NOON_NS, NOON_NS, NOON_NS + DAY_NS)):
            rows = [row(i) for i in range(20)]
            name = f"a-{number}"
            write_segment(
                tmp_path / "spool",
                release,
                rows,
                name=name,
                at_ns=at_ns + number * 10**9,
                together=1,
            )
            if number:
                damage(tmp_path / "spool" / f"{name}.seg")
            worker.mover.step()
        bad = Path(worker.log.files("churn")[0][0])
        bad.write_bytes(bad.read_bytes()[:-40])
        identity = ask(tmp_path / "spool", "c1")
        worker.work()
        proof = erasure_of(worker.log, identity)
        assert proof.state == "done"
        assert proof.deleted == (
            f"quarantine/churn-2026-03-31-{bad.name}", "spool/quarantine/a-1.seg",
        )  # fmt: skip
        assert not list((tmp_path / "predictions" / "quarantine").iterdir())
        assert [one.name for one in (tmp_path / "spool" / "quarantine").iterdir()] == ["a-2.seg"]
        assert len(rows_of(worker.log)) == 18 + 19

    def test_an_outcome_of_a_time_to_come_in_quarantine_is_deleted_too(
        self, tmp_path: Path, release: Release
    ) -> None:
        worker = Worker(tmp_path)
        write_segment(tmp_path / "spool", release, [row(2)], name="a-0")
        tell(tmp_path / "spool", [{"entity": "c1", "as_of": "2027-05-06T00:00:00Z"}], name="b-0")
        worker.mover.step()
        [(place, file)] = worker.log.files(OUTCOMES)
        Path(place).write_bytes(Path(place).read_bytes()[:-40])
        assert worker.log.read(OUTCOMES, file) is None
        ask(tmp_path / "spool", "c1")
        worker.work()
        assert not list((tmp_path / "predictions" / "quarantine").iterdir())

    def test_an_erasure_that_we_did_not_write_stops_the_move_and_says_so(
        self, tmp_path: Path
    ) -> None:
        worker = Worker(tmp_path)
        identity = ask(tmp_path / "spool", "c1")
        worker.work()
        (tmp_path / "predictions" / FOLDER / f"{identity}.json").write_text("{}")
        with pytest.raises(ManifestCorrupt, match=identity):
            Worker(tmp_path).work()


class TestWhenItIsDone:
    def test_it_is_done_only_when_the_files_before_are_deleted(
        self, tmp_path: Path, release: Release
    ) -> None:
        fill(tmp_path, release)
        worker = Worker(tmp_path)
        worker.mover.step()
        old = [Path(path) for path, _ in worker.log.files("churn")]
        identity = ask(tmp_path / "spool", "c1")
        worker.mover.step()
        assert erasure_of(worker.log, identity).state == "asked"
        assert worker.eraser.step() == 1
        worker.housekeeper.step()
        # Whoever asked for the list of files a moment ago can still read them.
        assert all(path.exists() for path in old)
        assert worker.eraser.finish() == 0
        assert erasure_of(worker.log, identity).state == "rewritten"
        with later():
            worker.housekeeper.step()
            assert not any(path.exists() for path in old)
            assert worker.eraser.finish() == 1
        assert worker.eraser.step() == worker.eraser.finish() == 0
        done_at = erasure_of(worker.log, identity).done_at
        assert done_at is not None
        assert done_at > datetime.now(UTC)

    def test_of_several_workers_each_erases_what_it_wrote(
        self, tmp_path: Path, release: Release
    ) -> None:
        homes = {name: tmp_path / name for name in ("one", "two")}
        workers = {
            name: Worker(home, PredictionLog(tmp_path / "log", owner=name))
            for name, home in homes.items()
        }
        for home in homes.values():
            write_segment(home / "spool", release, [row(1), row(2)], name="a-0")
        workers["two"].work()
        identity = ask(homes["one"] / "spool", "c1")
        workers["one"].work()
        assert entities(workers["one"].log) == ["c1", "c2", "c2"]
        for _ in range(2):
            workers["two"].work()
        assert entities(workers["one"].log) == ["c2", "c2"]
        keys = workers["one"].log.store.keys(f"{FOLDER}/*.json")
        assert keys == [f"{FOLDER}/{identity}.json", f"{FOLDER}/{identity}.two.json"]
        found = proofs(workers["one"].log, identity)
        assert [(one.owner, one.state) for one in found] == [("one", "done"), ("two", "done")]
        assert workers["one"].log.owners() == ["one", "two"]
        for name, home in homes.items():
            again = Worker(home, PredictionLog(tmp_path / "log", owner=name))
            assert again.eraser.step() == again.eraser.finish() == 0

    def test_what_one_worker_wrote_of_predictions_of_another_is_erased_by_whichever_comes_last(
        self, tmp_path: Path, release: Release
    ) -> None:
        homes = {name: tmp_path / name for name in ("one", "two")}
        workers = {
            name: Worker(home, PredictionLog(tmp_path / "log", owner=name))
            for name, home in homes.items()
        }
        answers = write_segment(homes["one"] / "spool", release, [row(1), row(2)], name="a-0")
        told = [{"outcome_of": UUID(one["prediction_id"]).hex, "value": 1.0} for one in answers]
        (homes["two"] / "spool").mkdir(parents=True)
        tell(homes["two"] / "spool", told, name="b-0")
        workers["two"].work()
        identity = ask(homes["one"] / "spool", "c1")
        workers["one"].work()
        for _ in range(2):
            workers["two"].work()
        log = workers["one"].log
        assert [one.state for one in proofs(log, identity)] == ["done", "done"]
        kept = [UUID(one["prediction_id"]).bytes for one in answers if one["entity"] == "c2"]
        assert [one["outcome_of"] for one in rows_of(log, OUTCOMES)] == kept

    @pytest.mark.parametrize("identity", ["", "../x", "*", "0" * 32])
    def test_of_an_erasure_that_was_never_asked_there_is_no_proof(
        self, tmp_path: Path, identity: str
    ) -> None:
        worker = Worker(tmp_path)
        ask(tmp_path / "spool", "c1")
        worker.work()
        assert proofs(worker.log, identity) == []

    def test_without_an_erasure_nothing_is_written(self, tmp_path: Path, release: Release) -> None:
        fill(tmp_path, release)
        Worker(tmp_path).work()
        assert not (tmp_path / "predictions" / FOLDER).exists()


def test_killed_at_any_call_it_is_erased_once_and_the_log_is_whole_throughout(
    tmp_path: Path, release: Release
) -> None:
    for number in range(300):
        home = tmp_path / f"{number}"
        answers = fill(home, release)
        Worker(home).work()
        others = sorted(one["prediction_id"] for one in answers if one["entity"] != "c1")
        quarantine = home / "spool" / "quarantine"
        quarantine.mkdir()
        (quarantine / "z-0.seg").write_bytes(b"cannot be read")
        # A second one: where it fell into the same files, each has its own rows.
        identities = [ask(home / "spool", f"c{one}", name=f"e-{one}") for one in (1, 7)]
        killed = killed_at(number, lambda home=home: Worker(home).work())  # type: ignore[misc]
        found = ids_of(log_of(home))
        assert set(others) <= set(found)
        assert len(found) == len(set(found))
        Worker(home).work()
        assert ids_of(log_of(home)) == others
        assert len(rows_of(log_of(home), OUTCOMES)) == len(others)
        one, none = (erasure_of(log_of(home), identity) for identity in identities)
        assert (one.state, none.state) == ("done", "done")
        assert {place: proved.erased_rows for place, proved in one.places.items()} == {
            "churn": 3, OUTCOMES: 4,
        }  # fmt: skip
        assert not none.files
        assert "spool/quarantine/z-0.seg" in {*one.deleted, *none.deleted}
        assert not list(quarantine.iterdir())
        # Nothing of what was begun and left behind is in the proof, nor on the disk.
        named = {file.name for _, file in log_of(home).files("churn")}
        assert {file.after for file in one.files if file.place == "churn"} <= named
        on_disk = {path.name for path in (home / "predictions" / "churn").glob("*/*")}
        assert on_disk == named
        if not killed:
            break
    assert not killed
    assert number > 30
