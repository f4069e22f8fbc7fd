"""From an alias in the registry to a checked release on disk."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bentos.holder import Holder
from bentos.release import POINTER, read_pointer
from core.artifact import RELEASE
from core.errors import RegistryDown
from services.releases.watcher import RETRY_SECONDS, Watcher
from tests.tiny import Shelf, tiny_type


@dataclass(frozen=True)
class Registered:
    version: str
    run_id: str = "run"
    registered_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class FolderRegistry:
    """A registry in a folder: versions are folders, an alias is an attribute."""

    shelf: Shelf
    alias: str | None = None
    is_down: bool = False
    refused: dict[str, str] = field(default_factory=dict)
    downloads: int = 0

    def champion(self, model: str) -> Registered | None:
        if self.is_down:
            raise RegistryDown("folder", "test")
        return Registered(self.alias) if self.alias and model == "churn" else None

    def download(self, model: str, version: str, folder: Path) -> None:
        self.downloads += 1
        source = self.shelf.root / model / version
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=lambda *_: [RELEASE])

    def mark_refused(self, model: str, version: str, reason: str) -> None:
        self.refused[f"{model}/{version}"] = reason

    def damage(self, version: str) -> None:
        path = self.shelf.model_folder / version / "weights.npz"
        path.write_bytes(path.read_bytes()[:-1])


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    shelf = Shelf(tmp_path / "registry")
    for number, base in (("1", -1.0), ("2", 0.0), ("3", 1.0)):
        shelf.write(number, base=base)
    return FolderRegistry(shelf)


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    return tmp_path / "releases"


@pytest.fixture
def watcher(registry: FolderRegistry, releases: Path) -> Watcher:
    return watch(registry, releases)


def watch(registry: FolderRegistry, releases: Path) -> Watcher:
    models = ("churn", "profitability")
    return Watcher(registry, folder=releases, models=models, predictor_type=tiny_type)


def served(releases: Path) -> str | None:
    pointer = read_pointer(releases / "churn")
    return pointer.version if pointer else None


def test_without_an_alias_nothing_is_written(watcher: Watcher, releases: Path) -> None:
    assert watcher.step() == []
    assert not releases.exists()


def test_an_alias_becomes_a_release_that_a_server_takes(
    registry: FolderRegistry, watcher: Watcher, releases: Path
) -> None:
    registry.alias = "1"
    assert watcher.step() == ["churn"]
    holder = Holder(("churn",), predictor_type=tiny_type)
    holder.start(releases, poll_seconds=60)
    holder.stop()
    release = holder.champion("churn")
    assert (release.version, release.identity.run_id) == ("1", "run")


def test_what_is_there_already_is_not_downloaded_again(
    registry: FolderRegistry, watcher: Watcher, releases: Path
) -> None:
    registry.alias = "1"
    watcher.step()
    assert watcher.step() == []
    assert watch(registry, releases).step() == []
    assert registry.downloads == 1


def test_a_moved_alias_switches_and_only_the_one_before_is_kept(
    registry: FolderRegistry, watcher: Watcher, releases: Path
) -> None:
    for alias in ("1", "2", "3"):
        registry.alias = alias
        assert watcher.step() == ["churn"]
    assert served(releases) == "3"
    names = sorted(path.name for path in (releases / "churn").iterdir())
    assert names == ["2", "3", POINTER]


def test_an_alias_moved_back_switches_back(
    registry: FolderRegistry, watcher: Watcher, releases: Path
) -> None:
    for alias in ("1", "2", "1"):
        registry.alias = alias
        watcher.step()
    assert served(releases) == "1"


def test_a_damaged_artifact_is_refused_marked_and_the_old_champion_stays(
    registry: FolderRegistry, watcher: Watcher, releases: Path
) -> None:
    registry.alias = "1"
    watcher.step()
    registry.damage("2")
    registry.alias = "2"
    assert watcher.step() == []
    assert served(releases) == "1"
    assert "'weights.npz' is not the one that was written" in registry.refused["churn/2"]
    assert sorted(path.name for path in (releases / "churn").iterdir()) == ["1", POINTER]


def test_a_refused_version_is_not_tried_again_until_the_alias_moves(
    registry: FolderRegistry, watcher: Watcher, releases: Path
) -> None:
    registry.damage("2")
    registry.alias = "2"
    watcher.step()
    watcher.step()
    assert registry.downloads == 1
    registry.alias = "3"
    assert watcher.step() == ["churn"]
    assert served(releases) == "3"


def test_a_version_without_a_manifest_is_refused(
    registry: FolderRegistry, watcher: Watcher
) -> None:
    (registry.shelf.model_folder / "1" / "manifest.json").unlink()
    registry.alias = "1"
    assert watcher.step() == []
    assert "it has no manifest" in registry.refused["churn/1"]


def test_a_deleted_alias_leaves_the_last_champion(
    registry: FolderRegistry, watcher: Watcher, releases: Path
) -> None:
    registry.alias = "1"
    watcher.step()
    registry.alias = None
    assert watcher.step() == []
    assert served(releases) == "1"


def test_while_the_registry_is_down_nothing_on_disk_changes(
    registry: FolderRegistry, watcher: Watcher, releases: Path
) -> None:
    registry.alias = "1"
    watcher.step()
    registry.alias, registry.is_down = "2", True
    with pytest.raises(RegistryDown):
        watcher.step()
    assert served(releases) == "1"


def test_a_champion_damaged_on_disk_is_downloaded_again_at_the_next_start(
    registry: FolderRegistry, watcher: Watcher, releases: Path
) -> None:
    registry.alias = "1"
    watcher.step()
    (releases / "churn" / "1" / "encoder.json").write_text("{}")
    assert watch(registry, releases).step() == ["churn"]


def test_what_a_killed_download_left_is_cleared(
    registry: FolderRegistry, watcher: Watcher, releases: Path
) -> None:
    left = releases / "churn" / ".incoming-killed"
    left.mkdir(parents=True)
    registry.alias = "1"
    watcher.step()
    assert not left.exists()


def test_a_version_that_was_only_out_of_reach_is_taken_later(
    registry: FolderRegistry, watcher: Watcher, releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = registry.shelf.model_folder / "1"
    away = folder.rename(registry.shelf.root / "away")
    folder.mkdir()
    registry.alias = "1"
    assert watcher.step() == []
    folder.rmdir()
    away.rename(folder)
    later = time.monotonic() + RETRY_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert watcher.step() == ["churn"]
    assert served(releases) == "1"
