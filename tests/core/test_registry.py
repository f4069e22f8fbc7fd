"""Runs, versions and aliases in a real MLflow."""

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.artifact import manifest_sha256, open_artifact
from core.config import ModelConfig
from core.errors import ArtifactCorrupt, NotFound, RegistryDown
from core.registry import FACTS_TAG, GATE_TAG, Registry, RunRecord
from tests.tiny import CONTENT, SPANS, write_artifact

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Give an empty registry on SQLite; each test uses a model of its own."""
    folder = tmp_path_factory.mktemp("registry")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own parts, met while it sets up
        found = Registry(f"sqlite:///{folder / 'mlflow.db'}")
        found.champion("none")
        yield found


def record(folder: Path, *, base: float = -1.0, facts: str = "f") -> RunRecord:
    """Give what a run leaves behind."""
    artifact, figures = folder / f"artifact{base}", folder / "figures"
    write_artifact(artifact, ModelConfig.model_validate(CONTENT), base=base, spans=SPANS)
    figures.mkdir(exist_ok=True)
    (figures / "calibration.png").write_bytes(b"\x89PNG")
    return RunRecord(
        params={"rows": 100, "long": "x" * 9000},
        metrics={"auc_score": 0.8},
        tags={FACTS_TAG: facts},
        artifact=artifact,
        figures=figures,
        texts={"quality.json": "{}"},
    )


class TestRegister:
    def test_a_version_bears_the_digest_of_its_manifest_and_is_challenger(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        told = record(tmp_path)
        version = registry.register("first", told)

        assert version.digest == manifest_sha256(told.artifact)
        assert version.aliases == ("challenger",)
        assert version.facts == "f"
        assert version.registered_at.tzinfo is not None
        assert registry.champion("first") is None
        assert registry.versions("first") == [version]

    def test_the_run_holds_params_metrics_figures_and_texts(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        from mlflow import MlflowClient

        version = registry.register("second", record(tmp_path))
        client = MlflowClient(registry.address)
        run = client.get_run(version.run_id)

        assert run.info.status == "FINISHED"
        assert run.data.metrics == {"auc_score": 0.8}
        assert run.data.params["rows"] == "100"
        found = {f.path for f in client.list_artifacts(version.run_id)}
        assert found == {"artifact", "figures", "quality.json"}

    def test_a_run_that_cannot_be_logged_is_marked_failed_and_makes_no_version(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        from mlflow import MlflowClient

        broken = replace(record(tmp_path), artifact=tmp_path / "gone")
        with pytest.raises(Exception, match="gone"):
            registry.register("third", broken)

        client = MlflowClient(registry.address)
        experiment = client.get_experiment_by_name("third")
        [run] = client.search_runs([experiment.experiment_id])
        assert run.info.status == "FAILED"
        assert registry.versions("third") == []


class TestPromote:
    def test_the_old_champion_becomes_previous(self, registry: Registry, tmp_path: Path) -> None:
        for number, base in (("1", -1.0), ("2", -2.0), ("3", -3.0)):
            registry.register("turns", record(tmp_path, base=base))
            registry.promote("turns", number)

        aliases = {v.version: v.aliases for v in registry.versions("turns")}
        assert aliases == {"1": (), "2": ("previous",), "3": ("champion",)}
        champion = registry.champion("turns")
        assert champion is not None
        assert champion.version == "3"

    def test_promoting_the_champion_again_changes_nothing(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        registry.register("again", record(tmp_path))
        registry.promote("again", "1")
        registry.promote("again", "1")
        assert [v.aliases for v in registry.versions("again")] == [("champion",)]

    def test_the_verdict_stands_on_the_version_and_its_run(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        from mlflow import MlflowClient

        version = registry.register("judged", record(tmp_path))
        registry.note_verdict(version, summary="auc_score is 0.8", checks="[]")

        client = MlflowClient(registry.address)
        assert client.get_model_version("judged", "1").tags[GATE_TAG] == "auc_score is 0.8"
        assert client.get_run(version.run_id).data.tags[GATE_TAG] == "auc_score is 0.8"


class TestDownload:
    def test_gives_the_very_bytes(self, registry: Registry, tmp_path: Path) -> None:
        told = record(tmp_path)
        registry.register("bytes", told)

        registry.download("bytes", "1", tmp_path / "down")

        assert open_artifact(tmp_path / "down").manifest == open_artifact(told.artifact).manifest

    def test_refuses_a_file_that_was_changed(self, registry: Registry, tmp_path: Path) -> None:
        registry.register("changed", record(tmp_path))
        [file] = Path(registry.address.removeprefix("sqlite:///")).parent.glob(
            "artifacts/changed/*/artifacts/artifact/weights.npz"
        )
        file.write_bytes(file.read_bytes()[:-1] + b"x")
        with pytest.raises(ArtifactCorrupt, match=r"weights.npz.*not the one that was written"):
            registry.download("changed", "1", tmp_path / "down")

    def test_refuses_an_artifact_that_is_gone(self, registry: Registry, tmp_path: Path) -> None:
        registry.register("gone", record(tmp_path))
        shutil.rmtree(Path(registry.address.removeprefix("sqlite:///")).parent / "artifacts/gone")
        with pytest.raises(ArtifactCorrupt, match="its files cannot be read"):
            registry.download("gone", "1", tmp_path / "down")

    def test_refuses_another_artifact_in_its_place(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        registry.register("swapped", record(tmp_path))
        [place] = Path(registry.address.removeprefix("sqlite:///")).parent.glob(
            "artifacts/swapped/*/artifacts/artifact"
        )
        other = record(tmp_path, base=-5.0).artifact
        shutil.copytree(other, place, dirs_exist_ok=True)
        with pytest.raises(ArtifactCorrupt, match="not the one that was registered"):
            registry.download("swapped", "1", tmp_path / "down")

    def test_refuses_a_version_that_others_registered(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        from mlflow import MlflowClient

        registry.register("theirs", record(tmp_path))
        client = MlflowClient(registry.address)
        source = client.get_model_version("theirs", "1").source
        client.create_model_version("theirs", source=source)
        with pytest.raises(ArtifactCorrupt, match="not registered by this platform"):
            registry.download("theirs", "2", tmp_path / "down")

    def test_says_that_there_is_no_such_version(self, registry: Registry, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="never has no version 9"):
            registry.download("never", "9", tmp_path / "down")


def test_a_refused_version_says_why_and_when(registry: Registry, tmp_path: Path) -> None:
    registry.register("refused", record(tmp_path))
    registry.mark_refused("refused", "1", "a file is missing")
    [version] = registry.versions("refused")
    assert version.refused is not None
    assert version.refused.endswith(" a file is missing")
    assert version.refused[:2] == "20"


def test_a_model_that_was_never_trained_has_no_champion_and_no_versions(
    registry: Registry,
) -> None:
    assert registry.champion("never") is None
    assert registry.versions("never") == []


class TestAddress:
    def test_a_server_that_does_not_answer_is_told_without_its_password(self) -> None:
        with pytest.raises(RegistryDown, match="does not answer") as caught:
            Registry("http://me:hunter2@127.0.0.1:9").champion("churn")
        assert "hunter2" not in str(caught.value)
        assert "SEPTET_TRACKING_URI" in str(caught.value)

    def test_a_database_that_does_not_answer_is_told(self) -> None:
        address = "postgresql://me:hunter2@127.0.0.1:9/mlflow"
        with pytest.raises(RegistryDown, match="does not answer") as caught:
            Registry(address).champion("churn")
        assert "hunter2" not in str(caught.value)

    def test_a_file_that_is_no_database_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "mlflow.db").write_text("This is a text, and not a short one. " * 100)
        with pytest.raises(RegistryDown, match="file is not a database"):
            Registry(f"sqlite:///{tmp_path / 'mlflow.db'}").champion("churn")


def test_importing_the_registry_does_not_import_mlflow() -> None:
    code = "import core.registry, sys; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env=os.environ).returncode == 0


@pytest.mark.postgres
def test_runs_versions_and_aliases_can_live_in_postgres(postgres: str, tmp_path: Path) -> None:
    registry = Registry(postgres, artifacts=tmp_path / "artifacts")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        registry.register("churn", record(tmp_path))
    registry.promote("churn", "1")
    champion = registry.champion("churn")
    assert champion is not None
    registry.download("churn", champion.version, tmp_path / "down")
    assert manifest_sha256(tmp_path / "down") == champion.digest
    assert len(list((tmp_path / "artifacts" / "churn").iterdir())) == 1
