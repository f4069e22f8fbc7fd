"""What many tests share: the three models, really trained once on a tiny sample firm."""

import fcntl
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentos.catalog import CATALOG, predictor_type
from core.config import ModelConfig, SampleSource, load_model_config

ROOT = Path(__file__).parents[1]
TINY_CLIENTS, TINY_MONTHS = 400, 36


@pytest.fixture(scope="session", autouse=True)
def _own_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep every test off the developer's own home folder, addresses and telemetry."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SEPTET_")}
    if "SEPTET_DATA" in kept:
        os.environ["SEPTET_DATA"] = kept["SEPTET_DATA"]
    os.environ["SEPTET_HOME"] = str(tmp_path_factory.mktemp("septet-home"))
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    yield
    os.environ.pop("SEPTET_HOME", None)
    os.environ.update(kept)


def tiny_config(model: str, *, clients: int = TINY_CLIENTS) -> ModelConfig:
    """Give a model's own config on a small sample firm, its floors lowered to that size."""
    config = load_model_config(ROOT / "configs" / "models" / f"{model}.yaml")
    assert isinstance(config.source, SampleSource)
    source = config.source.model_copy(update={"clients": clients, "months": TINY_MONTHS})
    gate = config.gate.model_copy(update={"floors": {}, "ceilings": {}, "max_latency_ms": 1000.0})
    return config.model_copy(update={"source": source, "gate": gate})


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder that all processes of this test run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def tiny_home(shared_folder: Path) -> Path:
    """Give a home folder with a registry and the releases of every model; read it only.

    Trained once for the whole run; other processes wait for the one that trains.
    """
    home, done = shared_folder / "home", shared_folder / "home.done"
    with (shared_folder / "home.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of MLflow's own parts, met while it sets up
                _train_all(home)
            done.touch()
    return home


def _train_all(home: Path) -> None:
    from core.registry import Registry
    from services.releases.watcher import Watcher
    from training.pipeline import train_model

    registry = Registry(f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")
    for model in CATALOG:
        outcome = train_model(tiny_config(model), home=home, registry=registry)
        assert outcome.promoted, outcome.verdict
    watcher = Watcher(
        registry, folder=home / "releases", models=CATALOG, predictor_type=predictor_type
    )
    assert sorted(watcher.step()) == sorted(CATALOG)
