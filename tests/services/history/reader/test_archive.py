"""Old releases: one that MLflow does not give holds up nobody else, and not all are kept."""

from __future__ import annotations

import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.config import ModelConfig
from core.errors import RegistryDown
from core.registry import FACTS_TAG, Registry, RunRecord
from services.history.reader.archive import MOST_KEPT, Archive
from tests.tiny import CONTENT, SPANS, Shelf, tiny_type, write_artifact

# Of MLflow's own parts, met when a registry is asked.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
PATIENCE_SECONDS = 60.0


@contextmanager
def silent_server() -> Iterator[tuple[str, threading.Event]]:
    """Take connections, and answer none; tell when one came."""
    came, taken = threading.Event(), []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            try:
                while True:
                    taken.append(server.accept()[0])
                    came.set()
            except OSError:
                return

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", came
        server.shutdown(socket.SHUT_RDWR)
    for one in taken:
        one.close()


def test_while_one_release_hangs_in_mlflow_the_others_answer(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "releases")
    shelf.write("1")
    shelf.write("9", base=0.7)
    with ThreadPoolExecutor() as pool:
        with silent_server() as (address, came):
            archive = Archive(
                tmp_path / "releases", tmp_path / "replays", Registry(address), tiny_type
            )
            known = archive.open("churn", "1")
            hanging = pool.submit(archive.open, "churn", "77")
            assert came.wait(PATIENCE_SECONDS)
            again = pool.submit(archive.open, "churn", "1")
            from_disk = pool.submit(archive.open, "churn", "9")
            assert again.result(PATIENCE_SECONDS) is known
            assert from_disk.result(PATIENCE_SECONDS).version == "9"
            assert not hanging.done()
        with pytest.raises(RegistryDown):
            hanging.result(PATIENCE_SECONDS)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Give a registry with one version of the tiny model."""
    artifact, figures = tmp_path / "artifact", tmp_path / "figures"
    write_artifact(artifact, ModelConfig.model_validate(CONTENT), base=0.1, spans=SPANS)
    figures.mkdir()
    told = RunRecord({}, {"auc_score": 0.8}, {FACTS_TAG: "f"}, artifact, figures, {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}")
        found.register("churn", told)
    return found


def test_the_oldest_are_forgotten_but_for_those_in_use(tmp_path: Path, registry: Registry) -> None:
    replays = tmp_path / "replays"
    Shelf(replays).write("5")
    archive = Archive(tmp_path / "releases", replays, registry, tiny_type)
    used = archive.open("churn", "5")
    now_s = time.time()
    others = [replays / "pricing" / f"{number}" for number in range(MOST_KEPT + 5)]
    for number, place in enumerate(others):
        place.mkdir(parents=True)
        os.utime(place, (now_s - 1000 - number,) * 2)
    for place in (replays / "churn" / "5", replays / "churn" / ".left"):
        place.mkdir(exist_ok=True)
        os.utime(place, (now_s - 500_000,) * 2)

    assert archive.open("churn", "1").version == "1"

    left = sorted(int(place.name) for place in (replays / "pricing").iterdir())
    assert left == list(range(MOST_KEPT - 1))
    assert sorted(place.name for place in (replays / "churn").iterdir()) == ["1", "5"]
    assert archive.open("churn", "5") is used


def test_who_wants_the_same_release_gets_the_same_one(tmp_path: Path, registry: Registry) -> None:
    archive = Archive(tmp_path / "releases", tmp_path / "replays", registry, tiny_type)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: archive.open("churn", "1"), range(4)))
    assert len({id(one) for one in found}) == 1
