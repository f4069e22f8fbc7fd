"""Whole trainings into a real registry, and what the gate makes of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from bentos.catalog import CATALOG, predictor_type
from core.artifact import manifest_sha256, open_artifact
from core.config import ModelConfig
from core.errors import ArtifactCorrupt, ConfigError, TrainingRefused
from core.registry import DIGEST_TAG, Registry
from tests.conftest import tiny_config
from tests.tables import config_of, line, write
from training.fitting import answer_rows, fit_only
from training.pipeline import train_model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def registry(tiny_home: Path) -> Registry:
    return Registry(f"sqlite:///{tiny_home / 'mlflow' / 'mlflow.db'}")


@pytest.mark.parametrize("model", CATALOG)
def test_the_champion_bears_its_alias_its_digest_and_its_metrics(
    model: str, registry: Registry, tiny_home: Path
) -> None:
    champion = registry.champion(model)
    assert champion is not None
    assert champion.aliases == ("champion",)
    folder = tiny_home / "releases" / model / champion.version
    assert champion.digest == manifest_sha256(folder)
    manifest = open_artifact(folder).manifest
    assert manifest.metrics
    assert manifest.data.rows_test > 20


@pytest.mark.parametrize("model", CATALOG)
def test_the_run_holds_figures_quality_report_and_verdict(
    model: str, registry: Registry, tiny_home: Path
) -> None:
    from mlflow import MlflowClient

    champion = registry.champion(model)
    assert champion is not None
    client = MlflowClient(registry.address)
    run = client.get_run(champion.run_id)
    assert "checks passed" in run.data.tags["septet.gate"]
    assert "latency_ms" in run.data.metrics
    pictures = [f.path for f in client.list_artifacts(champion.run_id, "figures")]
    assert "figures/calibration.png" in pictures or len(pictures) >= 3
    folder = tiny_home / "mlflow" / "artifacts" / model / champion.run_id / "artifacts"
    assert json.loads((folder / "quality.json").read_text())["rows_read"] > 0


def test_the_same_data_and_config_train_nothing_again(registry: Registry, tiny_home: Path) -> None:
    outcome = train_model(tiny_config("churn"), home=tiny_home, registry=registry)
    assert not outcome.trained
    assert outcome.version == registry.champion("churn")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", CATALOG)
def test_the_same_data_and_seed_give_the_same_bytes(
    model: str, tiny_home: Path, tmp_path: Path
) -> None:
    fit_only(tiny_config(model), home=tiny_home, folder=tmp_path / "again")
    [first] = [p for p in (tiny_home / "releases" / model).iterdir() if p.is_dir()]
    names = {p.name for p in first.iterdir()} - {"release.json"}
    assert names == {p.name for p in (tmp_path / "again").iterdir()}
    for name in names:
        assert (first / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_what_was_measured_is_what_the_released_predictor_answers(
    tiny_home: Path, tmp_path: Path
) -> None:
    fitted = fit_only(tiny_config("churn"), home=tiny_home, folder=tmp_path / "a")
    [first] = [p for p in (tiny_home / "releases" / "churn").iterdir() if p.is_dir()]
    released = predictor_type("churn")(open_artifact(first))
    again = answer_rows(released, fitted.split.test)
    assert (again["probability"] == fitted.outputs["probability"]).all()


class TestGate:
    @pytest.fixture
    def own(self, own_home: Path) -> Registry:
        return Registry(f"sqlite:///{own_home / 'mlflow' / 'mlflow.db'}")

    def test_a_worse_challenger_stays_challenger_and_the_champion_goes_on(
        self, own: Registry, own_home: Path
    ) -> None:
        before = own.champion("churn")
        outcome = train_model(blind(), home=own_home, registry=own)
        assert outcome.trained
        assert not outcome.promoted
        assert outcome.verdict is not None
        assert "mean loss" in outcome.verdict.summary()
        assert own.champion("churn") == before
        challenger = own.by_alias("churn", "challenger")
        assert challenger is not None
        assert challenger.version == outcome.version.version

    def test_a_better_challenger_becomes_champion_and_the_old_one_previous(
        self, own: Registry, own_home: Path
    ) -> None:
        first = train_model(blind(), home=own_home, registry=own)
        own.promote("churn", first.version.version)

        outcome = train_model(tiny_config("churn"), home=own_home, registry=own, force=True)

        assert outcome.promoted
        assert outcome.verdict is not None
        assert "better in" in outcome.verdict.checks[-1].text
        aliases = {v.version: v.aliases for v in own.versions("churn")}
        assert aliases[outcome.version.version] == ("champion",)
        assert aliases[first.version.version] == ("previous",)

    def test_a_floor_that_is_not_reached_keeps_the_challenger_back(
        self, own: Registry, own_home: Path
    ) -> None:
        config = tiny_config("revenue_leak")
        gate = config.gate.model_copy(update={"floors": {"auc_score": 0.9999}})
        outcome = train_model(config.model_copy(update={"gate": gate}), home=own_home, registry=own)
        assert not outcome.promoted
        assert outcome.verdict is not None
        assert "at least 0.9999 wanted" in outcome.verdict.summary()

    def test_a_damaged_champion_defends_nothing_and_that_is_told(
        self, own: Registry, own_home: Path
    ) -> None:
        from mlflow import MlflowClient

        champion = own.champion("revenue_leak")
        assert champion is not None
        client = MlflowClient(own.address)
        client.set_model_version_tag("revenue_leak", champion.version, DIGEST_TAG, "0" * 64)

        outcome = train_model(tiny_config("revenue_leak"), home=own_home, registry=own, force=True)

        assert outcome.promoted
        assert outcome.verdict is not None
        assert "not compared: the champion cannot be opened" in outcome.verdict.checks[-1].text

    def test_a_table_without_the_champions_columns_is_not_put_to_it(
        self, own: Registry, own_home: Path, tmp_path: Path
    ) -> None:
        config = own_table(tmp_path)
        outcome = train_model(config, home=own_home, registry=own)
        assert outcome.promoted
        assert outcome.verdict is not None
        assert "not compared: the champion reads other columns" in outcome.verdict.checks[-1].text


class TestOwnTable:
    def test_what_was_left_out_is_noted_told_and_logged(
        self, own_home: Path, tmp_path: Path
    ) -> None:
        progress = Heard()
        config = own_table(tmp_path, "c999,2023-01-01,yes,ten,1,true,pro,north")
        registry = Registry(f"sqlite:///{own_home / 'mlflow' / 'mlflow.db'}")

        outcome = train_model(config, home=own_home, registry=registry, progress=progress)

        assert progress.notes == ["601 rows read, 1 left out: hours is no number (1)"]
        assert progress.stages == ["read", "check", "fit", "measure", "draw", "register", "gate"]
        [file] = own_home.glob(f"**/{outcome.version.run_id}/artifacts/quality.json")
        report = json.loads(file.read_text())
        assert report["counts"] == [{"column": "hours", "reason": "is no number", "rows": 1}]
        assert report["first_problems"][0]["field"] == "row 601, hours"

    @pytest.mark.parametrize(
        ("gate", "said"),
        [
            ({"metric": "aux_score"}, r"'aux_score' is no metric of churn. .*'auc_score'"),
            ({"metric": "auc_score", "floors": {"roc": 1}}, r"gate.floors.*'roc' is no metric"),
        ],
    )
    def test_a_gate_that_asks_for_what_is_not_measured_is_refused(
        self, gate: dict[str, object], said: str, tmp_path: Path
    ) -> None:
        with pytest.raises(ConfigError, match=said):
            fit_only(own_table(tmp_path, gate=gate), home=tmp_path, folder=tmp_path / "a")

    def test_labels_other_than_one_and_zero_are_refused(self, tmp_path: Path) -> None:
        lines = [line(i, left=i % 3) for i in range(300)]
        path = write(tmp_path / "a.csv", *lines)
        config = config_of(path, target={"positive": None})
        with pytest.raises(TrainingRefused, match=r"must be 1 or 0; 100 rows .* row 3 with 2"):
            fit_only(config, home=tmp_path, folder=tmp_path / "a")

    def test_a_role_that_the_model_does_not_know_is_refused_before_anything_is_read(
        self, tmp_path: Path
    ) -> None:
        config = config_of(tmp_path / "none.csv", roles={"price": "hours"})
        with pytest.raises(ConfigError, match=r"churn knows no role 'price'"):
            fit_only(config, home=tmp_path, folder=tmp_path / "a")


class Heard:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.notes: list[str] = []

    def stage(self, name: str, text: str) -> None:
        assert text
        self.stages.append(name)

    def note(self, text: str) -> None:
        self.notes.append(text)


def blind() -> ModelConfig:
    """Give the churn config with two features that say little."""
    config = tiny_config("churn")
    features = {name: config.features[name] for name in ("region", "segment")}
    return config.model_copy(update={"features": features})


def own_table(folder: Path, *more: str, **changes: Any) -> ModelConfig:
    """Write a table of 600 good lines and more, and give the config that reads it."""
    lines = [line(i, left="yes" if i % 4 == 0 or i % 7 == 0 else "no") for i in range(600)]
    options = {"training": {"options": {"most_trees": 5}}, "split": {"calibration_share": 0.3}}
    return config_of(write(folder / "own.csv", *lines, *more), **options, **changes)


def test_a_foreign_artifact_is_never_downloaded(own_home: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    registry = Registry(f"sqlite:///{own_home / 'mlflow' / 'mlflow.db'}")
    client = MlflowClient(registry.address)
    champion = registry.champion("profitability")
    assert champion is not None
    source = client.get_model_version("profitability", champion.version).source
    foreign = client.create_model_version("profitability", source=source)
    with pytest.raises(ArtifactCorrupt, match="not registered by this platform"):
        registry.download("profitability", str(foreign.version), tmp_path / "a")
