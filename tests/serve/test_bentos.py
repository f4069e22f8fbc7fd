"""Each bento alone: built here, served from another folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from bentos.catalog import CATALOG, predictor_type
from bentos.release import open_release, read_pointer
from tests.serve.conftest import BIN, ROOT, Home, environment, running

pytestmark = pytest.mark.serve

CODE = ("core", "bentos", "services", "configs")


@pytest.fixture(scope="module")
def checkout(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a checkout with trained models in its own ``.septet``, as after ``make up``."""
    folder = tmp_path_factory.mktemp("checkout")
    no_bytecode = shutil.ignore_patterns("__pycache__")
    for name in CODE:
        shutil.copytree(ROOT / name, folder / name, ignore=no_bytecode)
    for name in ("requirements-serving.lock", "bentofile.yaml"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(home.path / "releases", folder / ".septet" / "releases")
    shutil.copy(home.path / "records.db", folder / ".septet" / "records.db")
    return folder


def build(checkout: Path, scratch: Path, *options: str) -> None:
    """Build a bento as the README says."""
    command = [str(BIN / "bentoml"), "build", *options, ".", "--version", "test"]
    done = subprocess.run(
        command,
        cwd=checkout,
        env=environment(None, scratch),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def files_of(name: str, scratch: Path) -> set[str]:
    """Name the files that were built in."""
    source = scratch / "bentoml" / "bentos" / name / "test" / "src"
    return {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}


@pytest.mark.parametrize("model", CATALOG)
def test_a_bento_serves_alone_from_another_folder(
    checkout: Path, home: Home, scratch: Path, tmp_path: Path, model: str
) -> None:
    build(checkout, scratch, "-f", f"bentos/{model}/bentofile.yaml")
    others = [other for other in CATALOG if other != model]
    held = files_of(model, scratch)
    assert f".septet/releases/{model}/champion.json" in held
    assert not [name for name in held if any(f"/{other}/" in name for other in others)]
    assert ".septet/records.db" not in held

    folder = home.path / "releases" / model
    pointer = read_pointer(folder)
    assert pointer is not None
    release = open_release(folder / pointer.version, pointer=pointer, kind=predictor_type(model))
    row = release.contract.example()
    plain = release.contract.parse_row(row)
    with running(f"{model}:test", home=None, scratch=scratch, cwd=tmp_path) as server:
        body = {"rows": [row, {"nonsense": 1}]}
        answer = httpx.post(f"{server.url}/predict", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        good, bad = answer.json()
        assert good["answer"]["result"] == release.predictor.predict([plain])[0]["result"]
        assert good["answer"]["version"] == pointer.version
        assert bad["problem"]["code"] == "RowInvalid"
        reasons = httpx.post(f"{server.url}/explain", json={"rows": [row]}, timeout=30).json()
        assert reasons[0]["answer"]["drivers"]["contributions"]
        refused = httpx.post(f"{server.url}/predict", content=b'{"rows": [NaN]}', headers=JSON)
        assert refused.status_code == 400
        assert "NaN is not JSON at line 1 column 11" in refused.json()["detail"]
        assert refused.headers["content-type"] == "application/problem+json"
        pickled = {"Content-Type": "application/vnd.bentoml+pickle"}
        assert httpx.post(f"{server.url}/predict", content=b"x", headers=pickled).status_code == 415


def test_a_bento_without_a_champion_starts_and_says_what_to_run(
    scratch: Path, tmp_path: Path
) -> None:
    target = "bentos.churn.service:Churn"
    with running(target, home=tmp_path, scratch=scratch, wait_for="/livez") as server:
        assert httpx.get(f"{server.url}/readyz").status_code == 503
        answer = httpx.post(f"{server.url}/predict", json={"rows": [{}]})
        assert answer.status_code == 503
        assert "Run `septet train churn`." in answer.json()["detail"]


def test_the_platform_is_a_bento_too_and_takes_its_keys_from_outside(
    checkout: Path, home: Home, scratch: Path, tmp_path: Path
) -> None:
    build(checkout, scratch)
    held = files_of("septet", scratch)
    assert ".septet/records.db" not in held
    assert "core/registry.py" not in held
    outside = tmp_path / "home"
    shutil.copytree(home.path, outside)
    with running("septet:test", home=outside, scratch=scratch, cwd=tmp_path) as server:
        models = httpx.get(f"{server.url}/models", headers=home.headers).json()["models"]
        assert all(model["serving"] for model in models)


JSON = {"Content-Type": "application/json"}
