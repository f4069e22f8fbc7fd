import json
from pathlib import Path

import pytest

from bentos.catalog import CATALOG, predictor_type
from core.artifact import manifest_sha256, open_artifact
from core.errors import ArtifactCorrupt
from core.registry import DIGEST_TAG, Registry
from tests.conftest import tiny_config
from training.fitting import fit_only, score_in_blocks
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
    assert manifest.data.rows_test > 30


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
    again = score_in_blocks(released, fitted.split.test)
    assert (again["probability"] == fitted.outputs["probability"]).all()


def test_a_worse_challenger_stays_challenger_and_the_champion_goes_on(
    registry: Registry, tiny_home: Path
) -> None:
    config = tiny_config("churn")
    blind = config.model_copy(
        update={"features": {name: config.features[name] for name in ("region", "segment")}}
    )
    before = registry.champion("churn")
    outcome = train_model(blind, home=tiny_home, registry=registry)
    assert outcome.trained
    assert not outcome.promoted
    assert outcome.verdict is not None
    assert "mean loss" in outcome.verdict.summary()
    assert registry.champion("churn") == before
    challenger = registry.by_alias("churn", "challenger")
    assert challenger is not None
    assert challenger.version == outcome.version.version


def test_a_foreign_or_changed_artifact_is_never_downloaded(
    registry: Registry, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(registry.address)
    champion = registry.champion("profitability")
    assert champion is not None
    source = client.get_model_version("profitability", champion.version).source
    foreign = client.create_model_version("profitability", source=source)
    with pytest.raises(ArtifactCorrupt, match="not registered by this platform"):
        registry.download("profitability", str(foreign.version), tmp_path / "a")
    client.set_model_version_tag("profitability", foreign.version, DIGEST_TAG, "0" * 64)
    (tmp_path / "b").mkdir()
    with pytest.raises(ArtifactCorrupt, match="not the one that was registered"):
        registry.download("profitability", str(foreign.version), tmp_path / "b")
