"""The champions a process holds, and what it refuses to take."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from bentos.answering import answer_row
from bentos.holder import Holder
from bentos.release import POINTER
from core.artifact import RELEASE
from core.errors import NoChampion
from tests.tiny import Shelf, tiny_type


@pytest.fixture
def shelf(tmp_path: object) -> Shelf:
    return Shelf(tmp_path)  # type: ignore[arg-type]  # pytest gives a Path


@pytest.fixture
def holder(shelf: Shelf) -> Iterator[Holder]:
    held = Holder(("churn",), predictor_type=tiny_type)
    held.start(shelf.root, poll_seconds=60)
    yield held
    held.stop()


def test_without_a_champion_it_says_what_to_run(holder: Holder) -> None:
    with pytest.raises(NoChampion, match=r"Run `septet train churn`"):
        holder.champion("churn")


def test_it_takes_the_first_champion_and_then_the_next(shelf: Shelf, holder: Holder) -> None:
    shelf.write("1")
    shelf.point("1")
    holder.refresh()
    assert holder.champion("churn").version == "1"
    shelf.write("2", base=1.0)
    shelf.point("2")
    holder.refresh()
    assert holder.champion("churn").version == "2"


def test_it_follows_the_pointer_by_itself(shelf: Shelf) -> None:
    held = Holder(("churn",), predictor_type=tiny_type)
    held.start(shelf.root, poll_seconds=0.02)
    shelf.write("1")
    shelf.point("1")
    deadline = time.monotonic() + 5
    while held.find("churn") is None and time.monotonic() < deadline:
        time.sleep(0.01)
    held.stop()
    assert held.champion("churn").version == "1"


class TestRefusals:
    @pytest.fixture(autouse=True)
    def _has_a_champion(self, shelf: Shelf, holder: Holder) -> None:
        shelf.write("1")
        shelf.point("1")
        holder.refresh()

    def refused(self, holder: Holder) -> str:
        holder.refresh()
        assert holder.champion("churn").version == "1"
        refusal = holder.refusal("churn")
        assert refusal is not None
        return refusal.reason

    def test_a_changed_byte_is_refused(self, shelf: Shelf, holder: Holder) -> None:
        folder = shelf.write("2")
        weights = folder / "weights.npz"
        content = bytearray(weights.read_bytes())
        content[-80] ^= 1
        weights.write_bytes(content)
        shelf.point("2")
        assert "'weights.npz' is not the one that was written" in self.refused(holder)

    def test_a_missing_file_is_refused(self, shelf: Shelf, holder: Holder) -> None:
        (shelf.write("2") / "encoder.json").unlink()
        shelf.point("2")
        assert "the file 'encoder.json' is missing" in self.refused(holder)

    def test_a_file_nobody_named_is_refused(self, shelf: Shelf, holder: Holder) -> None:
        (shelf.write("2") / "more.txt").write_text("hello")
        shelf.point("2")
        assert "a file it does not name: 'more.txt'" in self.refused(holder)

    def test_another_manifest_than_the_registered_one_is_refused(
        self, shelf: Shelf, holder: Holder
    ) -> None:
        shelf.write("2")
        shelf.point("2", digest="f" * 64)
        assert "not the one that was registered" in self.refused(holder)

    def test_another_version_than_the_pointer_says_is_refused(
        self, shelf: Shelf, holder: Holder
    ) -> None:
        folder = shelf.write("2")
        text = (folder / RELEASE).read_text().replace('"version":"2"', '"version":"9"')
        (folder / RELEASE).write_text(text)
        shelf.point("2")
        assert "it is version 9, not the champion 2" in self.refused(holder)

    def test_a_model_of_another_name_is_refused(self, shelf: Shelf, holder: Holder) -> None:
        foreign = shelf.write("2", content={"model": "pricing"})
        foreign.rename(shelf.model_folder / "2")
        shelf.point("2")
        assert "it is a model of 'pricing', not of 'churn'" in self.refused(holder)

    def test_a_model_that_fails_on_its_own_example_is_refused(
        self, shelf: Shelf, holder: Holder
    ) -> None:
        shelf.write("2", base=float("nan"))
        shelf.point("2")
        assert "out of range (probability:" in self.refused(holder)

    @pytest.mark.parametrize("text", ["", "{}", '{"version": "../1", "manifest_sha256": "0"}'])
    def test_a_pointer_that_cannot_be_understood_is_refused(
        self, shelf: Shelf, holder: Holder, text: str
    ) -> None:
        (shelf.model_folder / POINTER).write_text(text)
        assert "does not say what it must" in self.refused(holder)

    def test_a_version_that_is_not_there_is_refused(self, shelf: Shelf, holder: Holder) -> None:
        shelf.point("2", digest="f" * 64)
        assert "release.json cannot be read" in self.refused(holder)

    def test_a_refusal_is_forgotten_when_a_good_release_comes(
        self, shelf: Shelf, holder: Holder
    ) -> None:
        shelf.point("2", digest="f" * 64)
        self.refused(holder)
        shelf.write("3")
        shelf.point("3")
        holder.refresh()
        assert holder.champion("churn").version == "3"
        assert holder.refusal("churn") is None

    def test_going_back_to_the_old_champion_ends_the_refusal(
        self, shelf: Shelf, holder: Holder
    ) -> None:
        shelf.point("2", digest="f" * 64)
        self.refused(holder)
        shelf.point("1")
        holder.refresh()
        assert holder.refusal("churn") is None


def test_requests_go_on_while_champions_are_switched(shelf: Shelf, holder: Holder) -> None:
    shelf.write("1")
    shelf.write("2", base=1.0)
    shelf.point("1")
    holder.refresh()
    seen: set[tuple[str, float]] = set()
    failures: list[Exception] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                release = holder.champion("churn")
                answer = answer_row(release, release.contract.example())
                seen.add((answer["version"], answer["result"]["probability"]))
            except Exception as error:  # noqa: BLE001 - any failure at all fails the test
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(20):
        shelf.point(str(turn % 2 + 1))
        holder.refresh()
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(seen) == 2, "each version has its own answer, and no answer is a mixture"
